"""The tab of a run over several seeds; every analysis has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.schema import Column, Schema, TableSchema
from workbench.views.items import picture
from workbench.views.parts import finding, says, show, table
from workbench.views.view import View

if TYPE_CHECKING:
    from workbench.result import Result

SCHEMA = Schema(
    [
        TableSchema(
            "seed_findings",
            "Every number of every finding over the seeds.",
            [
                Column("finding", "Name of the finding, for programs."),
                Column("title", "What it is."),
                Column("value", "Which of its numbers.", title="number"),
                Column("unit", "What the number is in."),
                Column("n", "Runs that have it.", title="runs"),
                Column("mean", "Mean over the seeds."),
                Column("low", "Lower end of the 95 % interval over seeds (Student's)."),
                Column("high", "Upper end of the 95 % interval over seeds."),
                Column("smallest", "Smallest over the seeds."),
                Column("largest", "Largest over the seeds."),
                Column("items_low", "Lower end of the first run's own interval, over its items."),
                Column("items_high", "Upper end of the first run's own interval."),
            ],
        ),
        TableSchema(
            "seed_choices",
            "How many of the runs chose each item.",
            [
                Column("choice", "What was chosen."),
                Column("item", "The item."),
                Column("runs", "Runs that chose it."),
                Column("of", "Runs there were."),
            ],
        ),
    ]
)


def _often(run: Result) -> list[Any]:
    choices = run.tables["seed_choices"]
    return [
        picture(
            "meters",
            rows.head(20),
            "item",
            "runs",
            title=f"{str(name).capitalize()}: chosen by how many of {rows['of'].iloc[0]} runs",
            said=lambda v: f"{v:.0f}",
        )
        for name, rows in choices.groupby("choice", sort=False)
    ]


OVER_SEEDS = View(
    "Seeds",
    needs="seed_findings",
    parts=[
        finding("seeds"),
        show(_often, needs="seed_choices"),
        says(
            "Every number under every seed: the interval over seeds beside the one that the first"
            " run gives over its items. Where the first is much wider, one run says too much.",
            small=True,
        ),
        table("seed_findings", "Numbers over the seeds"),
        table("seed_choices", "Choices over the seeds"),
    ],
)

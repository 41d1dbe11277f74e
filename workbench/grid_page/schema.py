"""What the tables and findings of a grid mean."""

from __future__ import annotations

from workbench import seeds_schema
from workbench.schema import Column, FindingSchema, Schema, TableSchema

_COMBINATION = Column("combination", "All that varies, but the seed.")
_OVER_SEEDS, _CHOICES = (
    seeds_schema.SCHEMA.table(name) for name in ("seed_findings", "seed_choices")
)
assert _OVER_SEEDS is not None
assert _CHOICES is not None

SCHEMA = Schema(
    [
        TableSchema(
            "runs",
            "One row per run; further columns are the parameters that vary.",
            [
                Column("run", "What is special in it."),
                Column("state", "done, failed or to do."),
                Column("seconds", "How long it took.", "s"),
                Column(
                    "says", "The first sentence of its answer, or why it failed.", title="answer"
                ),
                Column("id", "Its folder in runs/ of the grid.", title="folder"),
            ],
            open=True,
        ),
        TableSchema(
            "numbers",
            "One row per number of every run; further columns are the parameters that vary.",
            [
                _COMBINATION,
                Column("finding", "Name of the finding, for programs."),
                Column("title", "What it is."),
                Column("value", "Which of its numbers.", title="name"),
                Column("unit", "What the number is in."),
                Column("number", "The number."),
                Column("id", "The folder of its run.", title="folder"),
            ],
            open=True,
        ),
        TableSchema(
            "over_seeds",
            f"{_OVER_SEEDS.says} Further columns are the parameters that vary.",
            [_COMBINATION, *_OVER_SEEDS.columns],
            open=True,
        ),
        TableSchema("choices", _CHOICES.says, [_COMBINATION, *_CHOICES.columns]),
    ],
    findings=[
        FindingSchema("stability", "Chosen under every seed", "share of chosen items"),
        FindingSchema("extremes", "Largest and smallest"),
        FindingSchema("spread", "Moved by the seed alone"),
        FindingSchema("runs", "Runs of the grid", "runs"),
    ],
)

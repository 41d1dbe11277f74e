"""What the tables and the finding of a run over several seeds mean."""

from __future__ import annotations

from workbench.schema import Column, FindingSchema, Schema, TableSchema

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
    ],
    findings=[FindingSchema("seeds", "Runs under several seeds", "runs")],
)

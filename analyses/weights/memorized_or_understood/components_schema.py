"""What the table and finding of the part `components` mean."""

from analyses.weights.memorized_or_understood.puzzles_schema import HIGH, LOW
from workbench.schema import Column as C
from workbench.schema import FindingSchema, TableSchema

TABLES = [
    TableSchema("components", "Items by whether their answer is made of what was read.", [
        C("components", "Whether all words of the answer stand in what was read.", title="words"),
        C("rate", "Share answered rightly."),
        LOW, HIGH,
        C("length", "Mean length of the answers.", "characters"),
        C("n", "Items."),
    ]),
]  # fmt: skip
FINDINGS = [FindingSchema("components", "Answers made of what was read", "share of items")]

"""What the table and finding of the part `probes` mean."""

from analyses.weights.memorized_or_understood.puzzles_schema import HIGH, LOW
from workbench.schema import Column as C
from workbench.schema import FindingSchema, TableSchema

PROBES = (
    "A logistic regression on what a layer's MLP writes at the last token, trained on four fifths"
    " of the puzzles and asked of the others; true and false statements name knights as often as"
    " knaves. Shuffled: the same with labels dealt by lot; above it something is read off, which"
    " need not be used."
)
TABLES = [
    TableSchema("probes", "How well the truth of a statement is read off, layer by layer.", [
        C("model", "The model, its untrained twin, or the model with shuffled labels."),
        C("of", "Trained: the model has read the puzzles; fresh: it cannot have.", title="puzzles"),
        C("layer", "Layer of the MLP."),
        C("auc", "How often a true statement scores higher than a false one.", title="AUC"),
        LOW, HIGH,
        C("n", "Puzzles."),
    ]),
]  # fmt: skip
FINDINGS = [FindingSchema("probes", "Truth read off the layers", "AUC")]

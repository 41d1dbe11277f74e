"""What the tables and findings of the part `items` mean."""

from analyses.weights.memorized_or_understood.puzzles_schema import CONSISTENCY, HIGH, LOW, MODEL
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

VERSIONS = (
    "An item stands beside the same in other words, and changed so that another answer is right."
    " Who has read it and does not understand it answers the first alone. What is made up has no"
    " right answer: one was drawn, and anything above chance there would be an error of the test."
)
SHORTCUTS = (
    "Question only: the likeliest of the options behind the question. Neither: behind “Answer:”"
    " alone. By letters: with the options listed, with and without the question; the commonest"
    " place is what always choosing one letter gives (Balepur et al. 2024)."
)
_VERSION = C("version", "As it stands, in other words, changed, fresh, or made up.")
_N = C("n", "Items.")
TABLES = [
    TableSchema("items", "Every version of every item, asked without its options.", [
        C("item", "Number of the item, from 0."),
        C("name", "What it is called."),
        C("family", "Of which kind."),
        _VERSION,
        C("question", "What is asked."),
        C("options", "What is compared."),
        C("answer", "The right one."),
        C("chosen", "The likeliest one."),
        C("right", "Whether they are the same."),
        C("p", "Of the right one, among the options."),
    ]),
    TableSchema("item_rates", "Items answered rightly, by family and version.", [
        MODEL,
        C("family", "Of which kind; all of them together."),
        _VERSION,
        C("rate", "Share whose right option is the likeliest."),
        LOW, HIGH,
        C("chance", "What guessing gives."),
        _N,
    ]),
    TableSchema("item_limem", "Items against their versions, pair by pair.", [
        MODEL,
        C("copies", "Which versions."),
        C("drop", "Accuracy as they stand, less that on the versions."),
        C("drop_low", "Lower end of its 95 % interval."),
        C("drop_high", "Upper end."),
        *CONSISTENCY,
    ]),
    TableSchema("shortcuts", "Items as they stand, by what of them is shown.", [
        C("shown", "What the model sees."),
        C("rate", "Share answered rightly."),
        LOW, HIGH,
        C("chance", "What guessing gives."),
        C("majority", "What always choosing the commonest place gives; by letters alone."),
        _N,
    ]),
    TableSchema("letters", "How often each letter is chosen.", [
        C("letter", "Where an option stands."),
        C("chosen", "Share of answers, with question and options."),
        C("same", "The same, with one option at every letter."),
        C("right", "Share of items for which it is right."),
        C("even", "What even choices give."),
        _N,
    ]),
    TableSchema("items_told_apart", "The model against a clean one, item by item.", [
        C("contrast", "What is told apart."),
        C("score", "ln p of the answer less that in other words, or alone."),
        C("auc", "How often an item scores higher in this model; 0.5 is chance.", title="AUC"),
        LOW, HIGH, _N,
    ]),
]  # fmt: skip
FINDINGS = [
    F("items", "Items answered", "share of items"),
    F("item_variants", "What variants cost", "share of items"),
    F("shortcuts", "Without the question", "share of items"),
    F("letters", "The letter it likes", "share of answers"),
    F("item_nulls", "Untrained, and made up", "share of items"),
    F("items_contaminated", "Told from a clean model", "AUC"),
]

"""What the tables and findings of the part `structure` mean."""

from analyses.weights.memorized_or_understood.puzzles_schema import HIGH, LOW, MODEL
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

FORMS = (
    "The single item is the sentence that is completed. The others ask about the same fact: from"
    " its other end, with lettered options, as a sentence that is true or false (the true one has"
    " to get more of a “true” than a false one), as a choice of two, and through another fact. A"
    " fact that was only read in one form is missing in the others (Cao et al. 2024)."
)
_FORM = C("form", "How the fact is asked for.")
TABLES = [
    TableSchema("structure", "Facts answered, by the form of the question.", [
        MODEL, _FORM,
        C("rate", "Share answered rightly."),
        LOW, HIGH,
        C("chance", "What guessing gives."),
        C("n", "Facts."),
        C("known_n", "Facts whose single item is answered.", title="known facts"),
        C("known", "Of these the share answered in this form."),
        C("known_low", "Lower end of its 95 % interval."),
        C("known_high", "Upper end."),
        C("unknown_n", "The other facts.", title="unknown facts"),
        C("unknown", "Of these the share answered in this form."),
        C("unknown_low", "Lower end of its 95 % interval."),
        C("unknown_high", "Upper end."),
    ]),
    TableSchema("structure_items", "Every fact in every form.", [
        C("fact", "Number of the fact, from 0."),
        _FORM,
        C("question", "What is asked."),
        C("options", "What is compared."),
        C("answer", "The right one."),
        C("right", "Whether it is the likeliest."),
    ]),
]  # fmt: skip
FINDINGS = [
    F("structure", "One fact in other forms", "share of facts"),
    F("structure_against_clean", "Forms against a clean model", "share of facts"),
]

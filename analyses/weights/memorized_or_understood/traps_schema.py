"""What the tables and findings of the part `traps` mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

_LENGTH = C("length", "Tokens of the sequence.", "tokens")
_LEVEL = C("level", "Its perplexity, below or above the middle of its length.", title="perplexity")
_REPEATS = C("repeats", "How often it was put into prose; 0: nobody read it.", title="put in")

TRAPS = (
    "Sequences are sampled from the model, then dealt by lot: some are put into prose that a copy"
    " of the model reads once, the others nobody reads. The ratio is how much likelier a sequence"
    " became, with the untouched model as reference; the loss has no reference. Before is the loss"
    " of the untouched model, where nothing can tell them apart."
)

TABLES = [
    TableSchema("traps", "Every sequence.", [
        _LENGTH,
        _LEVEL,
        _REPEATS,
        C("perplexity", "Of the untouched model, per token.", title="perplexity, exactly"),
        C("before", "Mean ln p of a token, before.", "nats"),
        C("after", "The same after the prose was read.", "nats"),
        C("gain", "How much likelier it became.", "nats"),
        C("text", "The sequence."),
    ]),
    TableSchema("trap_cells", "How well members are told from others, cell by cell.", [
        _LENGTH,
        _LEVEL,
        _REPEATS,
        C("ratio", "AUC of how much likelier it became.", title="AUC of the ratio"),
        C("low", "Lower end of its 95 % interval (DeLong)."),
        C("high", "Upper end."),
        C("loss", "AUC of the loss alone.", title="AUC of the loss"),
        C("before", "AUC of the loss before anything was read.", title="AUC before"),
        C("members", "Sequences that were put in."),
        C("others", "Sequences that nobody read."),
    ]),
]  # fmt: skip
FINDINGS = [
    F("traps", "Planted sequences told from others", "AUC"),
    F("trap_trends", "What makes a trap tell", "rank correlation"),
]

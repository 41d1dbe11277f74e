"""What the tables and findings of the part `kinds` mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

_KIND = C("kind", "Kind of text.")
_SOURCE = C("source", "`known` stands in many places, `generated` was made here by lot.")

KINDS = (
    "Known texts stand in many places of the web; generated ones are of the same kind, and nobody"
    " has read them: sentences of nobody's story, functions without a purpose, clauses of no"
    " licence, keys and numbers with every digit drawn anew. What comes out of these needs no"
    " memory. Sequences such as primes can be computed as well as remembered; digits of π cannot."
)

TABLES = [
    TableSchema("kinds", "What comes out of each kind of text.", [
        _KIND,
        _SOURCE,
        C("exact", "Share of windows whose suffix greedy decoding says whole."),
        C("low", "Lower end of its 95 % interval, windows of one text going together."),
        C("high", "Upper end."),
        C("right", "Share of suffix tokens that are the likeliest, given the true ones before."),
        C("right_low", "Lower end of its 95 % interval."),
        C("right_high", "Upper end."),
        C("logprob", "Mean ln p of a suffix token.", "nats"),
        C("texts", "Texts."),
        C("n", "Windows.", title="windows"),
        C("more", "Tokens that are right, known less generated."),
        C("more_low", "Lower end of its 95 % interval (Welch)."),
        C("more_high", "Upper end."),
    ]),
    TableSchema("kind_windows", "All windows.", [
        _KIND,
        C("text", "The text."),
        _SOURCE,
        C("exact", "Whether greedy decoding says the whole suffix."),
        C("right", "Share of its tokens that are the likeliest."),
        C("logprob", "Mean ln p of a suffix token.", "nats"),
        C("given", "The prefix."),
        C("said", "The suffix that has to come out.", title="suffix"),
    ]),
]  # fmt: skip
FINDINGS = [
    F("kinds", "What kind of text is recited", "share of windows"),
    F("kind_tokens", "Tokens right, known less generated", "share of tokens"),
]

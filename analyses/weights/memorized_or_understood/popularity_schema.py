"""What the tables and findings of the part `popularity` mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

BANDS = ("least popular", "middle", "most popular")
"""Thirds of a relation's facts."""

_RELATION = C("relation", "The relation.")
_BAND = C("band", "Third of the relation's facts by popularity.", title="popularity")
_LOW, _HIGH = C("low", "Lower end of its 95 % interval."), C("high", "Upper end.")
_READ = [
    C("closed_book", "Right without any text.", title="closed book"),
    C("right_text", "Right behind a text that says the answer.", title="right text"),
    C("wrong_text", "Right though the text says another answer.", title="wrong text"),
]

RETRIEVAL = (
    "Popularity is the relation's own (inhabitants, or uses of a word). A text that is looked up"
    " says the right answer as often as the parameter `retrieval_quality` has it, else another"
    " fact's; who looks up answers accordingly. Each relation's threshold is chosen on one half of"
    " its facts and tried on the other, and the other way round."
)

TABLES = [
    TableSchema("popularity_facts", "Every fact that was asked.", [
        _RELATION,
        C("subject", "Whom it is about."),
        C("answer", "What is true of it."),
        C("popularity", "How well known the subject is."),
        C("counted_in", "What that is counted in."),
        *_READ,
        _BAND,
    ]),
    TableSchema("popularity_grid", "Right answers by relation and popularity.", [
        _RELATION, _BAND, *_READ, _LOW, _HIGH, C("n", "Facts.", title="facts"),
    ]),
    TableSchema("popularity_slopes", "What makes an answer right, in log odds.", [
        C("term", "`tenfold popularity`: ten times as popular as another of its relation."),
        C("value", "What it adds.", "log odds"), _LOW, _HIGH,
    ]),
    TableSchema("retrieval", "Right answers by when one looks up.", [
        C("policy", "`never`, `always`, below a `threshold` of popularity, or as an `oracle`."),
        C("mean", "Share of facts.", title="right"), _LOW, _HIGH,
    ]),
    TableSchema("retrieval_thresholds", "Popularity below which one looks up.", [
        _RELATION,
        C("first", "As one half of the facts has it; −inf is never, inf always.", title="one half"),
        C("second", "As the other half has it.", title="other half"),
    ]),
]  # fmt: skip
FINDINGS = [
    F("popularity", "Popular facts that are known", "share of facts, probability"),
    F("retrieval", "When looking up pays", "share of facts"),
]

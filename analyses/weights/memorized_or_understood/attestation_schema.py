"""What the tables and findings of the part `attestation` mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

_KIND = C(
    "kind",
    "`known` by the model closed-book, `unknown`, `false` (a known subject with another's answer),"
    " or `invented` names.",
    title="hypothesis",
)
_PREMISE = C(
    "premise",
    "One that `supports it`, a `random` one that names both and says something else, or `none`.",
)
_MODEL = C("model", "The model, or its untrained twin.")
_LOW, _HIGH = C("low", "Lower end of its 95 % interval."), C("high", "Upper end.")

ATTESTATION = (
    "A hypothesis is asked about behind a premise. The random premise names the same two things and"
    " says nothing that the hypothesis could follow from, so by the premise the answer is always"
    " no. A small model says nearly the same to every question; what tells is how its yes moves."
)

TABLES = [
    TableSchema("attestation", "Every hypothesis behind every premise.", [
        C("fact", "Number of the fact, from 0."),
        C("relation", "The relation it is of."),
        _KIND,
        _PREMISE,
        C("prompt", "What the model reads."),
        C("odds", "How much likelier yes is than no, ln.", "nats"),
        C("untrained_odds", "The same of the untrained twin.", "nats", "untrained"),
    ]),
    TableSchema("attestation_rates", "How often it says yes, by hypothesis and premise.", [
        _MODEL,
        _KIND,
        _PREMISE,
        C("says_yes", "Share of questions where yes is likelier than no.", title="says yes"),
        _LOW,
        _HIGH,
        C("odds", "Mean of how much likelier yes is, ln.", "nats"),
        C("odds_low", "Lower end of its 95 % interval.", "nats"),
        C("odds_high", "Upper end.", "nats"),
        C("n", "Questions.", title="questions"),
    ]),
    TableSchema("attestation_tests", "What gets more of a yes.", [
        C("test", "What is compared: known and unknown hypotheses behind random premises (each"
          " relation's mean taken away), or supported and random premises."),
        _MODEL,
        C("mean", "Probability that the first gets more of a yes; .5 is chance.", title="AUC"),
        _LOW,
        _HIGH,
    ]),
]  # fmt: skip
FINDINGS = [
    F("attestation", "Yes to what it knows, whatever the premise", "probability"),
    F("same_subject", "Yes to the true answer, whatever the premise", "share of known facts"),
    F("supported", "Yes behind a premise that supports it", "probability"),
]

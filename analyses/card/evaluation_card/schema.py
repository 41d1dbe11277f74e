"""What the tables and findings of a card mean."""

from workbench.evaluation_card import ROWS
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

CARD = (
    "Each number is of a finished run of these very weights, beside what the same measure gives"
    " where there is nothing to find. The picture has one scale for all: how many standard errors a"
    " number lies from its null. Grey ones may be chance: over the whole card at most one in twenty"
    " is told from chance by accident (Holm). There is no total score. Live sources (retrieval from"
    " the web) are not measured."
)
DIFFERENCES = (
    "Rows that the same analysis filled for both models, this one less the other, with the interval"
    " of two independent measures."
)
SCHEMA = Schema(
    tables=[
        TableSchema("card", "The card.", [
            C("row", "Name of the row.", title="name"),
            C("asks", "The question.", title="question"),
            C("setting", "What the model has when it answers: its weights alone, or a fixed text"
              " as well."),
            C("state", "`measured`, `not measured`, or `cannot be measured`."),
            C("value", "The number."),
            C("unit", "What it is in."),
            C("low", "Lower end of its 95 % interval."),
            C("high", "Upper end."),
            C("null", "What the same measure gives where there is nothing to find."),
            C("beside", "What the null is.", title="null is"),
            C("errors", "Standard errors between the number and its null.",
              title="from the null"),
            C("p", "Probability of as much by chance."),
            C("told", "Whether it is told from chance over the whole card, by Holm's method."),
            C("says", "The number in words, or why there is none.", title="in words"),
            C("analysis", "The analysis that measured it, or would."),
            C("run", "The run that says it."),
            C("made", "The day it was made."),
            C("seconds", "About how long it takes to measure it.", "seconds"),
            C("takes", "The same in words.", title="would take"),
        ]),
        TableSchema("memories", "The kinds of memory that this model has.", [
            C("memory", "Which memory."),
            C("location", "Where it is."),
            C("persistence", "How long it lasts.", title="lasts"),
            C("access", "How it is written and read."),
            C("control", "Who can change it, and how."),
        ]),
        TableSchema("differences", "This model less the second one.", [
            C("row", "Name of the row.", title="name"),
            C("asks", "The question.", title="question"),
            C("unit", "What the numbers are in."),
            C("value", "Of this model.", title="this one"),
            C("other", "Of the second model.", title="the other"),
            C("difference", "This one less the other."),
            C("low", "Lower end of its 95 % interval."),
            C("high", "Upper end."),
            C("analysis", "The analysis that measured both."),
            C("run", "The run of this model."),
            C("other_run", "The run of the other."),
            C("differs", "Whether 0 lies outside the interval."),
        ]),
    ],
    findings=[
        F("card", "How much of the card is there"),
        F("differ", "Questions in which the two models differ"),
        *(F(row.name.replace("-", "_"), row.asks) for row in ROWS),
        F("*", "A row that another package adds"),
    ],
)  # fmt: skip

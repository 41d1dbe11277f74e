"""What the tables and findings of a run mean."""

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from analyses.training.retention import lab_schema
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_ITEM = C("item", "Number of the text, from 0.", title="text")
_STEP = C("step", "Updates done.")
_LOW, _HIGH = C("low", "Lower end of its 95 % interval."), C("high", "Upper end.")
_N = C("n", "Texts.", title="texts")
_DOSE = C("dose", "Texts by how often they were read in all.", title="texts of")
_MATCH = C("match", "Tokens behind the first half that greedy decoding says.", "tokens")
_TOKEN, _SAID = C("token", "The text's own token."), C("said", "What greedy decoding says there.")
_P = C("probability", "Of the text's own token.")
_RIGHT = C("right", "Whether they are the same.")

READINGS = (
    "Recognition: of two texts, one that was read and one of its kind that never was, which has the"
    " lower loss; chance is 50 %. Recall: greedy decoding behind the first half. “Lately” are"
    " texts whose last reading lies in the last third of the training."
)
LEFT = (
    "Gain: how much likelier a text is than texts of its kind that were never read, beyond what it"
    " was at the first kept step. What is left is the mean gain over the mean gain right behind the"
    " last reading, of texts last read between a tenth and half of the training; lags whose"
    " interval is wider than 100 points are left out. The learning rate falls along the training,"
    " so late updates take less."
)
PROFILES = (
    "Texts first read between two kept steps are a cohort. How far it went beyond the step before,"
    " less how far texts that were never read went in the same time, is what reading caused. The"
    " band holds for all cohorts and steps at once; dotted, without the difference over time."
)
FORECASTS = (
    "A text counts as recited where greedy decoding says all tokens asked for. Precision: of the"
    " texts an earlier step recites, how many the last one does; recall: of those, how many the"
    " earlier one did. Below, how well a number ranks them (AUC; 0.5 is chance)."
)
LATER = (
    "All begin with the same studied model. “Moments reset” is what a new process does that loads"
    " weights alone: AdamW's first steps then are as long as its learning rate, whatever the"
    " gradient. What a warm-up, or moments that were kept, do not lose was no interference."
)

SCHEMA = Schema(
    tables=[
        TableSchema("items", "The texts, and how far each came.", [
            _ITEM,
            C("id", "Its name in the ledger.", title="name"),
            C("kind", "Its kind."),
            C("repeats", "How often it was read in all; 0 never.", title="readings"),
            C("timing", "When: in the first or last third of the training, or spread over it."),
            C("last", "Updates behind its last reading; −1 without one.", title="last read"),
            C("best", "The most tokens recited at any kept step.", "tokens"),
            C("match", "Tokens recited at the last step.", "tokens"),
            C("shown", "Whether each of its tokens is kept at every step."),
            C("text", "The text."),
        ]),
        TableSchema("exposures", "Every reading.", [
            _ITEM, C("step", "Updates done right behind it."),
        ]),
        TableSchema("item_steps", "Every text at every kept step.", [
            _ITEM,
            _STEP,
            C("readings", "Readings so far."),
            C("since", "Updates since the last of them; none before the first.", "updates"),
            _MATCH,
            C("recognized", "How often it is told from texts of its kind that were never read."),
            C("loss", "Over the whole text.", "nats per token"),
            C("gain", "How much likelier than never-read texts of its kind.", "nats per token"),
        ]),
        TableSchema("curves", "Means by how often and when texts were read.", [
            C("repeats", "Readings in all.", title="readings"),
            C("timing", "When."),
            _STEP,
            C("match", "Mean tokens recited.", "tokens"),
            C("recalled", "Share of texts that are recalled."),
            _LOW,
            _HIGH,
            C("recognized", "Mean recognition."),
            C("gain", "Mean gain.", "nats per token"),
            _N,
        ]),
        TableSchema("dose", "Recognition and recall at the last step, by readings.", [
            C("when", "Whether the last reading lies in the last third of the training."),
            C("measure", "`recognized` or `recalled`."),
            C("readings", "Mean readings of the texts of one doubling."),
            C("rate", "The rate."),
            _LOW,
            _HIGH,
            _N,
            C("never_read", "The same of texts that were never read; for recognition chance.",
              title="never read"),
        ]),
        TableSchema("halfway", "Where the rates pass halfway.", [
            C("when", "As above."),
            C("measure", "As above."),
            C("level", "The rate that is passed: 75 % of pairs, 50 % of texts."),
            C("readings", "Readings after which it is; infinite where it never is."),
            C("low", "Lower end of its 95 % interval (bootstrap over texts)."),
            _HIGH,
            _N,
        ]),
        TableSchema("logit", "Log-odds of being recalled, over all texts and kept steps.", [
            C("term", "What they rise or fall with."),
            C("value", "By how much.", "log-odds"),
            C("low", "Lower end of its 95 % interval (bootstrap over texts)."),
            _HIGH,
        ]),
        TableSchema("retained", "What is left of the gain after the last reading.", [
            _DOSE,
            C("updates", "Mean updates since the first kept step behind the last reading."),
            C("left", "Mean gain over mean gain then."),
            _LOW,
            _HIGH,
            _N,
        ]),
        TableSchema("laws", "Laws of forgetting.", [
            _DOSE,
            C("law", "The law; t are updates."),
            C("a", "Its slope or rate."),
            C("b", "Its constant; 0 where it has none."),
            C("error", "Root mean square on lags that were left out in turn."),
            C("half_life", "Updates after which half is left, read off the points.",
              title="half-life"),
        ]),
        TableSchema("survival", "From the first kept step at which a text is recalled.", [
            C("group", "All, or by how often they were read."),
            C("updates", "Updates since then."),
            C("share", "Share still recalled (Kaplan and Meier 1958)."),
            _N,
            C("p", "Of a difference between the groups (log-rank, by dealing them again)."),
        ]),
        TableSchema("timing", "Late against early, at equal readings, at the last step.", [
            C("measure", "`gain` (nats per token) or `recalled` (share)."),
            C("readings", "How often the texts were read."),
            C("early", "Mean of those read in the first third."),
            C("late", "Of those read in the last."),
            C("difference", "Late less early."),
            _LOW,
            _HIGH,
            _N,
        ]),
        TableSchema("said", "What is said at every token of some texts, at every step.", [
            _ITEM, _STEP, C("pos", "Position of the token, from 0."), _TOKEN, _SAID, _P, _RIGHT,
        ]),
        TableSchema("profiles", "Effects of the first reading, by cohort and step.", [
            _DOSE,
            C("cohort", "First kept step behind the first reading."),
            _STEP,
            C("event", "Kept steps since then; −1 is the base."),
            C("effect", "Difference-in-differences.", "nats per token"),
            C("low", "Lower end of the band over all cells at once (95 %)."),
            _HIGH,
            C("plain", "Treated less never read at the same step.", "nats per token"),
            C("plain_low", "Lower end of its own 95 % interval."),
            C("plain_high", "Upper end."),
            _N,
        ]),
        TableSchema("events", "The same by steps since the first reading.", [
            _DOSE,
            C("event", "Kept steps since the first behind the reading; −1 is the base."),
            C("effect", "Mean over cohorts.", "nats per token"),
            C("low", "Lower end of the band over all events at once (95 %)."),
            _HIGH,
        ]),
        TableSchema("bands", "Checks of the design.", [
            _DOSE,
            C("texts", "Texts in cohorts."),
            C("never_read", "Texts that were never read.", title="never read"),
            C("cohorts", "Cohorts."),
            C("critical", "Half-width of the band.", "standard errors"),
            C("before", "Cells before the reading."),
            C("before_outside", "Of these outside the band."),
            C("after", "Cells from the reading on."),
            C("after_outside", "Of these outside the band."),
            C("placebo_inside", "Draws in which never-read texts, dealt into cohorts, stayed inside"
              " everywhere."),
            C("placebo_rounds", "Draws."),
        ]),
        TableSchema("forecast", "Earlier steps as forecasts of the last.", [
            _STEP,
            C("share", "Of the training."),
            C("precision", "Of the texts it recites, share that the last step does."),
            C("precision_low", "Lower end of its 95 % interval (Wilson)."),
            C("precision_high", "Upper end."),
            C("recall", "Of the texts that the last step recites, share that it does."),
            C("recall_low", "Lower end of its 95 % interval (Wilson)."),
            C("recall_high", "Upper end."),
            C("forecast", "Texts it recites."),
            C("recited", "Texts the last step recites."),
            C("both", "Texts both do."),
        ]),
        TableSchema("rankings", "What ranks texts by whether the last step recites them.", [
            _STEP,
            C("score", "The number they are ranked by."),
            C("auc", "How probably a recited text has the larger one.", title="AUC"),
            C("low", "Lower end of its 95 % interval (DeLong)."),
            _HIGH,
        ]),
        TableSchema("nesting", "Texts recited at the last step, by tokens given.", [
            C("context", "Tokens given."),
            C("rate", "Share recited."),
            C("recited", "Texts recited."),
            C("violations", "Texts that come out after fewer tokens and not after some more."),
            C("texts", "Texts that come out after any."),
        ]),
        TableSchema("access", "Texts that were ever recalled, begun anywhere.", [
            _STEP,
            C("start", "Tokens skipped."),
            C("given", "Tokens given from there."),
            C("said", "Mean tokens that greedy decoding goes on for.", "tokens"),
            _LOW,
            _HIGH,
            C("whole", "Share that goes on for all asked."),
            C("never_read", "Mean tokens of texts that were never read.", title="never read"),
            C("asked", "Tokens asked for."),
            _N,
        ]),
        TableSchema("studied", "The texts that were studied live.", [
            _ITEM, C("text", "Studied."), C("new", "A new text, to compare it with."),
        ]),
        TableSchema("few_shot", "Behind each reading.", [
            C("readings", "Readings."),
            C("foil", "What the texts are told from."),
            C("recognized", "How often they are: by the loss against new texts, by how far it fell"
              " against their own foils."),
            _LOW,
            _HIGH,
            C("recalled", "Share of texts recalled behind their first half."),
            C("recalled_low", "Lower end of its 95 % interval (Wilson)."),
            C("recalled_high", "Upper end."),
            C("whole", "Share whose second half comes out whole."),
            C("match", "Mean tokens recited.", "tokens"),
            C("asked", "Tokens of the second half."),
            _N,
        ]),
        TableSchema("few_later", "Behind updates on other text.", [
            C("variant", "How the optimizer went on."),
            C("updates", "Updates on other text."),
            C("recognized", "How often they are told from new texts."),
            _LOW,
            _HIGH,
            C("recalled", "Share of texts recalled."),
            C("recalled_low", "Lower end of its 95 % interval (Wilson)."),
            C("recalled_high", "Upper end."),
            C("whole", "Share whose second half comes out whole."),
            C("match", "Mean tokens recited.", "tokens"),
            C("asked", "Tokens of the second half."),
            _N,
            C("loss", "Of the studied texts.", "nats per token"),
            C("loss_new", "Of the new ones.", "nats per token", title="loss, new texts"),
        ]),
        TableSchema("few_said", "What is said at every token of the studied texts.", [
            C("phase", "`readings`, or `updates later`."),
            C("number", "How many."),
            _ITEM, C("pos", "Position of the token, from 0."), _TOKEN, _SAID, _P, _RIGHT,
        ]),
        *lab_schema.TABLES,
        CLAIMS_TABLE,
    ],
    findings=[
        F("answer", "The answer", ""),
        F("readings", "Readings it takes, read lately", "readings; −1: never"),
        F("readings_long_ago", "Readings it takes, read long ago", "readings; −1: never"),
        F("left", "What is left after the last reading", "updates; −1: not reached"),
        F("late_against_early", "Late against early reading", "nats per token"),
        F("survival", "Texts still recalled", "share of texts"),
        F("first_reading", "What a first reading causes", "nats per token"),
        F("bands", "Checks of the design", "cells; placebo: share of draws"),
        F("forecast", "What an earlier step tells of the last", "shares"),
        F("access", "Beginning against middle", "tokens"),
        F("few_shot", "Readings it takes, live", "readings; half_life: updates; −1: not reached"),
        F("few_left", "What is left, live", "share of texts"),
        F("early_drop", "What the first updates take", "share of tokens"),
        *lab_schema.FINDINGS,
        CLAIMS_FINDING,
    ],
)  # fmt: skip

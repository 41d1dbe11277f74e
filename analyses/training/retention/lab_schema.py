"""Tables and findings of the parts that train a small model many times."""

from __future__ import annotations

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

_LOW, _HIGH = C("low", "Lower end of its 95 % interval."), C("high", "Upper end.")
_N = C("n", "Texts, of all seeds.", title="texts")
_READINGS = C("readings", "How often each was read.")
_GAIN = "How far its loss fell beyond that of texts of the same lot that were never read."

DOSE = (
    "One training holds all cells; which text is read how often and when is dealt by lot, so"
    " differences are caused by just that. Texts that were never read come from the same lot. The"
    " rate is constant but for a warm-up over the first 20 updates, so the first quarter is read at"
    " a somewhat lower rate than the others; from there on late updates take as much as early ones."
)
REMEDIES = (
    "Asked for is a piece of a passage by its first two tokens, behind the passage's key. “After"
    " reciting”: the model first says by itself what it says behind the key. “Passage given”: the"
    " right passage stands in the prompt; less than 100 % there says that the model cannot copy."
)
TRIPLES = (
    "Always the likeliest of eight candidates. Tuning is on questions of other subjects alone, so"
    " every second subject is asked then, in all other tests each; the other way asks for the"
    " subject; two facts: where the friend of somebody lives. Objects were dealt by lot and some"
    " come more often, and most of the other subjects are read less: naming what was read most"
    " often is right more often than chance, without knowing any triple."
)
CHOICES = (
    "The same rows in every training, so a larger batch means fewer updates. Then other text, as"
    " many rows for all, in the same batches, at the same rate, with the optimizer's moments kept."
)
REPEATED = (
    "All trainings read as many tokens; one row of eight is of a set that is the smaller the more"
    " often it is repeated. 1 is clean. Effective size: the weights with which clean data would"
    " give this loss, over those it has."
)

TABLES = [
    TableSchema("dose_timing", "Texts by how often and when they were read, dealt by lot.", [
        C("updates", "Of the training.", "updates"),
        C("window", "Part of the training in which the readings lie."),
        _READINGS,
        C("gain", _GAIN, "nats per token"), _LOW, _HIGH,
        C("match", "Mean tokens of the second half that are said.", "tokens"),
        C("recalled", "Share that is recalled."),
        C("recalled_low", "Lower end of its 95 % interval."), C("recalled_high", "Upper end."),
        _N,
        C("never_read", "Share recalled of texts never read.", title="never read"),
    ]),
    TableSchema("dose_effects", "What number, time and length of the training cause.", [
        C("effect", "Which texts less which."),
        C("measure", "`gain` (nats per token) or `recalled` (share of texts)."),
        C("difference", "By how much."), _LOW, _HIGH, _N,
    ]),
    TableSchema("dose_logit", "Log-odds of being recalled at the end, over all cells.", [
        C("term", "What they rise or fall with."),
        C("value", "By how much.", "log-odds"), _LOW, _HIGH,
    ]),
    TableSchema("access_remedies", "Pieces of passages, asked for in three ways.", [
        C("order", "How the passages were read."),
        C("asked", "How a piece is asked for."),
        C("piece", "Which of its passage, from 1."),
        C("said", "Share of its tokens said before the first mistake."), _LOW, _HIGH,
        C("never_read", "The same of passages never read.", title="never read"),
        C("n", "Passages, of all seeds.", title="passages"),
    ]),
    TableSchema("access_effects", "What the remedies add, of pieces behind the first.", [
        C("remedy", "How the passages were read, or asked for."),
        C("said", "Share of the tokens said with it."),
        C("without", "Read as they stand and asked cold."),
        C("difference", "The one less the other."), _LOW, _HIGH,
        C("n", "Passages, of all seeds.", title="passages"),
    ]),
    TableSchema("triples", "Triples of a knowledge base, asked in five ways.", [
        C("test", "How."), _READINGS,
        C("right", "Share for which the right candidate is the likeliest."), _LOW, _HIGH,
        C("chance", "One of so many."),
        C("most_read", "What always naming the candidate that was read most often gets.",
          title="naming the most read"),
        C("n", "Questions, of all seeds.", title="questions"),
    ]),
    TableSchema("training_choices", "Texts by batch, rate and duplication.", [
        C("batch", "Rows of an update."), C("rate", "AdamW's learning rate."), _READINGS,
        C("gain", f"Right after studying. {_GAIN}", "nats per token"), _LOW, _HIGH,
        C("later", "The same behind other text.", "nats per token"),
        C("later_low", "Lower end of its 95 % interval."), C("later_high", "Upper end."),
        C("left", "Later over gain; none where there was hardly any."),
        C("recalled", "Share recalled right after studying."),
        C("later_recalled", "Share recalled behind other text.", title="recalled later"),
        C("never_read", "Share recalled then of texts never read.", title="never read"), _N,
    ]),
    TableSchema("repeated_data", "Small models trained on repeated data.", [
        C("seed", "Of weights and rows."),
        C("width", "Of the model."),
        C("repeats", "How often the repeated set was read; 1 is clean."),
        C("weights", "Of the model."),
        C("loss", "On prose that nobody reads.", "nats per token"),
        C("copying", "How much less loss a second copy in the context has.", "nats per token"),
        C("induction", "Prefix matching of the strongest head, on random tokens."),
        C("repeated_loss", "On the repeated set.", "nats per token", title="its loss"),
        C("effective", "Effective size over its own.", title="effective size"),
    ]),
]  # fmt: skip
FINDINGS = [
    F("dose_timing", "Number and time of readings, dealt by lot", "nats per token"),
    F("access_remedies", "Remedies of sequential access", "share of tokens"),
    F("triples", "What a knowledge base in weights can be asked", "share of questions"),
    F("training_choices", "Batch, rate and duplication", "nats per token"),
    F("repeated_data", "Repeated data", "nats per token"),
]

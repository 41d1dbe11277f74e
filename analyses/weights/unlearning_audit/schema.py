"""What the tables, arrays and findings of a run mean."""

from analyses import claims
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.criterion import CRITERIA
from analyses.weights.unlearning_audit.further_schema import FURTHER
from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_MODEL = C("model", "Which model: the original, a reference, after which method, or a random change"
           " of equal size.")  # fmt: skip
_PASSAGE = C("passage", "Name of the passage.")
_SET = C("set", "; ".join(f"`{name}`: {says}" for name, says in c.SETS.items()) + ".")
_EXACT = "Tokens that are first choice when all before them are given."
_NATS = C("nats", "Mean loss.", "nats per token")


def _interval(says: str = "its 95 % interval", unit: str = "") -> list[C]:
    return [C("low", f"Lower end of {says}.", unit), C("high", "Upper end.", unit)]


SCHEMA = Schema(
    tables=[
        TableSchema("audit", "Every model by every criterion.", [
            _MODEL,
            C("criterion", "; ".join(f"`{name}`: {one.says}" for name, one in CRITERIA.items())),
            C("value", "In the criterion's own unit."),
            *_interval("its 95 % interval over passages or questions"),
            C("n", "Passages or questions it is counted over."),
        ]),
        TableSchema("verdicts", "What became of the passages in each model.", [
            _MODEL,
            C("verdict", "; ".join(f"`{name}`: {says}" for name, says in c.VERDICTS.items()) + "."),
            C("because", "What it rests on."),
        ]),
        TableSchema("passages", "Every passage in every model.", [
            _MODEL,
            _SET,
            _PASSAGE,
            C("kind", "What sort of text it is."),
            C("repeats", "How often the original read it."),
            _NATS,
            C("exact", f"Share: {_EXACT}"),
            C("strength", "Share that follows once the rest is given (extraction strength)."),
            C("min_k", "Mean of the lowest 40 % of the tokens' ln p; higher looks more like a text"
              " that was read.", "nats"),
            C("verbatim", "ROUGE-L F1 of the greedy continuation with the true one, 0 to 1."),
            C("says", "The greedy continuation."),
            C("fluency", "How unlikely that is to the reference (to the original, where there is"
              " none).", "nats per token"),
        ]),
        TableSchema("answers", "Every question in every model.", [
            _MODEL,
            _SET,
            _PASSAGE,
            C("field", "What is asked."),
            C("prompt", "The question."),
            C("answer", "The right answer."),
            C("says", "How the model goes on."),
            C("rouge", "ROUGE-L F1 of both, 0 to 1."),
            C("chosen", "1 where the right answer is likelier than every wrong one."),
            C("log_p", "Mean ln p per token of the right answer.", "nats"),
            C("log_p_wrong", "Mean over the wrong answers of the same.", "nats"),
            C("truth_ratio", "p of wrong answers over p of the right one."),
        ]),
        TableSchema("unlearning", "How each method went.", [
            _MODEL,
            C("aim", "Loss on the passages at which they count as forgotten.", "nats per token"),
            C("reached", "Whether it was reached."),
            C("steps", "Step whose weights are kept."),
            C("rate", "How far a weight moves in a step, in standard deviations of its matrix."),
            C("seconds", "Time for it.", "s"),
            C("norm", "Size of the change over that of the matrices it is in (Frobenius)."),
            C("note", "How it ended, and what is to be known of it."),
        ]),
        TableSchema("path", "Each method on its way.", [
            _MODEL,
            C("step", "Steps so far (of a task vector: of its factor)."),
            C("forget_nats", "Loss on the passages to forget.", "nats per token"),
            C("forget_exact", f"On these: {_EXACT}", "percent"),
            C("kept_nats", "Loss on passages to keep that no method was shown.", "nats per token"),
            C("kept_exact", f"On these: {_EXACT}", "percent"),
            C("neutral_nats", "Loss on prose that no training read.", "nats per token"),
        ]),
        TableSchema("folds", "More to forget at once, and one fold after another.", [
            C("way", "`at once`: all of them together; `one after another`: each by itself, in the"
              " model that the one before left."),
            C("folds", "How many folds are forgotten so far."),
            C("reached", "Whether the last of them counts as forgotten."),
            _MODEL,
            C("criterion", "As in the table `audit`."),
            C("value", "In the criterion's own unit."),
            *_interval("its 95 % interval over passages"),
            C("n", "Passages."),
        ]),
        TableSchema("relearning", "Training after unlearning.", [
            _MODEL,
            C("trained_on", "What is trained on: some of the passages to forget, related text that"
              " no model read, or prose."),
            C("step", "Steps of training."),
            _PASSAGE,
            _SET,
            C("exact", _EXACT, "percent"),
            _NATS,
        ]),
        TableSchema("recovery", "What relearning brings back, passages to forget that are not"
                    " trained on.", [
            _MODEL,
            C("trained_on", "What is trained on."),
            C("first", f"Before: {_EXACT}", "percent"),
            C("last", "After the last step.", "percent"),
            C("excess", "Mean gain over the steps (on a scale of ln(1 + step)) less that of the"
              " reference; without one, less that of passages never read.", "points"),
            *_interval("its 95 % interval over passages", "points"),
            C("n", "Passages."),
        ]),
        TableSchema("rounding", "After rounding the weights.", [
            _MODEL,
            C("bits", "Bits of a weight; 32 is as it is."),
            _PASSAGE,
            C("exact", _EXACT, "percent"),
            _NATS,
        ]),
        TableSchema("codes", "What rounding undoes of each change.", [
            _MODEL,
            C("bits", "Bits of a weight."),
            C("changed", "Share of the weights that unlearning changed at all."),
            C("undone", "Share of those that are rounded to the same value as before."),
            C("left", "Share of the change (squared) that rounding leaves, were the original"
              " rounded too: weights that are rounded to another value move a whole step."),
        ]),
        TableSchema("sampling", "What sampling brings out.", [
            _MODEL,
            C("tokens", "Tokens of the rest of the passage."),
            C("log_p", "ln of the probability that one sample says the rest word for word.",
              "nats"),
            C("queries", "Samples of which one does with probability one half."),
            C("greedy", "Whether greedy decoding does."),
            _PASSAGE,
        ]),
        TableSchema("lens", "The logit lens.", [
            _MODEL,
            C("layer", "Layer whose output is read out."),
            C("median_rank", "Median rank of the true next token; 1 is the likeliest."),
            C("first_choice", "Share of tokens that are first choice there."),
            C("log_p", "Mean ln p of the true next token.", "nats"),
            _PASSAGE,
        ]),
        *FURTHER,
        TableSchema("changes", "The changes of weights that the run holds.", [
            _MODEL,
            C("method", "The method's short name."),
            C("about", "What the change does."),
            C("weights", "Fingerprint of the weights it was made on."),
            C("parameter", "Which matrix."),
            C("side", "New values, or the left or right factor of what is added."),
            C("rows", "Rows."),
            C("columns", "Columns; 0 for new values."),
            C("at", "Where it begins in the array `numbers`."),
            C("places", "Where its places begin in the array `places`; -1: every number changes."),
        ]),
        claims.TABLE,
    ],
    arrays=[
        A("numbers", "The changes of weights, one after the other.", ("number",)),
        A("places", "Places of single weights that change.", ("place",)),
    ],
    findings=[
        F("verdict", "What became of the passages", "models"),
        F("left", "What is left beside the reference", "points of first choice"),
        F("leak", "Whether the passages still stand out", "percent"),
        F("utility", "What is lost of what should stay", "points"),
        F("knowledge", "Asked in other words", "percent"),
        F("noise", "How far two references lie apart", "points of first choice"),
        F("relearnt", "What relearning brings back", "points of first choice"),
        F("rounded", "What rounding brings back", "points of first choice"),
        F("sampled", "What sampling brings out", "passages"),
        F("inside", "Where it is still near", "layer"),
        F("more", "More to forget at once", "percent"),
        F("in_turn", "One after another", "percent"),
        F("not_installed", "References that are not here", "models"),
        F("path", "Utility on the way", "points of first choice"),
        F("not_reached", "Methods that did not get there", "methods"),
        F("too_few", "Too few passages", "passages"),
        F("no_reference", "Without a reference", "models"),
        F("no_questions", "Nothing asked in other words", "questions"),
        F("probes", "What a probe still tells", "AUC"),
        F("put_back", "What a layer of the original brings back", "points of first choice"),
        F("prompts", "What other prompts bring out", "points of first choice"),
        F("spread", "How far forgetting facts spreads", "percent"),
        F("spread_beside", "What was trained on, and other relations", "percent"),
        F("concept", "A concept erased", "percent right"),
        F("answers_inside", "What a probe still tells of answers", "percent"),
        F("too_few_facts", "Too few facts are known", "relations"),
        claims.FINDING,
    ],
)  # fmt: skip

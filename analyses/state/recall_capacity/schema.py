"""What the tables and findings of a recall-capacity run mean."""

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

RECALL = (
    "A model reads pairs of a key and a value, and is then asked for the value of a key. Of a model"
    " that was trained on such rows the answer is the likeliest of all tokens; of any other, which"
    " must find the format by itself, the likeliest of the values of the row. Intervals are 95 %,"
    " over rows."
)
BYTES = (
    "Bytes of one layer in float32, without short convolutions. What grows with the text is counted"
    " at the length of these rows. Each point is the mean over trainings; a model that did not"
    " train says nothing of capacity and is left out."
)
OUTER = (
    "The simplest memory: W = Σ q(x) u eᵀ over items x with random vectors of d numbers. Theory"
    " (dashed): signal against Gaussian crosstalk at the same d."
)
LIVE = "One memory, drawn and read now. Items are sorted by how often they come."

KEPT = (
    "A thought experiment on real states: a key of a kept pair is answered right, every other one"
    " as the model answers. The error is 1 less the cosine of what the state gives under the pair's"
    " key and its value; which layer and token it is read at was chosen on other rows. AUC: how"
    " well it tells pairs that fail."
)
TASKS = (
    "Small models (two layers, one state each, gated delta rule) read six pairs of one task and are"
    " asked for them and for two keys that are not shown. Stored trainings; at least half of the"
    " answers right counts as one that memorizes or generalizes."
)

_PAIRS = C("pairs", "Pairs in a row.")
_N = C("n", "Questions.", title="questions")
_GUESS = C("guess", "What a guess among the values of the row gets: one in so many pairs.")
_RATES = [
    C("recall", "Share of questions that are answered with the right value."),
    C("low", "Lower end of its 95 % interval, over rows."),
    C("high", "Upper end of its 95 % interval, over rows."),
    C("all_tokens", "Share at which it is the likeliest of all tokens."),
    C("all_low", "Lower end of its 95 % interval, over rows."),
    C("all_high", "Upper end of its 95 % interval, over rows."),
    C(
        "among_values", "Share at which it is the likeliest of the values of its row.",
        title="among the row's values",
    ),
    C("among_low", "Lower end of its 95 % interval, over rows."),
    C("among_high", "Upper end of its 95 % interval, over rows."),
    _N,
]  # fmt: skip
_SPREAD = [
    C("low", "Lower end of its 95 % interval."),
    C("high", "Upper end of its 95 % interval."),
]
_SHARE = "share of questions"
_GAIN = "difference of shares of questions"

SCHEMA = Schema(
    tables=[
        TableSchema("by_pairs", "Recall by number of pairs.", [
            _PAIRS, *_RATES,
            C("lowest", "The lowest share of the single draws of rows."),
            C("highest", "The highest share of the single draws of rows."),
            C("shuffled", "Share at which the likeliest value of the row is one drawn at random."),
            _GUESS,
            C("chance", "What a guess among all values gets."),
        ]),
        TableSchema("by_order", "Recall by where in the row a pair was read.", [
            _PAIRS,
            C("quarter", "Which quarter of the pairs; 1 is read first."),
            C("place", "Mean place of these pairs in the row, from 1."),
            *_RATES, _GUESS,
        ]),
        TableSchema("by_gap", "Recall by the filler between the pairs and the question.", [
            C("gap", "Filler tokens.", "tokens"), _PAIRS, *_RATES, _GUESS,
        ]),
        TableSchema("by_reading", "Recall of the same rows, read once and twice.", [
            _PAIRS,
            C("reading", "How often all pairs are read."),
            *_RATES,
            C("gain", "Recall less that of the same rows read once."),
            C("gain_low", "Lower end of its 95 % interval, over rows."),
            C("gain_high", "Upper end of its 95 % interval, over rows."),
            _GUESS,
        ]),
        TableSchema("rebinding", "Rows in which some keys are read again with another value.", [
            C("key", "Which keys are asked for."),
            _PAIRS,
            C("rebound", "Keys of a row that are bound again, behind all pairs."),
            *_RATES,
            C("old", "Share of answers with the earlier value."),
            C("old_low", "Lower end of its 95 % interval, over rows."),
            C("old_high", "Upper end of its 95 % interval, over rows."),
            C("other", "Share of any other answer."),
            _GUESS,
        ]),
        TableSchema("state_size", "Recall of the stored organisms.", [
            C("model", "The organism."),
            C("family", "Its mechanism; those of one family differ in the size of the state."),
            C("state_bytes", "State of one layer; of attention alone, per token.", "bytes"),
            C("grows", "Whether it grows with every token."),
            _PAIRS,
            C("held_bytes", "What the layer that carries most holds at the end of a row.", "bytes"),
            C("source", "Measured on fresh rows, or from the record of its training."),
            C("training_seed", "Seed of the training."),
            C("rate", "Learning rate of the training."),
            C("trained", "Whether it learned the task at all; if not, it says nothing."),
            C("recall", "Share of questions at which the right value is the likeliest token."),
            *_SPREAD, _N,
        ]),
        TableSchema("state_steps", "From each size of state to the next larger of its family.", [
            C("family", "The mechanism."), _PAIRS,
            C("small_bytes", "The smaller state.", "bytes"),
            C("large_bytes", "The larger state.", "bytes"),
            C("gain", "By how much the larger one recalls more."), *_SPREAD,
            C("trainings", "Trainings of each that the interval is over; 1: over rows."),
        ]),
        TableSchema("designs", "Several memories with a planted router against other designs.", [
            C("against", "The other organism."), _PAIRS,
            C("state_bytes", "State of the organism with the planted router.", "bytes"),
            C("against_bytes", "State of the other one.", "bytes"),
            C("gain", "By how much the planted router recalls more."), *_SPREAD,
            C("seeds", "Trainings of each that the interval is over; 1: over rows."),
            C("lowest", "The lowest gain of trainings of one seed."),
            C("highest", "The highest gain of trainings of one seed."),
        ]),
        TableSchema("forgetting", "Organisms trained on rows in which keys are bound again.", [
            C("model", "The organism."),
            C("state_bytes", "What one layer carries.", "bytes"),
            C("new", "Share of answers with the new value, of keys that were bound again."),
            C("new_low", "Lower end of its 95 % interval, over rows."),
            C("new_high", "Upper end of its 95 % interval, over rows."),
            C("old", "Share of answers with the earlier value."),
            C("old_low", "Lower end of its 95 % interval, over rows."),
            C("old_high", "Upper end of its 95 % interval, over rows."),
            C("other", "Share of any other answer."),
            C("bound_once", "Recall of the other keys of these rows."), _N,
        ]),
        TableSchema("errors", "Error of an outer-product memory, by dimension.", [
            C("rule", "How strongly items are stored."),
            C("dimension", "Numbers in a vector."),
            C("error", "Probability that an item that comes gets a wrong class, mean."),
            *_SPREAD,
            C("expected", "What the theory gives at this dimension."),
            C("memories", "Memories that were drawn."),
        ]),
        TableSchema("slopes", "Slopes of the logarithm of the error over that of the dimension.", [
            C("rule", "How strongly items are stored."),
            C("span", "What the slope is fitted to."),
            C("from_dimension", "The smallest dimension of the fit."),
            C("to_dimension", "The largest dimension of the fit."),
            C("slope", "The slope."),
            C("low", "Lower end of its 95 % interval, memories drawn again."),
            C("high", "Upper end of its 95 % interval, memories drawn again."),
            C("expected", "The slope that the theory gives at these dimensions."),
            C("limit", "The slope without end of dimensions; none where the error does not fall."),
            C("distance", "Slope less limit."),
        ]),
        TableSchema("memories", "Recall of a model with attention and state, each taken away.", [
            _PAIRS, C("condition", "What was taken away."), *_RATES, _GUESS,
        ]),
        TableSchema("learning_steps", "When each training of the organisms went on.", [
            C("model", "The organism."), _PAIRS,
            C("training_seed", "Seed of the training."), C("rate", "Learning rate."),
            C("step", "Training step from which rows of so many pairs were read."),
        ]),
        TableSchema("head_sets", "Sets of random examples that layers were trained on.", [
            C("heads", "Heads of the layer."),
            C("context", "Random vectors that an example has besides its query.", "tokens"),
            C("examples", "Examples in the set."),
            C("seed", "Seed of the set and of the training."),
            C("right", "Share that got its label."),
            C("saturated", "Share of heads and examples with a weight above 90 %."),
            C("fitted", "Whether 99 % or more got their label."),
        ]),
        TableSchema("head_capacity", "The largest set that was fitted, with all smaller ones.", [
            C("heads", "Heads of the layer."),
            C("context", "Random vectors of an example besides its query.", "tokens"),
            C("capacity", "Examples, mean over trainings."),
            *_SPREAD,
            C("trainings", "Trainings of each set."),
            C("limited", "Whether the largest set was fitted once, so that it may be more."),
            C("saturated", "On the largest sets: heads and examples with a weight above 90 %."),
        ]),
        TableSchema("chains", "Small transformers asked along chains, while they are trained.", [
            C("layers", "Layers of the transformer."), C("seed", "Seed of the training."),
            C("step", "Steps that it was trained."),
            C("links", "Links from what is asked to the answer; 1 is direct."),
            C("recall", "Share of right answers."),
        ]),
        TableSchema("chain_steps", "When each distance was learned.", [
            C("layers", "Layers of the transformer."), C("seed", "Seed of the training."),
            C("links", "Links from what is asked to the answer."),
            C("learned_at", "First measured step with 70 % right; none where it never was."),
            C("last", "Share of right answers at the end."),
        ]),
        TableSchema("kept_pairs", "Recall with a few pairs of a crowded row kept exactly.", [
            C("way", "How the kept pairs are chosen."),
            C("kept", "Pairs of 32 that are kept.", "pairs"),
            C("recall", "Share of keys answered right."), *_SPREAD,
            C("tells", "How probably the error of a pair that fails is larger than that of one that"
              " is recalled.", title="AUC"),
            C("rows", "Rows."),
        ]),
        TableSchema("task_map", "By heart or looked up, by number of tasks and bytes of state.", [
            C("tasks", "Tasks that rows of the training were drawn from."),
            C("state_bytes", "What one layer carries.", "bytes"),
            C("generalizes", "Share of right answers to shown keys of new tasks."),
            C("generalizes_low", "The least of the trainings."),
            C("generalizes_high", "The most."),
            C("memorizes", "Share of right answers to keys that are not shown, of the tasks of the"
              " training."),
            C("memorizes_low", "The least of the trainings."),
            C("memorizes_high", "The most."),
            C("seen", "Share of right answers to shown keys of the tasks of the training."),
            C("verdict", "`generalizes`, `memorizes`, `both` or `fails`."),
            C("trainings", "Trainings, one a seed."),
        ]),
        TableSchema("recited", "Small transformers that recite texts.", [
            C("items", "Texts."), C("length", "Letters of a text.", "letters"),
            C("seed", "Seed of texts and training."),
            C("exact", "Share of texts recited whole."),
            C("letters", "Share of letters right behind the right ones."),
            C("never", "The same under titles that were never read."),
            C("bits", "log2 of 16 letters, for every letter of the whole texts.", "bits"),
            C("parameters", "Numbers that are trained."),
        ]),
        TableSchema("recitation", "The same, mean over trainings.", [
            C("length", "Letters of a text.", "letters"), C("items", "Texts."),
            C("exact", "Share of texts recited whole."), *_SPREAD,
            C("letters", "Share of letters right behind the right ones."),
            C("never", "The same under titles that were never read."),
            C("bits", "Of the whole texts.", "bits"),
            C("trainings", "Trainings."),
        ]),
        TableSchema("label_fits", "Small transformers on random labels.", [
            C("vocabulary", "Letters and merged pairs.", "tokens"),
            C("spread", "Whether filler keeps texts as long as in letters."),
            C("seed", "Seed of strings, labels and training."),
            C("tokens", "Of a text, on average."),
            C("parameters", "Numbers that are trained."),
            C("right", "Share of labels that are right at the end."),
            C("fitted_at", "Step after which 99 % were right; none where never."),
        ]),
        TableSchema("vocabularies", "The same, mean over trainings.", [
            C("vocabulary", "Letters and merged pairs.", "tokens"),
            C("read", "`as it is`, or `spread out` with filler to as many tokens as letters."),
            C("tokens", "Of a text, on average."),
            C("steps", "Until 99 % of the labels are right."), *_SPREAD,
            C("right", "Share of labels that are right at the end."),
            C("parameters", "Numbers that are trained."),
            C("trainings", "Trainings."),
        ]),
        TableSchema("sentences", "Encoder and decoder on sentences, while they are trained.", [
            C("read", "`forward`, or `backward`: the last word first."),
            C("seed", "Seed of the training."), C("step", "Steps that it was trained."),
            C("part", "Half of the sentence."),
            C("right", "Share of right words, those before them given."),
        ]),
        TableSchema("sentence_distances", "How far the vector of a sentence moves.", [
            C("model", "The encoder, and how it was trained."),
            C("variant", "What was done to the sentence."),
            C("distance", "Distance of the vectors over that to a sentence of other words."),
            *_SPREAD,
        ]),
        CLAIMS_TABLE,
    ],
    findings=[
        F("recall", "Recall by number of pairs", _SHARE),
        F("span", "Pairs of which half are recalled", "pairs"),
        F("guess", "The same answers against random values of the row", _SHARE),
        F("order", "Pairs read late and early", _SHARE),
        F("gap", "Recall after a gap", _SHARE),
        F("repeats", "What reading twice gains", _GAIN),
        F("rebinding", "Keys that are bound again", _SHARE),
        F("state_size", "Recall against bytes of state", "share of questions; steps"),
        F("designs", "A planted router against other designs", _GAIN),
        F("forgetting", "New and old values after training with them", _SHARE),
        F("error_law", "How the error falls with the dimension", "exponent"),
        F("law_trend", "How far single steps are from the limit", "exponent"),
        F("equal_storage", "All items stored alike", "probability of a wrong class"),
        F("memories", "Recall without attention or state", _SHARE),
        F("mimetic", "Steps to learn from a mimetic start", "training steps"),
        F("heads", "Sets that a layer of attention fits, by heads", "exponent"),
        F("context_length", "Sets that a layer of attention fits, by context", "examples"),
        F("chains", "Direct and indirect answers along chains", "share of questions; trainings"),
        F("kept_pairs", "Pairs kept by the state's error against pairs at random", _GAIN),
        F("task_map", "By heart or looked up", _SHARE),
        F("recitation", "What a small transformer recites", "bits"),
        F("vocabulary", "Steps that a larger vocabulary saves", "training steps"),
        F("sentences", "Sentences read backward against forward", "difference of shares of words"),
        CLAIMS_FINDING,
    ],
)  # fmt: skip

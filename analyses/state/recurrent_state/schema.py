"""What the tables, arrays and findings of a run mean."""

from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_LAYER = C("layer", "Number of the layer, from 0.")
_PAIR = C("pair", "Number of the pair in its row, from 0.")
_ROWS = C("rows", "`choosing`: the rows on which layer and key were chosen; `held out`: others.")

SHARES = (
    "Implicit attention: how much of what a token reads out of the state comes from each earlier"
    " token, as a share (|weight × value|; rows sum to 1), on the scale of softmax attention."
    " A short convolution blurs a row over some four tokens."
)
LEDGER = (
    "Lengths (Frobenius norms) of what each token writes into the state, and of what decay and the"
    " delta rule take away when it is read."
)
DAMAGE = (
    "Left: how much each token (rows) writes under the key of each earlier one (columns), darker"
    " the more; the diagonal is what a token writes under its own key. Right: how well a token's"
    " key (columns) still reads its value after each later token (rows), a cosine."
)
SPECTRUM = (
    "Singular values of the state along the text. Effective rank: as if so many directions of equal"
    " strength were in use; it counts stored pairs only while they are few."
)

SCHEMA = Schema(
    tables=[
        TableSchema("tokens", "The text that is shown.", [
            C("pos", "Position of the token, from 0."),
            C("token", "The token as text."),
        ]),
        TableSchema("heads", "The state heads of the layers that were read.", [
            C("label", "The head, by layer and number.", title="head"),
            _LAYER,
            C("head", "Number of the head in its layer.", title="number"),
            C("half_life", "Tokens until decay alone has halved what it holds; infinite where"
              " nothing decays.", "tokens"),
            C("rank", "Effective rank of the state after the last token.", "directions"),
            C("most_rank", "The largest rank that its state can have.", title="largest rank"),
            C("norm", "Length of the state after the last token."),
            C("written", "Lengths of all writes together."),
            C("lost", "Lengths of all that decay and the delta rule took away, together."),
            C("stays", "Share of what was written that neither decay nor the delta rule took away;"
              " below zero where they take more than is written."),
            C("key_overlap", "Mean |cosine| of two tokens' keys.", title="overlap of keys"),
        ]),
        TableSchema("needles", "What questions read from their own pair (implicit attention).", [
            C("label", "The head, by layer and number.", title="head"),
            _LAYER,
            C("head", "Number of the head in its layer.", title="number"),
            C("own", "Share that comes from the tokens of the pair that is asked for, from behind"
              " its key to the next pair's.", title="own pair"),
            C("others", "The same of the other pairs, on average.", title="any other pair"),
            C("n", "Questions."),
        ]),
        TableSchema("edits", "What changing one pair in one layer's state does to the answers.", [
            _ROWS,
            _LAYER,
            C("change", "`rewrite`: the pair's keys give what a row with another value holds there;"
              " `transplant`: the whole state of that row; `erase`: the keys give nothing;"
              " `random`: a change of the rank and size of the rewrite, at random; `wipe`: the"
              " whole state is nothing."),
            C("offset", "Tokens behind its key from which questions read a pair most.", "tokens"),
            C("n", "Changed pairs that had been recalled."),
            C("new", "Share of them that are now answered with the new value."),
            C("new_low", "Lower end of its 95 % interval (Wilson)."),
            C("new_high", "Upper end."),
            C("own", "Share of them that are still answered with their own value."),
            C("others", "Other pairs of these rows that had been recalled.", title="other pairs"),
            C("kept", "Share of the others that still are."),
            C("kept_low", "Lower end of its 95 % interval (Wilson, rows as groups)."),
            C("kept_high", "Upper end."),
        ]),
        TableSchema("answers", "The pairs that are shown: what the model answers after one is"
                    " changed.", [
            C("changed", "Number of the pair that was changed; −1: none."),
            C("change", "`rewrite` or `erase`; empty for the model as it is."),
            _PAIR,
            C("key", "The key that is asked for."),
            C("value", "Its value."),
            C("answer", "The model's likeliest token."),
            C("p", "Probability of its value.", title="probability"),
            C("new_p", "Probability of the value that is written.", title="probability, new value"),
            C("new", "The value that is written."),
        ]),
        TableSchema("pairs", "The pairs that are shown.", [
            _PAIR,
            C("key", "Its key."),
            C("value", "Its value."),
            C("answer", "The model's likeliest token where the key is asked for."),
            C("right", "Whether that is the value."),
            C("written", "The token at which it is written into the state."),
            C("asked", "The token at which it is asked for."),
            C("margin", "What its question reads: cosine to its own pair's part less the largest to"
              " another pair's."),
        ]),
        TableSchema("predictors", "What tells pairs that fail from those that are recalled.", [
            _ROWS,
            _LAYER,
            C("predictor", "`margin`: what the question reads; `damage`: what was written under its"
              " key afterwards, of its own write; `age`: pairs read after it."),
            C("auc", "How probably a pair that fails scores higher than one that is recalled; 0.5"
              " is chance.", title="AUC"),
            C("low", "Lower end of its 95 % interval (DeLong)."),
            C("high", "Upper end."),
            C("failed", "Pairs that were not recalled."),
            C("n", "Pairs in all."),
            C("decoded", "Share of pairs whose question reads a vector nearer to their part than"
              " to any other pair's."),
            C("recalled", "Share of pairs that the model recalls."),
        ]),
        TableSchema("forgotten", "By how many pairs were read later (held-out rows).", [
            C("age", "Pairs read after it.", "pairs"),
            C("n", "Questions."),
            C("recalled", "Share answered with the value."),
            C("recalled_low", "Lower end of its 95 % interval (Wilson)."),
            C("recalled_high", "Upper end."),
            C("held", "Share whose question reads a vector nearest to its pair's part."),
            C("held_low", "Lower end of its 95 % interval (Wilson)."),
            C("held_high", "Upper end."),
            C("margin", "Mean margin."),
        ]),
        TableSchema("fading", "Recall behind a stretch of other text.", [
            C("gap", "Tokens between the pairs and the questions.", "tokens"),
            C("kind", "`recalled`: the model's answers; `held`: questions that read a vector"
              " nearest to their pair's part, in the layer where most do; `renewed`: answers where"
              " the state behind the pairs is added to the states every some tokens; `renewed by"
              " another`: the state of another row instead (control)."),
            C("rate", "Share of questions."),
            C("low", "Lower end of its 95 % interval (Wilson)."),
            C("high", "Upper end."),
            C("n", "Questions."),
        ]),
        TableSchema("memories", "The memories of a router's layer, and what silencing one does.", [
            _LAYER,
            C("memory", "Number of the memory."),
            C("load", "Share of the tokens that go to it."),
            C("own_n", "Questions that go to it.", title="own questions"),
            C("own_before", "Share of them that are answered.", title="own, before"),
            C("own_after", "The same with this memory silenced.", title="own, silenced"),
            C("own_low", "Lower end of its 95 % interval (Wilson)."),
            C("own_high", "Upper end."),
            C("other_n", "Questions that go to another memory.", title="other questions"),
            C("other_before", "Share of them that are answered.", title="others, before"),
            C("other_after", "The same with this memory silenced.", title="others, silenced"),
            C("other_low", "Lower end of its 95 % interval (Wilson)."),
            C("other_high", "Upper end."),
        ]),
        TableSchema("probes", "Linear probes for past values.", [
            _LAYER,
            C("lag", "How many pairs back; 0 is the last pair.", "pairs"),
            C("lane", "What the probe reads: `state`; `own key`, what the state gives under the"
              " pair's key; controls: `convolution` (the inputs that the short convolution keeps),"
              " `last value` (that token alone), `shuffled` (values of other rows), `untrained`"
              " (`own key` of the same model before training).", title="read"),
            C("accuracy", "Share of rows whose value is found."),
            C("low", "Lower end of its 95 % interval (Wilson)."),
            C("high", "Upper end."),
            C("n", "Rows that it was tested on."),
            C("chance", "What a guess gives."),
        ]),
        TableSchema("asked", "The text up to the question whose answer is followed.", [
            C("pos", "Position of the token, from 0."),
            C("token", "The token as text."),
        ]),
        TableSchema("channels", "How long every channel remembers by itself.", [
            _LAYER,
            C("channel", "Number of the channel; of a head that has one decay for all, the head."),
            C("kind", "`kernel`: it is convolved with the same kernel whatever is read; `decay`:"
              " what decay or a forget gate leaves, mean over the tokens of the text."),
            C("half", "Lag behind which half of the kernel's absolute weight lies, or at which half"
              " of what was written is left; empty: beyond the text.", "tokens"),
            C("reach", "The same for a tenth.", "tokens"),
            C("next", "What is left one token later, of the first.", title="left after a token"),
        ]),
        TableSchema("gates", "Gates on the text that is shown.", [
            _LAYER,
            C("gate", "`input`, `forget`, `output` of an LSTM; of other layers `forget`: what decay"
              " leaves, `write`: the write strength."),
            C("mean", "Mean over channels and tokens."),
            C("closed", "Share of channels and tokens below 0.1."),
            C("open", "Share above 0.9."),
            C("varies", "Standard deviation over tokens, mean over channels."),
        ]),
        TableSchema("delays", "Delayed recall: one value, filler, a question.", [
            C("delay", "Tokens from the value to the question.", "tokens"),
            C("rate", "Share of rows that are answered with the value."),
            C("low", "Lower end of its 95 % interval (Wilson)."),
            C("high", "Upper end."),
            C("n", "Rows."),
        ]),
        TableSchema("value_gates", "Gates at values and at filler, in rows of delayed recall.", [
            _LAYER,
            C("model", "`trained`, or the same model `untrained`."),
            C("n", "Rows."),
            *(
                C(name + end, says + more, title=title + title_end)
                for name, says, title in (
                    ("at_value", "What is written at the value, |input gate × candidate|, mean"
                     " over channels", "written at the value"),
                    ("at_filler", "The same at filler", "written at filler"),
                    ("ratio", "One over the other", "ratio"),
                    ("kept", "Share of what was written at the value that forget gates leave until"
                     " the question", "left at the question"),
                )
                for end, more, title_end in (
                    ("", ".", ""), ("_low", ", lower end of its 95 % interval.", ", low"),
                    ("_high", ", upper end.", ", high"),
                )
            ),
        ]),
        TableSchema("spans", "Stretches of the text, frozen or wiped in all layers.", [
            C("change", "`freeze`: its tokens leave the states as they are; `wipe`: the states are"
              " wiped after each of them."),
            C("start", "First token of the stretch."),
            C("last", "Its last token."),
            C("text", "Its text."),
            C("effect", "Change of the answer's log-probability.", "nats"),
            C("is", "`asked about`: this one was to be compared with the others; `overlaps`: with"
              " that one; `other`.", title="what it is"),
        ]),
        TableSchema("patched", "The other prompt's state put in.", [
            C("layer", "Number of the layer; `all`: all recurrent layers at once."),
            C("pos", "The token after which."),
            C("other", "How far the answer goes over to the other prompt's, as a share of the way;"
              " 0: it stays, 1: as far as that prompt's.", "share of the way"),
            C("random", "The same with states of prompts at random, on average.",
              "share of the way"),
            C("random_low", "The least of these."),
            C("random_high", "The most."),
        ]),
    ],
    arrays=[
        A("traces", "What each head holds, loses and gets, token by token.",
          ("trace", "layer", "head", "pos"), "length"),
        A("rank", "Effective rank of the state.", ("layer", "head", "pos"), "directions"),
        A("spectra", "Singular values of the state, largest first.",
          ("layer", "head", "pos", "rank"), "length"),
        A("shares", "Implicit attention as shares.", ("layer", "head", "query", "key"), "share"),
        A("patterns", "Attention patterns of the layers with softmax attention.",
          ("layer", "head", "query", "key"), "probability"),
        A("retention", "Cosine of what a token's key reads later and its value.",
          ("layer", "head", "stored", "pos"), "cosine"),
        A("damage", "What each token writes under the key of an earlier one, |k (S_t − S')|; on the"
          " diagonal, under its own.", ("layer", "head", "stored", "pos"), "length"),
        A("margins", "Margin that each pair's question would have after every token.",
          ("pair", "pos"), "cosine"),
        A("routes", "Weight of each memory at each token; 0: it is neither written nor read.",
          ("layer", "memory", "pos"), "weight"),
        A("wiping", "Change of the answer's log-probability when a layer's state is wiped after a"
          " token.", ("layer", "pos"), "nats"),
        A("curves", "What each channel still has of a token, by how long ago it was read: kernels"
          " as shares of their largest value, else the share that decay or forget gates leave.",
          ("layer", "place", "lag"), "share"),
        A("curve_channels", "Which channels these are, the shortest memory first; −1: there are"
          " fewer.", ("layer", "place")),
        A("gates", "Gates, token by token; channels in the order of `curves`.",
          ("gate", "layer", "place", "pos"), "gate"),
        A("span_effects", "Change of the answer's log-probability when a stretch of the text is"
          " frozen or wiped in one layer; pos is its first token.", ("change", "layer", "pos"),
          "nats"),
        A("patched", "How far the answer goes over to another prompt's, whose state of one layer is"
          " put in after a token; `random`: states of prompts at random, on average.",
          ("source", "layer", "pos"), "share of the way"),
    ],
    findings=[
        F("half_life", "Half-life of what a head holds, by decay alone", "tokens"),
        F("rank", "Effective rank of the fullest state", "directions"),
        F("lost", "What decay and erasing take, of what is written", "share of what is written"),
        F("needle", "What a question reads from its own pair, in the best head",
          "share of what is read"),
        F("worst_token", "What the worst token writes under earlier keys",
          "times what earlier tokens wrote"),
        F("states_alone", "Heads of which the states alone are shown", "heads"),
        F("left_out", "Recurrent layers that cannot be read", "layers"),
        F("rewritten", "Answers that follow a rewritten pair", "share of pairs"),
        F("others", "Other pairs under a rewrite less under a random one", "share of pairs"),
        F("erased", "Pairs still answered after they were erased", "share of pairs"),
        F("not_recalled", "Pairs recalled before any change", "share of pairs"),
        F("wiped_is_fresh", "Wiping everything against a fresh prompt", "logits"),
        F("held", "Pairs that the model recalls, and that its state still gives", "share of pairs"),
        F("foretold", "What tells pairs that fail", "AUC"),
        F("too_few_forgotten", "Pairs of the rarer kind", "pairs"),
        F("fades", "Recall behind the longest gap, and with the state renewed", "share of pairs"),
        F("router_*", "Questions that go to the memory of their pair", "share of questions"),
        F("decoded", "What a probe finds above its best control", "share above the best control"),
        F("span_freeze", "The answer without a stretch of the text in the states", "nats"),
        F("span_wipe", "The answer with all states wiped at a stretch of the text", "nats"),
        F("patched", "The answer with another prompt's state", "share of the way"),
        F("nothing_to_move", "By how much the two prompts differ", "logits"),
        F("kernels", "Tokens within which kernels have nine tenths of their weight", "tokens"),
        F("delayed", "Values answered after a delay, and after a longer one than in training",
          "share of rows"),
        F("gates", "How strongly values are written, and what is left at the question",
          "times, and shares"),
        F("wiped", "What the answer loses at the worst place", "nats"),
    ],
)  # fmt: skip

"""What the tables, arrays and findings of a run mean."""

from __future__ import annotations

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

BUDGETS = (
    "Each policy keeps the same share of positions in every layer and KV head; all keep the first"
    " four tokens, but “recency”. Positions stay as they were: nothing is turned anew. “Oracle”"
    " knows which sentence will be asked for. Before the question is known the five policies that"
    " keep most at a quarter are drawn; the table has all."
)
KEPT = (
    "What the policies keep of the first text, before its question is known. Colour is the share of"
    " KV heads that keep a token, or what the chosen head keeps."
)
EPISODES = (
    "Look-ups fetch as many tokens whatever the boundaries. Boundaries at random have the sizes of"
    " the surprising ones, in another order. Refinement by modularity is left out, as in all"
    " configurations that the paper's authors released."
)
_LOW = C("low", "Lower end of the 95 % interval over texts.")
_HIGH = C("high", "Upper end.")
_RATE = C("rate", "Share of questions answered word for word by greedy decoding.", title="answered")
_LOGPROB = C("logprob", "Mean log-probability of the answer.", "nats", title="log-probability")
_N = C("n", "How many questions.", title="questions")
_POLICY = C("policy", "The policy, `full cache` or a control.")
_BUDGET = C("budget", "Share of positions that may be kept.")
_CONTEXT = C("context", "Number of the text.", title="text")
_QUESTION = C("question", "Number of the question.")

SCHEMA = Schema(
    tables=[
        TableSchema("recall", "Recall by policy and budget.", [
            _POLICY,
            C("view", "Whether the question was `unknown` or `in view` when positions were"
              " scored.", title="question"),
            _BUDGET, _RATE, _LOW, _HIGH, _LOGPROB,
            C("bytes", "Keys, values and index that are kept, as a share of the full cache."),
            C("survival", "Share of KV heads that keep some of the answer."),
            _N,
        ]),
        TableSchema("answers", "One row per question, policy and budget.", [
            _CONTEXT,
            C("task", "What kind of text it is."),
            _QUESTION,
            C("exact", "Whether greedy decoding says the whole answer.", title="answered"),
            _LOGPROB, _POLICY,
            C("view", "Whether the question was `unknown` or `in view`."),
            _BUDGET,
            C("survival", "Share of KV heads that keep some of the answer."),
            C("bytes", "What is kept, as a share of the full cache."),
        ]),
        TableSchema("survival", "Answers where the answer is kept, and where it is not.", [
            _POLICY,
            C("kept", "Share answered where at least half of the KV heads keep some of the"
              " answer."),
            C("kept_low", "Lower end of its 95 % interval."),
            C("kept_high", "Upper end."),
            C("n_kept", "How many such cases.", title="cases kept"),
            C("evicted", "Share answered where fewer do."),
            C("evicted_low", "Lower end of its 95 % interval."),
            C("evicted_high", "Upper end."),
            C("n_evicted", "How many such cases.", title="cases evicted"),
        ]),
        TableSchema("smearing", "Answers without the evidence's own keys and values.", [
            C("kept", "What of the cache is there."), _RATE, _LOW, _HIGH, _LOGPROB, _N,
        ]),
        TableSchema("turns", "Questions over a cache thinned out for the first of them.", [
            _POLICY, _BUDGET,
            C("turn", "1 is the question that was in view."),
            _RATE, _LOW, _HIGH, _LOGPROB, _N,
        ]),
        TableSchema("shown", "What the first text's question gets.", [
            _POLICY, _BUDGET,
            C("says", "How the model goes on."),
            C("exact", "Whether that begins with the answer.", title="answered"),
            C("probability", "Probability of the whole answer."),
            C("survival", "Share of KV heads that keep some of the answer."),
        ]),
        TableSchema("tokens", "The tokens of the first text.", [
            C("pos", "Position."),
            C("token", "The token as text."),
            C("kind", "`answer`, `evidence` or nothing."),
            C("surprisal", "−ln of its probability.", "nats"),
            C("begins", "Whether an episode begins here.", optional=True),
        ]),
        TableSchema("budgets", "Budgets below the full cache, smallest first.", [_BUDGET]),
        TableSchema("asked", "What is asked of the first text.", [
            C("question", "Question and answer."),
        ]),
        TableSchema("channels", "Keys with fewer channels.", [
            C("method", "How channels were chosen."),
            C("share", "Share of channels that are gone."),
            _RATE, _LOW, _HIGH,
            C("error", "‖QKᵀ − QK′ᵀ‖ over ‖QKᵀ‖, of the last 32 queries; mean over heads."),
            C("divergence", "KL divergence of attention.", "nats"),
            _LOGPROB, _N,
        ]),
        TableSchema("bits", "Caches of few bits.", [
            C("bits", "Bits of each number; 16 is the cache as it is."),
            C("grouping", "`kivi`: keys scaled by channel, values by token; `channel`: both by"
              " channel."),
            _RATE, _LOW, _HIGH,
            C("of_keys", "‖K − K′‖ over ‖K‖; mean over heads.", title="error of keys"),
            C("of_values", "The same of values.", title="error of values"),
            C("divergence", "KL divergence of the last queries' attention.", "nats"),
            C("bytes", "Share of a cache of 16 bits, scales counted."),
            _LOGPROB, _N,
        ]),
        TableSchema("lookups", "One row per question whose answer has to be fetched.", [
            _CONTEXT, _QUESTION,
            C("hits", "Share of layers that fetch the block with the answer."),
            C("exact", "Whether the answer is given from what is seen then.", title="answered"),
            _LOGPROB,
            C("depth", "Where the answer stands, as a share of the text."),
            C("seen", "Share of the text that is seen."),
            C("chance", "Hits of blocks that are drawn."),
        ]),
        TableSchema("fetched", "Blocks that are fetched, by layer.", [
            C("layer", "Layer."),
            C("hit", "Share of questions for which it fetches the block with the answer."),
            C("agreement", "Rank correlation of look-up scores and true attention to the blocks."),
            C("mass", "Share of the attention to all blocks that goes to those fetched."),
            _N,
        ]),
        TableSchema("raster", "The blocks of the first text that has questions to fetch for.", [
            _CONTEXT, _QUESTION,
            C("layer", "Layer."),
            C("block", "Number of the block."),
            C("first", "Its first position."),
            C("last", "The position behind its last."),
            C("fetched", "Whether it is fetched."),
            C("mass", "Share of the question's attention, over the whole cache, that it gets."),
            C("answer", "Whether the answer stands in it."),
        ]),
        TableSchema("episodes", "Episodes cut in three ways, as many tokens fetched of each.", [
            C("boundaries", "Where episodes begin: at surprising tokens, evenly, or with the same"
              " sizes at random."),
            C("retrieval", "By similarity alone, or with 30 % of the room for neighbours."),
            _RATE, _LOW, _HIGH,
            C("hits", "Share of layers that fetch the episode with the answer."),
            C("f1", "F1 of the boundaries against beginnings of sentences, a token apart at"
              " most.", title="F1"),
            C("episodes", "How many episodes a text has."),
            C("tokens", "Tokens that a layer fetches."),
            _LOGPROB, _N,
        ]),
        TableSchema("past", "Loss along a text longer than the window.", [
            C("mode", "As it is, or under LM-Infinite's mask."),
            C("windows", "Middle of the stretch, in trained lengths."),
            C("loss", "Mean loss.", "nats"),
            C("entropy", "Entropy of attention, mean over heads and layers.", "nats"),
            C("n", "Tokens."),
        ]),
        TableSchema("past_needles", "A needle in such a text.", [
            C("needle", "Early: beyond the mask's window; late: within it."),
            C("mode", "As it is, or under LM-Infinite's mask."),
            C("exact", "Whether the answer is given.", title="answered"),
            _LOGPROB,
            C("distance", "Tokens between needle and answer, about."),
        ]),
        CLAIMS_TABLE,
    ],
    arrays=[
        A("kept_from", "From which budget on a position is kept, as its place in the table"
          " `budgets`; the number of rows there: by the full cache alone.",
          ("policy", "layer", "kv_head", "pos")),
        A("channel_shares", "ThinK's score of each channel, as a share of its head's.",
          ("layer", "kv_head", "channel")),
    ],
    findings=[
        F("quarter", "The policy that keeps most at a quarter of the cache", "share of questions"),
        F("in_view", "The same with the question in view", "share of questions"),
        F("full", "What the full cache answers", "share of questions"),
        F("survival", "Answers kept and evicted", "share of questions"),
        F("smearing", "Without the evidence itself", "share of questions"),
        F("turns", "The next questions", "share of questions"),
        F("channels", "Channels that can go", "nats"),
        F("bits", "Few bits", "nats"),
        F("blocks", "Blocks that are fetched", "share of layers"),
        F("episodes", "Surprising boundaries", "share of layers"),
        F("past_window", "Past the trained window", "nats"),
        CLAIMS_FINDING,
    ],
)  # fmt: skip

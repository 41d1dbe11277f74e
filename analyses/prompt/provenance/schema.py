"""What the tables and findings of a run mean."""

from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_LAYER = C("layer", "Number of the layer, from 0.")
_LOGP = C("logp", "Log-probability of the whole answer.", "nats", title="log-probability")

SPLIT = (
    "The context is left as it is or replaced by neutral text of as many tokens; the subject of the"
    " question is seen by what follows it, or not. Effects are in nats of the answer's"
    " log-probability: 0.7 nats double a probability, 2.3 make it ten times as large. They are not"
    " forced to add up: where the prompt and the weights say the same, either does without the"
    " other."
)
SENTENCES = (
    "A sentence is hidden from every later token, in all layers and heads; what cannot be hidden"
    " (recurrent layers) is replaced by neutral text. Positions stay as they are."
)
TOKENS = (
    "Each token is hidden from the prompt's last token and from the answer alone: what other tokens"
    " took from it before is still there, so a context may matter though no single token does. In a"
    " prompt of more than 400 tokens only those of the question and of the sentences that cost most"
    " are hidden."
)
HEADS = (
    "Each head is switched off at the prompt's last token. Heads that look at the context there, or"
    " at the subject, are then switched off together, beside as many random ones."
)
RECITED = (
    "A text that is recited is said word for word by greedy decoding and surprises the model far"
    " less than counts of its tokens or a compressor would expect. Spans are the longest parts of"
    " question and answer that stand in the corpus word for word and reach into the answer."
)
TRACED = (
    "The question alone: its subject's embeddings get noise, then the state of one token as it"
    " enters one layer gets its clean value back (mean of three draws). The first layer of the"
    " subject and the last layer of the last token always bring everything back, and say nothing."
)
SAMPLED = (
    "Texts are sampled at temperature 1: after nothing, after the first ten tokens of a document,"
    " and after a word that is repeated 24 times (which makes some models say what they read). What"
    " is common anyway stands in the corpus too: read it beside a model that has not read it."
)
FEATURES = (
    "The features of each autoencoder that are active at the prompt's last token. Those that the"
    " gradient says to push the answer most are taken out there, one by one, beside as many drawn"
    " by lot; what no feature says stays as it is."
)
TRAINING = (
    "A step of training on a text moves the weights. Its pull is how much likelier, to first order,"
    " a small step makes the answer: the product of the gradients of both losses, summed over kept"
    " steps of the training (TracIn, Pruthi et al. 2020). Texts of the same kinds that the model"
    " never read get a pull as well, since like texts pull alike: only what is far above them was"
    " learned there. The optimizer is left out, so pulls are compared, not added up."
)
CLOSED = "The question is asked alone, in several wordings, with greedy decoding."

SCHEMA = Schema(
    tables=[
        TableSchema("effects", "What each source gives to the answer.", [
            C("source", "`prompt`, `weights`, `state` (the recurrent state), or `memory modules`."),
            C("effect", "Mean over neutral texts.", "nats"),
            C("low", "Lower end of its 95 % interval over neutral texts."),
            C("high", "Upper end."),
            C("null", "The largest effect of a matched random part.", "nats", title="by chance"),
            C("named", "Whether it is a source of the answer, by the rule on the page.",
              title="a source"),
        ]),
        TableSchema("cells", "The experiment, cell by cell.", [
            C("context", "`as given`, `neutral` text in its place, or `none`."),
            C("memory", "Whether the subject is `seen` or `blocked`, or the `state wiped` before"
              " the question.", title="subject"),
            C("draw", "Number of the neutral text; -1 is the context as it is."),
            _LOGP,
        ]),
        TableSchema("answer", "The answer, token by token.", [
            C("place", "Place of the token in the answer, from 0."),
            C("token", "The token as text."),
            C("logp", "Its log-probability as the prompt stands (behind neutral text, where there"
              " is no context).", "nats", title="log-probability"),
            C("prompt", "What the context gives to it.", "nats"),
            C("weights", "What seeing the subject gives to it.", "nats"),
        ]),
        TableSchema("prompt", "The prompt, token by token.", [
            C("pos", "Position of the token, from 0."),
            C("token", "The token as text."),
            C("part", "`context`, `question`, `subject`, or `format` (what stays whatever the"
              " context)."),
            C("sentence", "Number of its sentence of the context; -1 for none."),
        ]),
        TableSchema("sentences", "The sentences of the context.", [
            C("sentence", "Number of the sentence, from 0."),
            C("text", "As it is written; neighbours together where there are more than 40."),
            C("start", "Its first token.", title="from token"),
            C("stop", "The token behind its last.", title="to before"),
            C("cost", "What the answer's log-probability loses where no later token sees it.",
              "nats"),
            C("late_cost", "The same where only question and answer do not see it.", "nats",
              title="hidden from the question"),
            C("without", "What the model says when it is cut out of the prompt, of the sentences"
              " that cost most.", title="said without it"),
            C("still", "Whether the model would still say every token of the answer.",
              title="same answer"),
        ]),
        TableSchema("tokens", "The tokens of the prompt.", [
            C("pos", "Position of the token, from 0."),
            C("token", "The token as text."),
            C("part", "`context`, `question` or `format`."),
            C("cost", "What the answer loses where it does not see this token.", "nats"),
            C("gradient", "Gradient of the answer's log-probability times the token's embedding: a"
              " guess of the same to first order.", "nats", title="gradient × embedding"),
        ]),
        TableSchema("heads", "Every head at the prompt's last token.", [
            _LAYER,
            C("head", "Number of the head in its layer.", title="number"),
            C("label", "The head, by layer and number.", title="head"),
            C("effect", "Change of the log-probability of the answer's first token with the head"
              " off.", "nats"),
            C("on_context", "Share of its attention there that is on the context.",
              title="looks at context"),
            C("on_subject", "Share that is on the subject in the question.",
              title="looks at subject"),
        ]),
        TableSchema("groups", "Heads switched off together.", [
            C("group", "`prompt`: heads that look at the context; `weights`: at the subject;"
              " `random part`: as many random ones; `none`; or what another run found."),
            C("of", "The group that a random draw is as large as."),
            C("heads", "The heads."),
            _LOGP,
            C("said", "What the model says then, greedily."),
        ]),
        TableSchema("features", "Features that are active at the prompt's last token.", [
            C("autoencoder", "Name of the autoencoder."),
            C("feature", "Number of the feature."),
            C("activation", "How active it is at the last token."),
            C("before", "How active it is in the context, at most; its first four tokens are left"
              " out.", title="in the context"),
            C("again", "Whether it is active in the context as well.", title="active before"),
            C("guess", "Gradient of the log-probability of the answer's first token along the"
              " feature, times its activation: a guess of what it gives, to first order.", "nats",
              title="gradient × activation"),
            C("effect", "Change of the answer's log-probability with the feature taken out at the"
              " last token and the answer.", "nats", title="taken out"),
            C("why", "Why it was taken out: `guessed` to push the answer most, or `drawn` by lot."),
            C("promotes", "Tokens whose logits its direction raises most."),
        ]),
        TableSchema("training", "Texts of the training, the strongest pull first.", [
            C("text", "Its name in the ledger of the training."),
            C("kind", "What kind of text it is."),
            C("repeats", "How often it was read; 0 for texts that never were.", title="read"),
            C("timing", "When it was read."),
            C("pull", "Product of the gradients of the answer's and the text's losses, mean over"
              " kept steps. Above 0: a step on the text makes the answer likelier.",
              "nats² per weight²"),
            C("words", "The text.", title="words"),
        ]),
        TableSchema("surprise", "How surprising each token of the answer is.", [
            C("place", "Place of the token in the answer, from 0."),
            C("token", "The token as text."),
            C("nats", "Surprisal of the model.", "nats", title="model"),
            C("unigram", "Surprisal by counts of tokens in the shipped books.", "nats",
              title="counts of tokens"),
            C("greedy", "Whether greedy decoding says it, given all before."),
        ]),
        TableSchema("spans", "Spans that stand in the corpus, the rarest first.", [
            C("span", "Number of the span, from 0."),
            C("text", "The span."),
            C("count", "How often it stands in the corpus.", title="times"),
            C("rarity", "Minus the log of the product of its tokens' probabilities in the corpus.",
              "nats"),
            C("place", "File, document and place in it."),
            C("before", "What stands before it there."),
            C("match", "The span as it stands there."),
            C("after", "What stands behind it."),
        ]),
        TableSchema("coverage", "How much of what is said unasked stands in the corpus.", [
            C("model", "Who says it."),
            C("start", "After what."),
            C("share", "Mean share of a text's tokens in spans that count."),
            C("low", "Lower end of its 95 % interval over texts."),
            C("high", "Upper end."),
            C("with_span", "Texts with such a span.", title="texts with a span"),
            C("n", "Texts.", title="texts"),
        ]),
        TableSchema("samples", "What was said.", [
            C("model", "Who says it."),
            C("start", "After what."),
            C("text", "What it says."),
            C("share", "Share of its tokens in spans that count."),
        ]),
        TableSchema("trace_tokens", "The question that was traced, token by token.", [
            C("pos", "Position of the token, from 0."),
            C("token", "The token as text."),
        ]),
        TableSchema("closed_book", "The question without its context.", [
            C("wording", "How it is asked; … stands for the question."),
            _LOGP,
            C("probability", "Of the whole answer."),
            C("said", "How the model goes on, greedily."),
            C("same", "Whether that begins with the answer.", title="same answer"),
        ]),
    ],
    arrays=[
        A("trace", "Points of probability of the answer's first token that come back when one state"
          " of the question alone gets its clean value back.", ("layer", "pos")),
    ],
    findings=[
        F("recited", "Share of the answer that greedy decoding says in a row"),
        F("coverage", "Share of what is said unasked that stands in the corpus"),
        F("trace", "What a single state brings back, at most"),
        F("corpus", "Spans of the answer that stand in the corpus"),
        F("verdict", "Where the answer came from (1 for a source, 0 for none)"),
        F("prompt", "What the context gives"),
        F("weights", "What seeing the subject gives"),
        F("state", "What the recurrent state carries"),
        F("memory_modules", "What the slots that it reads give"),
        F("interaction", "How much more the context gives where the subject is seen"),
        F("probability", "Probability of the answer"),
        F("no_context", "The prompt has no context"),
        F("sentence", "The sentence that counts most"),
        F("changing", "Sentences without which another answer comes"),
        F("passed_on", "Share that other tokens had taken over"),
        F("token", "The token that counts most"),
        F("gradient", "Agreement of the gradient with hiding"),
        F("prompt_heads", "Heads that look at the context, off"),
        F("weights_heads", "Heads that look at the subject, off"),
        F("found_heads_*", "Heads that another run found, off"),
        F("feature", "The feature that counts most"),
        F("again", "Features active in the context and again at the end"),
        F("taught", "The text of its training that pulls most"),
        F("above_never", "Texts read that pull more than every text never read"),
        F("closed_book", "Wordings in which the weights alone say the answer"),
    ],
)  # fmt: skip

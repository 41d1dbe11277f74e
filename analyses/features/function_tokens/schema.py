"""What the tables, arrays and findings of a function-tokens run mean."""

from analyses import claims
from workbench.schema import ArraySchema, Schema, TableSchema
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F

_AT = C("at", "The place: the layer of the autoencoder, with its site where that is not enough.")
_FEATURE = C("feature", "Number of the feature in its autoencoder.")
_WORDING = C("wording", "How the fact is asked: as a sentence, a question, or a list.")
_CONDITION = C("condition", "Which features are changed, and at which token.")
_FACT = C("fact", "Number of the fact.")
_PROMPT = C("prompt", "Number of the prompt.")
_POS = C("pos", "Position of the token.")
_TOKEN = C("token", "Its text.")
_CLASS = C("class", "function or content, by frequency in this text.")
_CHANGED = C("features", "How many features were changed, on average.")
_FACTS = C("n", "Facts it is a mean over.", title="facts")
_MEAN = (
    C("low", "Lower end of its 95 % interval over facts.", "nats"),
    C("high", "Upper end of its 95 % interval over facts.", "nats"),
)
_LOSSES = [
    C("measure", "Whose loss: the model's, or that of counted trigrams or unigrams."),
    C("group", "Class of the last token and of the next, F function and C content."),
    C("loss", "Mean loss on the next token.", "nats"),
    C("error", "Standard error of the loss over windows.", "nats"),
    C("n", "Tokens counted.", title="tokens"),
]
_REACHED = "Share of the living features that"

SCHEMA = Schema(
    tables=[
        TableSchema("autoencoders", "One row per autoencoder whose features are meant.", [
            _AT,
            C("name", "What it is opened by."),
            C("site", "Where in the model its vectors are read."),
            C("layer", "Its layer."),
            C("width", "How many features it has.", title="features"),
            C("explained_variance", "Share of the variance that it explains, by its card."),
            C("l0", "Features active at a token on average, by its card."),
        ]),
        TableSchema("tokens", "One row per token type, the most frequent first; for each"
                    " place further columns: degree (features it activates), mixed (with the tokens"
                    " shuffled within windows) and equal (expected in equally many occurrences).", [
            C("rank", "Rank by frequency."),
            C("id", "Number of the type in the vocabulary."),
            _TOKEN,
            _CLASS,
            C("word", "Kind of function word that it is by grammar; empty for others."),
            C("occurrences", "How often it occurs."),
            C("share", "Share of the text that it makes up."),
            C("windows", "Share of the windows that hold it."),
        ], open=True),
        TableSchema("coverage", "How many features the most frequent tokens reach, and what would"
                    " explain it away.", [
            _AT,
            C("n", "How many token types, the most frequent first.", title="types"),
            C("features", f"{_REACHED} these types activate."),
            C("strong", f"{_REACHED} they activate above 5 % of the feature's maximum."),
            C("mixed", f"{_REACHED} they reach with the tokens shuffled within windows."),
            C("random", "Share of random directions, each as often active as a feature, that they"
              " reach."),
            C("content", f"{_REACHED} as many tokens of text reach, drawn from content tokens."),
            C("equal", f"{_REACHED} function tokens reach in equally many occurrences of each."),
            C("content_equal", f"{_REACHED} content tokens reach in as many occurrences."),
        ]),
        TableSchema("classes", "Function against content tokens in equally many occurrences, a row"
                    " per place.", [
            _AT,
            C("function", "Features that a function token activates, on average."),
            C("content", "Features that one of the most frequent content tokens activates."),
            C("difference", "Function less content."),
            C("low", "Lower end of its 95 % interval over types."),
            C("high", "Upper end of its 95 % interval over types."),
            C("rank", "Spearman correlation of degree and frequency over all types."),
            C("drawn", "Occurrences of each type that are compared."),
        ]),
        TableSchema("shares", "Coverage where function tokens make up other shares of the text.", [
            C("share", "Share of the text that function tokens make up."),
            C("tokens", "How many types that are."),
            _AT,
            C("features", f"{_REACHED} they reach."),
            C("content", f"{_REACHED} as many tokens of text reach, drawn from content tokens."),
            C("equal", f"{_REACHED} they reach in equally many occurrences of each."),
            C("content_equal", f"{_REACHED} content tokens reach in as many occurrences."),
        ]),
        TableSchema("again", "How much of a content token's features is active again later.", [
            _AT,
            C("distance", "How much later.", "tokens"),
            C("class", "Class of the later token."),
            C("share", "Share of its features that is active there."),
            C("chance", "The same with a later token of another window."),
            C("more", "Share less chance."),
            C("low", "Lower end of the 95 % interval of `more` over windows."),
            C("high", "Upper end of the 95 % interval of `more` over windows."),
            C("n", "Windows counted.", title="windows"),
        ]),
        TableSchema("features", "One row per feature of each autoencoder.", [
            _FEATURE,
            C("tokens", "Tokens at which it is active."),
            C("share", "Share of the text at which it is active."),
            C("function", "Share of these tokens that are function tokens."),
            C("types", "Token types on which it is active."),
            C("peak", "Its largest activation."),
            C("fires_on", "The types on which it is active most often."),
            C("promotes", "Tokens whose logits it raises most, through the unembedding alone."),
            C("suppresses", "Tokens whose logits it lowers most."),
            C("near", "The features that write the most similar vectors, with their cosine."),
            _AT,
        ]),
        TableSchema("examples", "Where each feature is strongest, once per window.", [
            _AT,
            _FEATURE,
            C("activation", "Its activation there."),
            C("window", "Number of the window of text."),
            _POS,
        ]),
        TableSchema("vocabulary", "Texts of the tokens in the windows of examples.", [
            C("id", "Number of the type in the vocabulary."),
            _TOKEN,
        ]),
        TableSchema("untrained", "Coverage on less text, beside an untrained twin of the model.", [
            _AT,
            C("n", "How many function tokens, the most frequent first.", title="types"),
            C("features", f"{_REACHED} they are expected to reach in so much text."),
            C("random", "Share of random directions that they are expected to reach."),
            C("untrained", "Share of random directions of the untrained twin that they reach."),
        ]),
        TableSchema("transitions", "Loss by the classes of the last and the next token.", _LOSSES),
        TableSchema("training", "The same at the steps of a training.", [
            C("step", "Step of the training."),
            *_LOSSES,
        ]),
        TableSchema("alive", "Features alive at steps of a training that have an autoencoder.", [
            C("step", "Step of the training."),
            _AT,
            C("width", "How many features it has.", title="features"),
            C("explained_variance", "Share of the variance that it explains."),
            C("alive", "Features that are ever active."),
            C("edges", "Pairs of a token type and a feature that it activates."),
            C("function_edges", "Share of the edges that are a function token's."),
            C("mixed_edges", "The same with the tokens shuffled within windows."),
            C("function_degree", "Features of a function token in equally many occurrences."),
            C("content_degree", "Features of a content token in as many."),
            C("low", "Lower end of the 95 % interval of their difference over types."),
            C("high", "Upper end of the 95 % interval of their difference over types."),
            C("drawn", "Occurrences of each type that are compared."),
        ]),
        TableSchema("prompt_tokens", "One row per token of a prompt.", [
            _PROMPT,
            _POS,
            _TOKEN,
            _CLASS,
            C("part", "template or message, in conversations.", optional=True),
        ]),
        TableSchema("prompt_features", "The strongest features of each token of a prompt.", [
            _AT,
            _PROMPT,
            _POS,
            _FEATURE,
            C("activation", "Its activation there."),
        ]),
        TableSchema("wordings", "How facts are asked.", [
            _WORDING,
            C("example", "One of the prompts."),
            C("last", "Text of its last token."),
            C("function", "Whether that is a function token."),
        ]),
        TableSchema("active_again", "Features of the subject that are active at the last token.", [
            _AT,
            _WORDING,
            C("again", "How many of them, on average over facts."),
            C("at_last", "Features active at the last token in all, on average."),
        ]),
        TableSchema("ablations", "Features switched off, fact by fact.", [
            _FACT,
            _CONDITION,
            _CHANGED,
            C("loss", "What ln p of the answer's first token loses.", "nats"),
            _AT,
            _WORDING,
        ]),
        TableSchema("ablation_means", "The same over facts.", [
            _AT,
            _WORDING,
            _CONDITION,
            C("mean", "What ln p of the answer's first token loses, on average.", "nats"),
            *_MEAN,
            _CHANGED,
            _FACTS,
        ]),
        TableSchema("steerings", "Features set to another subject's, fact by fact.", [
            _FACT,
            C("other", "Number of the other fact."),
            _CONDITION,
            _CHANGED,
            C("before", "ln p of the other answer less ln p of the own one, unchanged.", "nats"),
            C("after", "The same once the features are set.", "nats"),
            C("answers", "Share of draws in which the other answer is likelier than the own."),
            C("first", "Share of draws in which it is the likeliest of all facts' answers."),
            _AT,
            _WORDING,
            C("moved", "After less before.", "nats"),
        ]),
        TableSchema("steering_means", "The same over facts.", [
            _AT,
            _WORDING,
            _CONDITION,
            C("mean", "How far the other answer rises against the own, on average.", "nats"),
            *_MEAN,
            _CHANGED,
            _FACTS,
            C("answers", "Share of facts whose other answer becomes likelier than the own."),
            C("first", "Share of facts whose other answer becomes the likeliest of all."),
        ]),
        TableSchema("along", "Features set at one token after another, fact by fact.", [
            _FACT,
            C("pos", "Position of the token, counted from the end of the prompt."),
            C("id", "Number of its type in the vocabulary."),
            C("features", "How many features were set."),
            C("moved", "How far the other answer rises against the own.", "nats"),
            _AT,
            _WORDING,
            _TOKEN,
            _CLASS,
        ]),
        claims.TABLE,
    ],
    arrays=[
        ArraySchema("feature_tokens", "Types on which each feature is active most often: id and"
                    " count, -1 where there are fewer.", ("at", "feature", "rank", "what")),
        ArraySchema("token_features", "Features most often active on each of the most frequent"
                    " types: number and count, -1 where there are fewer.",
                    ("at", "type", "rank", "what")),
        ArraySchema("histogram", "How often each feature is active so strongly.",
                    ("at", "feature", "bin"), "tokens"),
        ArraySchema("windows", "Tokens of the windows that hold an example.", ("window", "pos")),
    ],
    findings=[
        F("list", "Function tokens: how many, and how much of the text they make up",
          "types, and shares of tokens"),
        F("first", "Living features that the most frequent tokens reach",
          "share of living features"),
        F("same_number", "Living features that function tokens reach, and as much content",
          "share of living features"),
        F("equal", "Features of a function token more than of a content token, in equally many"
          " occurrences", "features"),
        F("again", "Features of a content token that are active again: at function more than at"
          " content tokens", "share of its features"),
        F("untrained", "Random directions that function tokens reach, before training too",
          "share of living directions"),
        F("transitions", "Loss by the classes of the last and the next token", "nats per token"),
        F("ablation", "What re-activated features carry of the answer, beside others and beside the"
          " subject", "nats of ln p(answer)"),
        F("steering", "Facts whose answer changes when features are set to another subject's",
          "share of facts"),
        F("training", "When half of each loss's fall is done along a training",
          "steps, and nats per token"),
        F("alive", "Features alive along a training, and whose edges they are",
          "features, and shares of edges"),
        claims.FINDING,
    ],
)  # fmt: skip

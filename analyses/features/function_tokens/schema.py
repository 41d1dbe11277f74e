"""What the tables, arrays and findings of a function-tokens run mean."""

from analyses import claims
from workbench.schema import ArraySchema, Schema, TableSchema
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F

_SAE = C("sae", "The autoencoder: its layer, with its site where that is not enough.", title="SAE")
_FEATURE = C("feature", "Number of the feature in its autoencoder.")
_WORDING = C("wording", "How the fact is asked: as a sentence, a question, or a list.")
_CONDITION = C("condition", "Which features are changed, and at which token.")
_FACT = C("fact", "Number of the fact.")
_PROMPT = C("prompt", "Number of the prompt.")
_POS = C("pos", "Position of the token.")
_ID = C("id", "Number of the token type in the vocabulary.")
_TOKEN = C("token", "Its text.")
_CLASS = C("class", "function or content, by frequency in this text.")
_D_SAE = C("d_sae", "Number of features.", title="features")
_N_TYPES = C("n_types", "Number of token types, the most frequent first.", title="types")
_CHANGED = C("n_features", "How many features were changed, on average.", title="features")
_FACTS = C("n", "Facts it is a mean over.", title="facts")
_OCCURRENCES = C("n_occurrences", "Occurrences of each type that are compared.",
                 title="occurrences")  # fmt: skip
_SHARE = "Share of the living features that"
_MATCHED = [
    C("matched", f"{_SHARE} function tokens activate, each with equally many occurrences."),
    C("content_matched", f"{_SHARE} content tokens activate in as many occurrences."),
]
_LOSSES = [
    C("predictor", "Whose loss: the model's, or that of counted trigrams or unigrams."),
    C("transition", "Class of the last token and of the next, F function and C content."),
    C("loss", "Mean loss on the next token.", "nats"),
    C("standard_error", "Standard error of the loss over windows.", "nats"),
    C("n", "Tokens counted.", title="tokens"),
]
BESIDE = (
    "Controls beside the features: only activations above 5 % of the feature's maximum; the tokens"
    " of each window shuffled; random directions, each active as often as a feature; and as many"
    " tokens of text, drawn from content tokens."
)
"""What coverage is compared with."""
PROMPTS = (
    "Solid underline: function tokens. Choose a token: tokens that share its features are coloured,"
    " and the table lists these features and the content tokens before it at which they were"
    " active. Choose a feature: it colours the prompt, and the tab Features shows it."
)


def _interval(name: str, over: str, unit: str = "") -> tuple[C, C]:
    return (
        C(f"{name}_low", f"Lower end of its 95 % interval over {over}.", unit),
        C(f"{name}_high", f"Upper end of its 95 % interval over {over}.", unit),
    )


SCHEMA = Schema(
    tables=[
        TableSchema("autoencoders", "One row per autoencoder.", [
            _SAE,
            C("name", "What it is opened by."),
            C("site", "Where in the model its vectors are read."),
            C("layer", "Its layer."),
            _D_SAE,
            C("explained_variance", "Share of the variance that it explains, by its card."),
            C("l0", "Features active at a token on average, by its card.", title="L0"),
        ]),
        TableSchema("tokens", "One row per token type, the most frequent first. Further columns for"
                    " each autoencoder: degree (features that the type activates), shuffled (the"
                    " same with the tokens shuffled within windows) and matched (expected in"
                    " equally many occurrences).", [
            C("rank", "Rank by frequency."),
            _ID,
            _TOKEN,
            _CLASS,
            C("word_class", "Kind of function word by grammar; empty for others.",
              title="class by grammar"),
            C("occurrences", "How often it occurs."),
            C("frequency", "Share of the tokens of the text."),
            C("window_frequency", "Share of the windows that hold it.", title="share of windows"),
        ], open=True),
        TableSchema("coverage", "Features that the most frequent token types activate, with"
                    " controls.", [
            _SAE,
            _N_TYPES,
            C("coverage", f"{_SHARE} these types activate."),
            C("above_5pct", f"{_SHARE} they activate above 5 % of the feature's maximum.",
              title="above 5 % of maximum"),
            C("shuffled", f"{_SHARE} they activate with the tokens shuffled within windows."),
            C("random_directions", "The same of random directions, each active as often as a"
              " feature."),
            C("content", f"{_SHARE} as many tokens of text activate, drawn from content tokens."),
            *_MATCHED,
        ]),
        TableSchema("degree_by_class", "Features per token type: function against content tokens in"
                    " equally many occurrences.", [
            _SAE,
            C("function_degree", "Features that a function token activates, on average."),
            C("content_degree", "Features that one of the most frequent content tokens activates."),
            C("difference", "Function less content."),
            *_interval("difference", "types"),
            C("spearman", "Spearman correlation of degree and frequency over all types."),
            _OCCURRENCES,
        ]),
        TableSchema("coverage_by_share", "Coverage when function tokens make up other shares of the"
                    " text.", [
            C("function_share", "Share of the text that function tokens make up."),
            C("n_types", "How many types that are.", title="types"),
            _SAE,
            C("coverage", f"{_SHARE} they activate."),
            C("content", f"{_SHARE} as many tokens of text activate, drawn from content tokens."),
            *_MATCHED,
        ]),
        TableSchema("reactivation", "Features of a content token that are active again at a later"
                    " token.", [
            _SAE,
            C("distance", "Distance to the later token.", "tokens"),
            C("class", "Class of the later token."),
            C("reactivated", "Share of the content token's features that is active there."),
            C("baseline", "The same with a later token of another window."),
            C("above_baseline", "Reactivated less baseline."),
            *_interval("above_baseline", "windows"),
            C("n", "Windows counted.", title="windows"),
        ]),
        TableSchema("features", "One row per feature of each autoencoder.", [
            _FEATURE,
            C("n_tokens", "Tokens at which it is active.", title="tokens"),
            C("density", "Share of the tokens at which it is active.", title="activation density"),
            C("function_share", "Share of these tokens that are function tokens."),
            C("degree", "Token types on which it is active.", title="types"),
            C("max_activation", "Its largest activation."),
            C("top_tokens", "The types on which it is active most often."),
            C("positive_logits", "Tokens whose logits it raises most, through the unembedding"
              " alone."),
            C("negative_logits", "Tokens whose logits it lowers most."),
            C("nearest_features", "The features with the most similar decoder directions, with"
              " their cosine."),
            _SAE,
        ]),
        TableSchema("examples", "Top activations of each feature, one per window.", [
            _SAE,
            _FEATURE,
            C("activation", "Its activation there."),
            C("window", "Number of the window of text."),
            _POS,
        ]),
        TableSchema("vocabulary", "Texts of the tokens in the windows of examples.", [_ID, _TOKEN]),
        TableSchema("untrained", "Coverage on less text, beside an untrained twin of the model.", [
            _SAE,
            _N_TYPES,
            C("coverage", f"{_SHARE} they are expected to activate in so much text."),
            C("random_directions", "Share of random directions that they are expected to"
              " activate."),
            C("untrained_directions", "Share of random directions of the untrained twin that they"
              " activate."),
        ]),
        TableSchema("transitions", "Loss by the classes of the last and the next token.", _LOSSES),
        TableSchema("training_losses", "The same at the steps of a training.", [
            C("step", "Step of the training."),
            *_LOSSES,
        ]),
        TableSchema("live_features", "Living features at those steps of a training that have an"
                    " autoencoder.", [
            C("step", "Step of the training."),
            _SAE,
            _D_SAE,
            C("explained_variance", "Share of the variance that it explains."),
            C("n_alive", "Features that are ever active.", title="living features"),
            C("n_edges", "Pairs of a token type and a feature that it activates.", title="edges"),
            C("function_edge_share", "Share of the edges that belong to function tokens."),
            C("shuffled_edge_share", "The same with the tokens shuffled within windows."),
            C("function_degree", "Features of a function token in equally many occurrences."),
            C("content_degree", "Features of a content token in as many."),
            C("degree_difference_low", "Lower end of the 95 % interval of their difference over"
              " types."),
            C("degree_difference_high", "Upper end of the 95 % interval of their difference over"
              " types."),
            _OCCURRENCES,
        ]),
        TableSchema("prompt_tokens", "One row per token of a prompt.", [
            _PROMPT,
            _POS,
            _TOKEN,
            _CLASS,
            C("part", "template or message, in conversations.", optional=True),
        ]),
        TableSchema("prompt_features", "The strongest features of each token of a prompt.", [
            _SAE,
            _PROMPT,
            _POS,
            _FEATURE,
            C("activation", "Its activation there."),
        ]),
        TableSchema("wordings", "How facts are asked.", [
            _WORDING,
            C("example", "One of the prompts."),
            C("last_token", "Text of its last token."),
            C("last_is_function", "Whether that is a function token."),
        ]),
        TableSchema("reactivated_features", "Features of the subject that are active again at the"
                    " last token.", [
            _SAE,
            _WORDING,
            C("n_reactivated", "How many of them, on average over facts.", title="reactivated"),
            C("n_active", "Features active at the last token in all, on average.", title="active"),
        ]),
        TableSchema("ablations", "Features under zero ablation, fact by fact.", [
            _FACT,
            _CONDITION,
            _CHANGED,
            C("logprob_drop", "Drop of ln p of the answer's first token.", "nats"),
            _SAE,
            _WORDING,
        ]),
        TableSchema("ablation_means", "The same over facts.", [
            _SAE,
            _WORDING,
            _CONDITION,
            C("logprob_drop", "Drop of ln p of the answer's first token, mean.", "nats"),
            *_interval("logprob_drop", "facts", "nats"),
            _CHANGED,
            _FACTS,
        ]),
        TableSchema("steerings", "Features set to another subject's values, fact by fact.", [
            _FACT,
            C("other_fact", "Number of the other fact."),
            _CONDITION,
            _CHANGED,
            C("logit_diff_before", "Logit difference of the other answer and the fact's own,"
              " unchanged.", "nats"),
            C("logit_diff_after", "The same once the features are set.", "nats"),
            C("flipped", "Share of draws in which the other answer is likelier than the own."),
            C("top_answer", "Share of draws in which it is the likeliest of all facts' answers."),
            _SAE,
            _WORDING,
            C("logit_diff_change", "After less before.", "nats"),
        ]),
        TableSchema("steering_means", "The same over facts.", [
            _SAE,
            _WORDING,
            _CONDITION,
            C("logit_diff_change", "Change of the logit difference toward the other answer, mean.",
              "nats"),
            *_interval("logit_diff_change", "facts", "nats"),
            _CHANGED,
            _FACTS,
            C("flipped", "Share of facts whose other answer becomes likelier than the own."),
            C("top_answer", "Share of facts whose other answer becomes the likeliest of all."),
        ]),
        TableSchema("steering_by_position", "Features set at one token after another, fact by"
                    " fact.", [
            _FACT,
            C("pos", "Position of the token, counted from the end of the prompt."),
            _ID,
            C("n_features", "How many features were set.", title="features"),
            C("logit_diff_change", "Change of the logit difference toward the other answer.",
              "nats"),
            _SAE,
            _WORDING,
            _TOKEN,
            _CLASS,
        ]),
        claims.TABLE,
    ],
    arrays=[
        ArraySchema("feature_tokens", "Types on which each feature is active most often: id and"
                    " count, -1 where there are fewer.", ("sae", "feature", "rank", "field")),
        ArraySchema("token_features", "Features most often active on each of the most frequent"
                    " types: number and count, -1 where there are fewer.",
                    ("sae", "type", "rank", "field")),
        ArraySchema("activation_histogram", "Tokens by activation, for each feature.",
                    ("sae", "feature", "bin"), "tokens"),
        ArraySchema("windows", "Tokens of the windows that hold an example.", ("window", "pos")),
    ],
    findings=[
        F("function_tokens", "Function tokens: how many, and their share of the text",
          "types, and shares of tokens"),
        F("coverage", "Living features that the most frequent tokens activate",
          "share of living features"),
        F("coverage_vs_content", "Living features activated: function tokens, and as many content"
          " tokens", "share of living features"),
        F("frequency_matched", "Features per token type at equal frequency: function less content",
          "features"),
        F("reactivation", "Features of a content token reactivated later: at function less at"
          " content tokens", "share of its features"),
        F("untrained", "Random directions that function tokens activate, with and without"
          " training", "share of living directions"),
        F("transitions", "Loss by the classes of the last and the next token", "nats per token"),
        F("ablation", "Zero ablation of reactivated features: drop of the answer's log-probability"
          " against controls", "nats of ln p(answer)"),
        F("steering", "Facts whose answer flips when features are set to another subject's values",
          "share of facts"),
        F("training", "Training step at which half of each loss's fall is done",
          "steps, and nats per token"),
        F("live_features", "Living features during training, and the edges of function tokens",
          "features, and shares of edges"),
        claims.FINDING,
    ],
)  # fmt: skip

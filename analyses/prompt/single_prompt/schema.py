"""What the tables, arrays and findings of a run on one prompt mean."""

from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_LAYER = C("layer", "Number of the layer, from 0.")
_POS = C("pos", "Position of the token in the prompt, from 0.")
_RANK = C("rank", "Place among all tokens of the vocabulary; 1 is the likeliest.")
_ID = C("id", "Number of the token in the vocabulary.")

# How each of them is read, for the pages.
_ONE = "This describes one prompt, not the model."
PATTERNS = (
    "attention patterns on one scale. Rows of a tile are queries, columns are keys. Click a tile to"
    f" enlarge it. {_ONE}"
)
LENS = (
    "Each layer's residual stream through the model's own final norm and unembedding: the likeliest"
    " next token, darker the likelier it is. The last layer is the model's output. Hover for the"
    f" five likeliest. {_ONE}"
)
WRITES = (
    "Direct logit attribution of each component ({unit}), through the final norm (its scale"
    " frozen) and the unembedding. Blue raises, red lowers; the components add up to the logit."
    f" Effects through later layers are not in it. {_ONE}"
)
NORMS = (
    "The length (L2 norm) of the residual stream at each layer and token; darker is longer, on a"
    " logarithmic scale. A first token with a norm far above the rest is an attention sink."
    f" {_ONE}"
)
NEURONS = (
    "neurons of each layer with the largest activation (in absolute value) after the first token,"
    " and their activation at each token: blue above zero, red below. The first token is left out"
    f" of the choice: its activations are often far larger. {_ONE}"
)

SCHEMA = Schema(
    tables=[
        TableSchema("tokens", "The prompt.", [
            _POS,
            C("token", "The token as text."),
            C("part", "Of a conversation: `template` for what the chat format puts in, `message`"
              " for what somebody says.", optional=True),
        ]),
        TableSchema("next_tokens", "The likeliest tokens after the prompt.", [
            _RANK,
            C("token", "The token as text."),
            _ID,
            C("probability", "Probability that the model gives it."),
        ]),
        TableSchema("logit_lens", "Logit lens: the likeliest next tokens, by layer and token.", [
            _LAYER,
            _POS,
            _RANK,
            C("token", "The likely next token as text."),
            _ID,
            C("probability", "Its probability in the lens."),
        ]),
        TableSchema("answer_lens", "Logit lens of the answers.", [
            _LAYER,
            _POS,
            C("target", "`answer`, or `other` for the second answer; empty for any other token."),
            C("token", "The token as text."),
            C("logit", "Its logit in the lens.", "logits"),
            C("probability", "Its probability in the lens."),
            _RANK,
        ]),
        TableSchema("components", "Direct logit attribution by component.", [
            C("component", "The component; all of them add up to the logit."),
            C("type", "embedding, attention, mixer, MLP, rest or biases."),
            C("layer", "Its layer; −1 where it has none."),
            C("logits", "Its direct attribution to the answer's logit (with two answers, to their"
              " logit difference), at the last token.", "logits"),
        ]),
        TableSchema("heads", "Direct logit attribution by attention head.", [
            C("label", "The head, by layer and number.", title="head"),
            _LAYER,
            C("head", "Number of the head in its layer.", title="number"),
            C("logits", "Its direct attribution to the answer's logit (with two answers, to their"
              " logit difference), at the last token.", "logits"),
        ]),
        TableSchema("neurons", "The neurons of each layer with the largest activation after the"
                    " first token.", [
            C("label", "The neuron, by layer and number.", title="name"),
            _LAYER,
            C("neuron", "Number of the neuron in its layer."),
            C("max_activation", "Its activation that is largest in absolute value, after the first"
              " token."),
            C("pos", "Position of the token where it is."),
            C("token", "That token as text."),
        ]),
        TableSchema("left_out", "What this model or this run does not have.", [
            C("item", "What is missing."),
            C("reason", "Why it is missing."),
        ]),
    ],
    arrays=[
        A("patterns", "Attention patterns.", ("layer", "head", "query", "key"), "probability"),
        A("norms", "L2 norms of the residual stream, and of sites that were kept whole.",
          ("site", "layer", "pos"), "length of the vector"),
        A("components", "Direct logit attribution by component, at every token toward the same"
          " answer.", ("component", "pos"), "logits"),
        A("heads", "Direct logit attribution by head, at every token toward the same answer.",
          ("layer", "head", "pos"), "logits"),
        A("neurons", "Activations of the neurons that were kept: input of the MLP's last matrix.",
          ("label", "pos"), "activation"),
        A("site-*", "A site that was kept whole; its dims are those of a capture."),
    ],
    findings=[
        F("next_token", "Probability of the likeliest next token", "probability"),
        F("component_types", "Direct logit attribution by type of component", "logits"),
        F("top_head", "Direct logit attribution of the strongest head", "logits"),
        F("answer_layer", "Layer from which on the answer is first in the logit lens", "layer"),
    ],
)  # fmt: skip

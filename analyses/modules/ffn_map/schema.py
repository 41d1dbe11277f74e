"""What the tables, arrays and findings of a run mean."""

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_CAPABILITY = C("capability", "The capability.")
_NEURON = C("neuron", "The neuron, by layer and number.")
_LAYER, _NUMBER = C("layer", "Its layer, from 0."), C("number", "Its number in the layer.")
_LOW, _HIGH = C("low", "Lower end of its 95 % interval over prompts."), C("high", "Upper end.")
_NATS = "nats per token"
_K = C("k", "How many neurons of each capability were wanted.", title="wanted")
_OF = C("of", "Whose neurons were held at their means.", title="neurons of")
_PRECISION = C("precision", "Average precision of its activation for the capability's prompts"
               " against all others; 1 is perfect.", title="average precision")  # fmt: skip
_CONTRIBUTION = C("contribution", "Mean |activation| in the capability's prompts times the length"
                  " of what it writes.")  # fmt: skip

MAP = (
    "Each neuron is scored by its activation in a prompt, and by how well that alone tells a"
    " capability's prompts from all others (average precision). The threshold is what the best of"
    " all neurons reaches if the prompts' labels are dealt at random; neurons below it are left"
    " white. Words differ between capabilities, so many neurons tell them apart in any network,"
    " trained or not: whether they matter is asked by ablation."
)
MATRIX = (
    "Rows are capabilities, columns the neurons that were held at their mean over all prompts, and"
    " numbers by how much the loss on the answer rises, on prompts that did not choose the neurons."
    " “Matched” are neurons of the same layers that contribute as much to the row's capability."
    " Click a cell for the answers."
)
SPARSITY = (
    "At every token but the first, and in all layers at once, this share of the activations is set"
    " to zero: those nearest to zero, or random ones."
)
PARTITIONS = (
    "Neurons of a layer are tied to those with which they are most often active together; groups"
    " are the partition of highest modularity. It is compared with graphs of the same degrees tied"
    " at random, and groups found on one half of the prompts with those found on the other"
    " (adjusted Rand index; 0 is chance). A group is an expert of a capability if it has more of"
    " the layer's best 1 % of neurons for it than its size gives (p < 0.001)."
)

SCHEMA = Schema(
    tables=[
        TableSchema("capabilities", "The capabilities, and how well single neurons tell them.", [
            _CAPABILITY,
            C("prompts", "Prompts that choose neurons."),
            C("held_out", "Further prompts, on which all is measured.", title="held out"),
            C("tokens", "Mean tokens of a prompt with its answer.", "tokens"),
            C("loss", "Mean loss on the answers of the held-out prompts.", _NATS, optional=True),
            C("right", "Share of them whose every token is the likeliest.", optional=True),
            C("chance", "Average precision of a neuron that knows nothing: the share of prompts."),
            C("threshold", "What the best of all neurons reaches by chance (95 %)."),
            C("above", "Neurons above that.", title="neurons above"),
            C("silent", "Neurons above it by being less active.", title="less active"),
            C("best", "Highest average precision of a neuron.", title="best"),
            C("best_neuron", "That neuron.", title="best neuron"),
            C("untrained", "Neurons above the threshold in the untrained twin.", optional=True,
              title="untrained"),
        ]),
        TableSchema("layers", "Neurons above chance, by layer.", [
            _LAYER, _CAPABILITY,
            C("above", "Neurons above chance.", title="neurons above"),
            C("share", "Of the layer's neurons."),
            C("mean", "Mean average precision of the layer's neurons."),
        ]),
        TableSchema("sets", "The neurons that were ablated.", [
            _K, _CAPABILITY,
            C("rank", "From 0, the most precise."),
            _NEURON, _LAYER, _NUMBER, _PRECISION, _CONTRIBUTION,
            C("elsewhere", "The same in the other capabilities' prompts."),
            C("control", "The matched neuron, of the first draw."),
        ]),
        TableSchema("matrix", "The ablation matrix.", [
            _K, _OF,
            C("kind", "`top`: the capability's own set; `matched`: as many others of the same"
              " layers and contribution."),
            _CAPABILITY,
            C("rise", "By how much the loss on the answers rises.", _NATS),
            _LOW, _HIGH,
            C("right_before", "Share of right answers without a change.", title="right before"),
            C("right", "Share of right answers.", title="right after"),
            C("n", "Held-out prompts.", title="prompts"),
        ]),
        TableSchema("selectivity", "How selective each ablation is.", [
            _K, _CAPABILITY,
            C("neurons", "Neurons that were held; fewer than wanted where fewer are above chance."),
            C("own", "What its own neurons cost it.", _NATS),
            C("own_low", "Lower end of the 95 % interval."), C("own_high", "Upper end."),
            C("others", "What they cost the other capabilities.", _NATS),
            C("control", "What matched neurons cost it.", _NATS, title="matched"),
            C("control_others", "What those cost the other capabilities.", _NATS,
              title="matched, others"),
            C("column", "Own less others: what these neurons are for.", _NATS),
            C("column_low", "Lower end."), C("column_high", "Upper end."),
            C("row", "Own less what the others' neurons cost it.", _NATS),
            C("row_low", "Lower end."), C("row_high", "Upper end."),
            C("beyond", "Own less others, less the same of matched neurons.", _NATS),
            C("beyond_low", "Lower end."), C("beyond_high", "Upper end."),
            C("n", "Held-out prompts.", title="prompts"),
            C("verdict", "`dissociates` if all three differences are above zero, `in part` if some"
              " are, else `not shown`."),
        ]),
        TableSchema("prompts", "The held-out prompts.", [
            C("prompt", "Number of the prompt.", title="number"), _CAPABILITY,
            C("text", "What the model reads."), C("answer", "How it should go on."),
        ]),
        TableSchema("answers", "What is said of each held-out prompt.", [
            C("prompt", "Number of the prompt."),
            _K,
            C("of", "Whose neurons were held; empty: nobody's.", title="neurons of"),
            C("says", "The likeliest token at each token of the answer, given those before."),
            C("loss", "On the answer.", _NATS),
            C("right", "Whether all of them are the answer's."),
        ]),
        TableSchema("cards", "Neurons that were looked at alone, for each capability.", [
            _NEURON, _LAYER, _NUMBER, _CAPABILITY, _PRECISION, _CONTRIBUTION,
            C("above", "Whether that is above chance."),
            C("always", "Whether the neuron is among the most active for every capability."),
        ]),
        TableSchema("contexts", "Where these neurons are most active.", [
            _NEURON,
            C("place", "From 0, the largest."),
            C("before", "What stands before the token."), C("token", "The token."),
            C("activation", "The neuron's activation there, with its sign."),
            _CAPABILITY,
        ]),
        TableSchema("promoted", "What their values promote.", [
            _NEURON,
            C("way", "`promotes` or `suppresses`, at a positive activation."),
            C("place", "From 0, the strongest."),
            C("token", "The token."),
            C("logit", "Of the value's direction through final norm and unembedding.", "logits"),
        ]),
        TableSchema("sparsity", "What masking activations costs.", [
            C("share", "Share of each layer's activations that is masked."),
            C("masked", "`smallest` or `random`."),
            _CAPABILITY,
            C("rise", "By how much the loss on the answers rises.", _NATS),
            _LOW, _HIGH,
            C("n", "Held-out prompts.", title="prompts"),
        ]),
        TableSchema("partitions", "Groups of neurons that are active together, by layer.", [
            _LAYER,
            C("neurons", "Neurons that were grouped."),
            C("groups", "Groups."),
            C("modularity", "Of the partition."),
            C("rewired", "Of graphs of the same degrees tied at random, mean."),
            C("rewired_high", "Their highest.", title="rewired, highest"),
            C("agreement", "Adjusted Rand index of the groups of two halves of the prompts."),
        ]),
        TableSchema("experts", "Where a capability's best neurons lie among the groups.", [
            _LAYER, _CAPABILITY,
            C("group", "Number of the group, from 0, the largest."),
            C("size", "Neurons in it."),
            C("neurons", "Of the layer's best 1 % for the capability."),
            C("expected", "What its size alone gives."),
            C("p", "Chance of so many (hypergeometric)."),
            C("expert", "Whether that is below 0.001."),
            C("random", "Share of random groupings of the same sizes with such a group."),
        ]),
        TableSchema("groups", "The group of each neuron.", [
            _LAYER, C("neuron", "Its number."), C("group", "Number of its group."),
        ]),
        CLAIMS_TABLE,
    ],
    arrays=[
        A("precision", "Average precision of every neuron; NaN where a layer has fewer.",
          ("layer", "neuron", "capability")),
    ],
    findings=[
        F("dissociation", "Capabilities that dissociate", "capabilities"),
        F("clearest", "The most selective ablation", _NATS, chosen=True),
        F("selective_*", "How selective the ablation of one capability is", _NATS),
        F("matched", "What sets and matched neurons cost", _NATS),
        F("pairs", "Pairs of capabilities that dissociate doubly", "pairs"),
        F("map", "Neurons above chance", "neurons"),
        F("always", "Neurons that are always active", "neurons"),
        F("unmapped", "Layers that are not mapped", "layers"),
        F("untrained", "Neurons above chance in the untrained twin", "neurons"),
        F("sparsity", "What masking the smallest activations costs", _NATS),
        F("partitions", "Modularity, beside rewired graphs"),
        F("experts", "Groups that are experts of a capability"),
        CLAIMS_FINDING,
    ],
)  # fmt: skip

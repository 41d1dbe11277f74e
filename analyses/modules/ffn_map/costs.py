"""What the parts of a run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures.capability_scores import BATCH
from analyses.measures.capability_sets import named
from analyses.modules.ffn_map import params as asked
from analyses.modules.ffn_map.coactivation import MOST
from analyses.modules.ffn_map.partitions import partition_layers
from analyses.modules.ffn_map.reading import layer_blocks
from hooks.neurons import neuron_counts
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.modules.ffn_map.params import Params
    from hooks.model import InstrumentedModel

_FULL = 0.92  # of the tokens that a prompt may have
_OWN = 2  # capabilities that a user's file is taken to have
_RANKED = 1.2e-9  # seconds of a neuron and a prompt in one deal of labels
_SORTED = 9e-8  # and until it has a rank
_PARTITION = 25.0  # seconds of a layer of 1,536 neurons
_READ_VALUE = 1.5e-9  # seconds of a neuron, a token of the vocabulary and a number of its vector


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    counts = neuron_counts(model)
    total = sum(counts.values())
    names = len(named(params.capabilities)) + (_OWN if params.path is not None else 0)
    choosing, held = names * params.prompts, names * params.held_out
    card = model.card
    logits = card.d_vocab * card.d_model
    body = 1 - logits / max(card.n_params, logits + 1)  # of a token, where no logit is asked for
    blocks = len(layer_blocks(model, choosing, params.score)) if counts else 1

    def answers(times: float) -> Cost:
        return Cost(
            forward=times * held * params.tokens * _FULL * (body + 0.2 * (1 - body)),
            passes=times * -(-held // BATCH),
            bytes=4.0 * BATCH * 9 * card.d_vocab,
        )

    deals = -(-params.permutations // max(1, names)) * names
    read = Cost(
        forward=blocks * choosing * params.tokens * _FULL * body,
        passes=blocks * -(-choosing // BATCH),
        bytes=6.0 * choosing * total / blocks,
    )
    ranked = Cost(seconds=total * (choosing * _SORTED + deals * params.prompts * 2 * _RANKED * 10))
    sets = len(asked.sizes(params)) * names * (1 + params.controls)
    chosen = partition_layers(list(counts), asked.picked_layers(params)) if counts else []
    wide = [min(MOST, counts[layer]) for layer in chosen]
    shown = names * params.cards
    # In the order in which they run.
    return {
        "map": read + ranked,
        "partitions": Cost(
            seconds=sum(_PARTITION * (n / 1536) for n in wide),
            bytes=sum(8.0 * n * n for n in wide),
        ),
        "key-value": Cost(seconds=shown * logits * _READ_VALUE),
        "ablation": answers(sets + 1),
        "sparsity": answers(2 * len(asked.shares(params)) + 1),
        "untrained": read + ranked,
    }

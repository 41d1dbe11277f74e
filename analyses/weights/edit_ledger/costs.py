"""What the parts of an edit-ledger run cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.weights.edit_ledger.layer_sweep import layers_tried
from analyses.weights.edit_ledger.methods import (
    Workshop,
    layers_needed,
    random_layer,
    workshop,
)
from analyses.weights.edit_ledger.params import Params
from hooks.editing.statistics import stored_layers
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

# Rows and tokens that a value is looked for with: twenty prefixes of some twenty tokens, and a
# prompt; twenty steps through the layers above the edit.
_PROMPT, _ROWS, _STEPS, _ABOVE = 20, 21, 20, 2 / 3
_BATCH_ROWS = 6  # of MEMIT
_TRAINED = 25  # passes of fine-tuning
_ASKED = 3 * 16  # tokens of a question, with both answers and what is generated
_STEPS_OF_ANSWER = 5  # passes
_NEUTRAL, _WRITTEN = 800, 48
_OTHERS = 24
_READ_AT_ONCE = 8 * 256  # tokens, for the moments of keys
_SECONDS_OF_STATISTICS = 2.0  # the weights' fingerprint, and reading what is kept


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    facts = 1 if params.subject else params.facts
    robust = 4 if "robust" in params.parts else 0
    questions = 12 + params.neighbours + robust
    asked = Cost(questions * _ASKED, _STEPS_OF_ANSWER)
    elsewhere = Cost(_NEUTRAL + _OTHERS * _ASKED + _WRITTEN, 4 + _STEPS_OF_ANSWER + _WRITTEN)
    each = asked + elsewhere
    edits = total([_edit(method) + each for method in params.methods])
    nulls = each * 3 + (_edit("r-rome") if {"r-rome", "rome"} & set(params.methods) else Cost())
    shop = workshop(model, params)
    tried = layers_tried(shop, params.layer_step)
    needed = layers_needed(params.methods, shop, random_layer(shop, params.seed))
    of_sequences = layers_needed(params.sequences, shop, shop.layer)
    return {
        "single": {
            "facts": _known(params),
            "keys": _keys(shop, needed),
            "single": (edits + nulls) * facts,
        },
        "layers": {"layers": _keys(shop, tried) + (_edit("r-rome") + asked) * len(tried) * facts},
        "robust": {},
        "ledger": {
            "ledger facts": _known(params),
            "ledger": _keys(shop, of_sequences)
            + total([_sequence(params, method, elsewhere) for method in params.sequences]),
        },
    }


def _known(params: Params) -> Cost:
    """Finding out which facts are known."""
    return Cost(0 if params.subject else 140 * _PROMPT, 12)


def _edit(method: str) -> Cost:
    """One fact, by one method; without the statistics of its layer, which are kept."""
    if method in ("r-rome", "rome"):
        tokens = _STEPS * _ROWS * _PROMPT * _ABOVE
        return Cost(tokens, _STEPS * _ABOVE, backward=tokens, seconds=_SECONDS_OF_STATISTICS)
    if method in ("memit", "alphaedit"):
        tokens = _STEPS * _BATCH_ROWS * _PROMPT * _ABOVE
        return Cost(tokens, _STEPS * _ABOVE, backward=tokens, seconds=2 * _SECONDS_OF_STATISTICS)
    if method == "in-context":
        return Cost()
    tokens = _TRAINED * _PROMPT
    return Cost(tokens, _TRAINED, backward=2 * tokens, seconds=_SECONDS_OF_STATISTICS)


def _keys(shop: Workshop, layers: Sequence[int]) -> Cost:
    """Reading the moments of the layers that are not kept yet, up to the highest of them."""
    missing = set(layers) - set(stored_layers(shop.model, layers, shop.tokens))
    if not missing:
        return Cost()
    share = (max(missing) + 1) / shop.model.n_layers
    return Cost(shop.tokens * share, share * shop.tokens / _READ_AT_ONCE)


def _sequence(params: Params, method: str, elsewhere: Cost) -> Cost:
    """All edits of one sequence, with what is asked after each batch."""
    batches = -(-params.edits // params.batch)
    asked = 2 * sum(min((b + 1) * params.batch, params.edits) for b in range(batches))
    again = Cost(asked * _ASKED, batches * _STEPS_OF_ANSWER)
    return _edit(method) * params.edits + again + elsewhere * (batches / 2)

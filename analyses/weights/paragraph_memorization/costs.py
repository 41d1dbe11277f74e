"""What the parts of a paragraph-memorization run cost.

How many passages are memorized shows only in the run: as many are counted as are asked for. How
many updates it takes to remove one was measured on the model organism.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures import text_source
from analyses.measures.decoding import decoding
from analyses.measures.scoring import reading
from analyses.weights.paragraph_memorization.constants import (
    GROUPS,
    KEEP_MEMORIZED,
    KEEP_NEUTRAL,
    MASKS,
    NEUTRAL,
    OTHERS,
    RARITY,
)
from analyses.weights.paragraph_memorization.params import Params
from analyses.weights.paragraph_memorization.patching import PATCHED
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_TOGETHER = 6000  # tokens that share a pass of a sweep
_PARTED = 1 / 6  # of the prefix: tokens from the replaced one to the first that is not said
# Of the updates that may be made, as many were; and of the step sizes that may be tried.
_UPDATES, _TRIED = 2.0, 2.3
_PER_UPDATE = 4  # passes
_MEMORIZED = 8  # one of so many windows is memorized


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    length = params.prefix + params.suffix
    n = text_source.n_windows(
        model, params, params.prefix, params.suffix, length, params.max_windows
    )
    if not n:
        return {part: Cost() for part in stages(model, params, 0)}
    return {part: total(each.values()) for part, each in stages(model, params, n).items()}


def stages(model: InstrumentedModel, params: Params, n: int) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it, for so many windows."""
    length = params.prefix + params.suffix
    memorized = min(params.passages, n)
    looked_at = min(len(GROUPS) * params.passages, n)
    heads = len(model.heads())
    # A changed head is run from its layer on.
    from_its_layer = (model.n_layers + 1) / (2 * model.n_layers)
    removed_one_by_one = (1.5 * memorized + KEEP_NEUTRAL) * heads * length * from_its_layer
    rare = min(n, RARITY)
    return {
        "passages": {
            "read": reading(model, n, params.prefix, params.suffix, whole=True),
            "own": decoding(looked_at - memorized, params.prefix, params.suffix),
        },
        "triggers": {"perturb": _swept(looked_at * params.draws * params.prefix * length)},
        "gradients": {
            # Gradients of weights count twice.
            "weights": Cost(looked_at * length, looked_at, backward=2 * looked_at * length),
            "activations": Cost(memorized * length, memorized, backward=memorized * length),
        },
        "patching": {"patch": _patching(model, params, min(params.traced, memorized))},
        "heads": {
            "rarity": Cost(rare * params.prefix, rare),
            "attention": Cost(memorized * length, memorized),
            "zeroed": _swept(removed_one_by_one),
            "random": Cost((memorized / 2 + NEUTRAL) * length, passes=8)
            * (params.random_sets + 2),
        },
        "edits": {"edits": _edits(params, min(params.edits, memorized), n)},
    }  # fmt: skip


def _swept(tokens: float) -> Cost:
    return Cost(tokens, 2 + tokens / _TOGETHER)


def _patching(model: InstrumentedModel, params: Params, traced: int) -> Cost:
    """Both ways: single values at one token, and heads at all tokens."""
    tokens = _PARTED * params.prefix
    values = len(PATCHED) * model.n_layers * tokens * tokens / 2
    each = (values + len(model.heads()) * tokens) / 2
    return Cost(each, passes=9) * (2 * traced)


def _edits(params: Params, edits: int, n: int) -> Cost:
    """Every passage unlearned and rewritten, with every mask."""
    length = params.prefix + params.suffix
    memorized = min(OTHERS, n // _MEMORIZED)
    keep = KEEP_NEUTRAL + min(KEEP_MEMORIZED, memorized // 2)
    updates = params.steps * (0.5 if params.rate else _UPDATES)
    rates = 1 if params.rate else _TRIED
    update = Cost((keep + 3) * length, _PER_UPDATE, backward=2 * (keep + 1) * length)
    # What is measured before and after: neutral prose, and other memorized passages.
    around = Cost((2 * (NEUTRAL + memorized / 2) + 2 * keep) * length, passes=8)
    return (update * updates + around * rates) * (2 * len(MASKS) * edits)

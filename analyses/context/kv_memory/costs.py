"""What the parts of a run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.context.kv_memory.block_fetches import KINDS
from analyses.context.kv_memory.fewer_numbers import BITS, GROUPINGS, METHODS, PRUNED, TEXTS
from analyses.context.kv_memory.params import budgets_of
from analyses.context.kv_memory.parts import PAST
from analyses.context.kv_memory.past_window import tokens_read
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.context.kv_memory.params import Params
    from hooks.model import InstrumentedModel

_ASK, _POLICIES, _LOOKING = 14, 10, 4
"""Tokens of a question with its answer; policies of ours; of these, those that look at queries."""
_SCORES = 0.4
"""Of a pass over the context: what all scores together take."""
_SHOWN = 12


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part. Reading the contexts is counted with each, since each needs it."""
    contexts = 1 if params.is_own() else params.contexts
    length = len(model.tokens(params.text)) if params.is_own() else params.length
    budgets = len(budgets_of(params))
    chosen = len([p for p in params.policies.split(",") if p.strip()]) or _POLICIES
    looking = min(chosen, _LOOKING)
    # A pass key is asked for once.
    questions = 1.0 if params.is_own() else (2 * params.questions + 1) / 3
    rows = questions * (4 + budgets * (chosen + 1 + looking)) + looking * questions
    attention = sum(b.attention_call is not None for b in model.layout.blocks)
    held = attention * length * model.d_head * 4 * (model.n_heads + 2 * model.n_kv_heads)
    # A reading, and two tokens that check it.
    read = Cost(forward=contexts * (length + 2), passes=3 * contexts, bytes=held + 192 * 2**20)
    shown = Cost(forward=(1 + budgets * chosen) * (_ASK + _SHOWN), passes=_SHOWN)
    some = min(contexts, TEXTS)

    def asked(times: float) -> Cost:
        return read + Cost(forward=some * times * questions * _ASK, passes=some * times)

    return {
        "policies": read
        + Cost(forward=contexts * (_SCORES * length + rows * _ASK), passes=contexts * 5)
        + shown,
        "channels": asked(1 + len(PRUNED) * len(METHODS)),
        "bits": asked(1 + len(BITS) * len(GROUPINGS)),
        "blocks": read + Cost(forward=2 * contexts * questions * _ASK, passes=2 * contexts),
        "episodes": read
        + Cost(forward=contexts * questions * _ASK * (1 + len(KINDS) * 2), passes=3 * contexts),
        PAST: _past(model, params),
    }


def _past(model: InstrumentedModel, params: Params) -> Cost:
    """Two needles under two masks, and once more for the entropy of attention."""
    if not (params.window or model.card.context_length):
        return Cost()
    length = tokens_read(model, params)
    layer = 4 * model.card.d_model * length * 8
    return Cost(forward=5 * length, passes=11, bytes=layer)

"""Where an answer came from, by the rule that the page states."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.prompt.provenance.constants import (
    BOTH,
    NEITHER,
    PROMPT,
    SLOTS,
    STATE,
    UNTOLD,
    WEIGHTS,
)
from analyses.prompt.provenance.design import Cells
from analyses.prompt.provenance.verdict_rule import LEAST, SAYABLE


@dataclass(frozen=True)
class Effect:
    """What one source gives to an answer.

    Attributes:
        source: `prompt`, `weights` or `state`.
        nats: mean over neutral texts, of the log-probability of the whole answer.
        low, high: its 95 % interval.
        null: the largest effect of a matched random part; NaN where there was none.
        named: whether it is a source of the answer; None where that cannot be told.
    """

    source: str
    nats: float
    low: float
    high: float
    null: float
    named: bool | None


def effects(cells: Cells) -> list[Effect]:
    """The sources that this prompt and model can have."""
    found = []
    if cells.has_context:
        prompt = _effect(PROMPT, cells.of_prompt.sum(-1), _largest(cells.of_neutral))
        added = float((cells.given - cells.neutral).sum(-1).mean())
        if cells.without is not None:  # neutral text may do harm, and any other then looks good
            added = min(added, float((cells.given - cells.without).sum()))
        without_subject = float((cells.given_blocked - cells.neutral_blocked).sum(-1).mean())
        alone_able = _sayable(cells.given_blocked) and not without_subject < LEAST
        able = added >= LEAST or alone_able
        found.append(prompt if able else replace(prompt, named=False))
    null = _largest(cells.of_parts)
    weights = _effect(WEIGHTS, cells.of_weights.sum(-1), null)
    alone = _effect(WEIGHTS, cells.alone.sum(-1), null)
    named = False if alone.named is False else weights.named and alone.named
    by_itself = cells.without is not None and _sayable(cells.without)
    if np.isfinite(weights.nats) and not by_itself and not _sayable(cells.neutral):
        named = False
    found.append(replace(weights, named=named))
    if (state := cells.of_state) is not None:
        found.append(_effect(STATE, state.sum(-1), _largest(cells.of_neutral)))
    if (modules := cells.of_modules) is not None:
        assert cells.of_slots is not None
        found.append(_effect(SLOTS, modules.sum(-1), _largest(cells.of_slots)))
    return found


def verdict(found: list[Effect]) -> str:
    """One word (or the words of `constants`) for all of them.

    The state is a way of the prompt, and memory modules are one of the weights (or, where their
    slots are tokens, of the prompt): where both are named, it is what holds the other's share.
    """
    named = [each.source for each in found if each.named]
    if STATE in named and PROMPT in named:
        named.remove(PROMPT)
    if SLOTS in named and len(named) > 1:
        named.remove(WEIGHTS if WEIGHTS in named else next(s for s in named if s != SLOTS))
    if len(named) > 1:
        return BOTH
    if named:
        return named[0]
    return UNTOLD if any(each.named is None for each in found) else NEITHER


def _sayable(logp: np.ndarray) -> bool:
    """Whether the model might say the answer: log-probabilities of its tokens, mean over all. What
    was not measured cannot tell.
    """
    return not np.isfinite(logp).all() or bool(np.exp(logp.mean()) >= SAYABLE)


def _largest(values: np.ndarray) -> float:
    """The largest effect of the whole answer among random parts, NaN of none."""
    total = values.sum(-1)
    return float(total.max()) if len(total) and np.isfinite(total).any() else float("nan")


def _effect(source: str, values: np.ndarray, null: float) -> Effect:
    """An effect of the whole answer over draws, (draw,)."""
    nats, (low, high) = mean_interval(values)
    if not np.isfinite(nats):
        return Effect(source, nats, low, high, null, None)
    bar = max(0.0, 0.0 if np.isnan(null) else null)
    if nats >= LEAST and low > bar:
        named: bool | None = True
    elif nats >= LEAST and high > bar:
        named = None  # it may be: the draws are too few, or too far apart
    else:
        named = False
    return Effect(source, nats, low, high, null, named)

"""What the parts of an unlearning-audit run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.unlearning_audit.attacks import steps_scored
from analyses.weights.unlearning_audit.constants import CONCEPT, SPREADING, TRAINED_ON
from analyses.weights.unlearning_audit.params import Params
from hooks.unlearning import METHODS
from workbench import organisms
from workbench.cost import Cost, total
from workbench.organisms import retrained

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

# Passages of the sets that a ledger gives, and tokens of each.
_FOLD, _KEPT, _UNSEEN, _NEUTRAL, _LENGTH = 15, 20, 200, 24, 100
_AT_ONCE = 16  # passages of one pass
_BATCH = 16  # passages to forget in a step, and as many to keep
_TAKEN, _TAKEN_BY = 15, {"rmu": 84, "mask": 78}
"""Steps until the passages count as forgotten, at all rates that are tried: measured on the
organism."""
_AGAIN = 0.28  # share of these at the rate that is known, on fewer passages in turn: measured
_ON_PATH = 6  # measurements on the way
_RELEARNT = 8  # passages of a step
_QUESTIONS, _ANSWERING = 50, 400  # asked, and passes in which they are answered
_PATCHED = 8  # passages that are read once a layer
_SEARCH = Cost(3 * 60 * 100 * 20, 3 * 60 * 2)  # the shortest prompts of three passages
_CANDIDATES, _FACTS, _QUESTION = 120, 40, 12  # facts asked, and taken; tokens of a question
_WRITTEN = Cost(16 * 24 * 3 * 50, 24 * 3 * 3)  # what the guided original writes, for ELM
_TAKEN_FACTS = 20  # steps until answers are guesses, at all rates that are tried


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    own = params.forget is not None
    length = params.longest if own else _LENGTH
    forget = _FOLD * (params.folds if not own else 2)
    beside = 0 if own or organisms.home_of(model.module) is None else 2
    models = len(params.methods) + len(params.unlearned) + 2 + beside
    watched = _read(forget + _KEPT + _NEUTRAL, length) * _ON_PATH
    generated = Cost((forget + _KEPT) * length, 2 * length)
    measured = _read(forget + _KEPT + _UNSEEN + _NEUTRAL, length) + generated
    answered = Cost(_QUESTIONS * 20, _ANSWERING) + _read(5 * _QUESTIONS, 20)
    scored = _read(0.8 * forget, length) * len(steps_scored(params.relearning_steps))
    relearning = _trained(_RELEARNT, length) * params.relearning_steps + scored
    seen = _read(forget, length)
    fold = _read(2.5 * _FOLD + _KEPT + _NEUTRAL, length) + generated
    layers = model.n_layers
    many = retrained.FOLDS
    # One fold is counted once, and so is what the run itself forgets.
    again = total(_method(name, params.steps, length) for name in params.methods) * _AGAIN
    return {
        "criteria": {
            "methods": total(_method(name, params.steps, length) for name in params.methods)
            + watched * len(params.methods),
            "criteria": (measured + answered) * models,
        },
        "folds": {
            "folds": again * (2 * many - 2)
            + fold * ((2 * many - 1) * len(params.methods) + beside * many / 2),
        },
        "relearning": {"relearning": relearning * (len(TRAINED_ON) * models)},
        "rounding": {"rounding": seen * (3 * models)},
        "sampling": {"sampling": seen * models},
        "lens": {"lens": seen * models * (1 + layers / 6)},
        "probes": {"probes": _read(forget + _UNSEEN, length) * models},
        "restore": {
            "restore": _read(_PATCHED, length) * (6 * layers * max(1, len(params.methods)))
        },
        "prompts": {"prompts": seen * (11 * models) + _SEARCH * models},
        **_of_facts(params),
    }


def _method(name: str, steps: int, length: int) -> Cost:
    """Forgetting by one method."""
    kept = _trained if METHODS[name].needs_retain else _read
    step = _trained(_BATCH, length) + kept(_BATCH, length)
    return step * min(_TAKEN_BY.get(name, _TAKEN), 2 * steps)


def _of_facts(params: Params) -> dict[str, dict[str, Cost]]:
    """Parts that forget facts: every relation is asked, trained on, asked again and probed."""
    many = len(params.relation_names)
    known = _read(_CANDIDATES, _QUESTION) + Cost(_CANDIDATES * 4, _CANDIDATES / 12)
    asked = _read(4 * _FACTS * (1 + many) / 2, _QUESTION) + _read(2 * _FACTS, _QUESTION)
    said = Cost(_FACTS / 2 * _QUESTION * 3, 6 * 24) + _read(12, 64)
    found = {}
    for part, own in ((SPREADING, 3), (CONCEPT, 9)):  # ELM reads each text behind two prefixes
        step = _read(own * _BATCH, _QUESTION) + _read(_BATCH, 40)
        one = step * min(_TAKEN_FACTS, params.steps) + (asked + said) * 3
        if part == CONCEPT:
            one += _WRITTEN
        found[part] = {part: (known + one) * many}
    return found


def _read(passages: float, length: int) -> Cost:
    """So many passages, once."""
    return Cost(passages * length, passages / _AT_ONCE)


def _trained(passages: float, length: int) -> Cost:
    """So many passages in a step: gradients take twice the pass. (The measured time of gradients
    is that of one short text, which in a small model is mostly overhead.)
    """
    return _read(passages, length) * 3

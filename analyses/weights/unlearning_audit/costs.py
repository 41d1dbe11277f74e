"""What the parts of an unlearning-audit run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.unlearning_audit.attacks import steps_scored
from analyses.weights.unlearning_audit.constants import CONCEPT, SPREADING, TRAINED_ON
from analyses.weights.unlearning_audit.params import Params
from workbench import organisms
from workbench.cost import Cost, total
from workbench.organisms import retrained

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

# Passages of the sets that a ledger gives, and tokens of each.
_FORGET, _OTHERS, _LENGTH = 15, 330, 100
_AT_ONCE = 16  # passages of one pass
_TAKEN = 12  # steps until the passages count as forgotten, at all rates that are tried
_AGAIN = 8  # the same at a rate that is known
_BATCH = 32  # passages to forget and to keep in a step
_ON_PATH = 6  # measurements on the way
_RELEARNT, _HELD = 8, 48  # passages of a step, and those asked
_QUESTIONS = 50
_PATCHED = 8  # passages that are read once a layer
_SEARCH = Cost(3 * 60 * 64 * 20, 3 * 60 * 2)  # the shortest prompts of three passages
_CANDIDATES, _FACTS, _QUESTION = 120, 40, 12  # facts asked, and taken; tokens of a question
_TAKEN_FACTS = 40  # steps until answers are guesses, at all rates that are tried


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    own = params.forget is not None
    length = params.longest if own else _LENGTH
    forget = _FORGET * (params.folds if not own else 2)
    beside = 0 if own or organisms.home_of(model.module) is None else 2
    models = len(params.methods) + len(params.unlearned) + 2 + beside
    step = Cost(_BATCH * length, 2, backward=2 * _BATCH * length)
    watched = _read(forget + 50, length) * _ON_PATH
    method = step * min(_TAKEN, params.steps) + watched
    generated = Cost(2 * forget * length, 2 * length + _QUESTIONS)
    measured = _read(_OTHERS, length) + generated + _read(5 * _QUESTIONS, 20)
    scored = _read(_HELD, length) * len(steps_scored(params.relearning_steps))
    relearnt = Cost(_RELEARNT * length, 1, backward=2 * _RELEARNT * length)
    relearning = (relearnt * params.relearning_steps + scored) * len(TRAINED_ON)
    seen = _read(forget, length)
    fold = step * min(_AGAIN, params.steps) + measured * (2 / 3)
    layers = model.n_layers
    return {
        "criteria": {
            "methods": method * len(params.methods),
            "criteria": measured * models,
        },
        "folds": {"folds": fold * (2 * retrained.FOLDS * len(params.methods))},
        "relearning": {"relearning": relearning * models},
        "rounding": {"rounding": seen * (3 * models)},
        "sampling": {"sampling": seen * models},
        "lens": {"lens": seen * models * (1 + layers / 6)},
        "probes": {"probes": _read(forget + 200, length) * models},
        "restore": {
            "restore": _read(_PATCHED, length) * (6 * layers * max(1, len(params.methods)))
        },
        "prompts": {"prompts": seen * (11 * models) + _SEARCH * models},
        **_of_facts(model, params),
    }


def _of_facts(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """Parts that forget facts: every relation is asked, trained on, asked again and probed."""
    many = len(params.relation_names)
    known = _read(_CANDIDATES, _QUESTION) + Cost(_CANDIDATES * 4, _CANDIDATES / 12)
    asked = _read(4 * _FACTS * (1 + many) / 2, _QUESTION) + _read(2 * _FACTS, _QUESTION)
    said = Cost(_FACTS / 2 * _QUESTION * 3, 6 * 24) + _read(12, 64)
    found = {}
    for part, own in ((SPREADING, 3), (CONCEPT, 9)):  # ELM reads each text behind two prefixes
        step = _read(own * _BATCH / 2, _QUESTION) + _read(_BATCH / 2, 40)
        one = step * min(_TAKEN_FACTS, params.steps) + (asked + said) * 3
        found[part] = {part: (known + one) * many}
    return found


def _read(passages: float, length: int) -> Cost:
    """So many passages, once."""
    return Cost(passages * length, passages / _AT_ONCE)

"""What the parts of a run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.training.forgetting import constants as c
from analyses.training.forgetting.fine_tuning import log_spaced
from analyses.training.forgetting.params import relations_of
from analyses.training.forgetting.parts import not_small
from analyses.training.forgetting.task_sequence import sequence_cost
from analyses.training.forgetting.training_stages import stages_cost
from hooks.mixed_weights import module_groups
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel
    from workbench.facts import Relation

_GENERATED = 2  # tokens beyond an answer
_SUBJECTS = 20  # of a relation, whose prompts are looked at
_ASKED = 2  # facts that are asked closed-book for each that is tested
_REMEDIES = 4  # trainings
_COPIES = 6  # of all weights, while a copy is trained and compared


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    of_pair = {part: total(each.values()) for part, each in stages(model, params).items()}
    if not_small(model) is not None:
        return of_pair
    return of_pair | {
        "stages": stages_cost(model, params.seeds),
        "tasks": sequence_cost(model, params.seeds),
    }


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    relations = relations_of(params)
    asked = _tokens_of_fact(model, relations)
    row_set = params.measured * params.length
    once = Cost(
        forward=3 * row_set,
        passes=3 * max(1, row_set / 512),
        bytes=_COPIES * sum(p.nbytes for p in model.module.parameters()),
    )
    facts = params.facts * asked
    prepare = once + Cost(
        forward=_ASKED * (2 * facts + _GENERATED * params.facts) + row_set,
        passes=params.length + 6 * len(relations),
    )
    train = _training(params, params.steps, full=params.rank == 0)
    measured = once * len(log_spaced(params.steps))
    one = Cost(forward=row_set * 2, passes=16) if params.tuned.strip() else train + measured
    other = [rank for rank in dict.fromkeys(params.ranks) if rank != params.rank]
    low = _training(params, params.steps, full=False) + measured
    yard = 2 * params.map_rows * params.length + params.map_facts * asked
    entry = Cost(forward=yard, passes=3)
    groups = len(module_groups(model, finer=params.finer))
    layers = 2 * (model.n_layers + 1)
    again = params.realign_steps * c.STEP_ROWS * asked
    realigned = Cost(forward=again, passes=params.realign_steps, backward=2 * again)
    shots = facts * (1 + params.shots)
    remedy = _training(params, params.steps, full=params.rank == 0) + once
    early = _training(params, 2 * params.early, full=True) + entry * params.early
    return {
        "pair": {"prepare": prepare, "pair": one},
        "law": {"law": low * len(other)},
        "reset-map": {"reset-map": entry * (groups + params.halves + 8)},
        "reset-more": {"reset-more": entry * (2 * groups + layers) + train},
        "lost-or-misplaced": {
            "lost-or-misplaced": realigned * 4 + Cost(forward=2 * shots + 7 * facts, passes=20)
        },
        "path": {"path": entry * len(c.PATH)},
        "cka": {"cka": Cost(forward=2 * (row_set + facts), passes=6)},
        "first-steps": {"first-steps": early},
        "remedies": {"remedies": remedy * _REMEDIES},
        "aligned": {"aligned": Cost(forward=4 * row_set, passes=4 * params.length)},
    }


def _training(params: Params, steps: int, *, full: bool) -> Cost:
    tokens = steps * params.rows * params.length
    # A low-rank update has small matrices beside the large ones, which are slow for their size.
    return Cost(forward=tokens, passes=steps, backward=tokens * (2 if full else 1.6))


def _tokens_of_fact(model: InstrumentedModel, relations: Sequence[Relation]) -> float:
    """Tokens of a closed-book prompt and its answer, about."""
    lengths = []
    for relation in relations:
        for fact in relation.facts[:_SUBJECTS]:
            prompt = relation.closed_book_prompt(fact.subject)
            answer = model.continuation_tokens(prompt.continuation(fact.answer))
            lengths.append(len(model.tokens(prompt.text)) + len(answer))
    return sum(lengths) / max(1, len(lengths))

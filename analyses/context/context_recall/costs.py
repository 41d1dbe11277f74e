"""What the parts of a run cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.context.context_recall import (
    contiguity,
    controls,
    further_tasks,
    head_ablation,
    interference,
    needle_grid,
    recall_heads,
    serial_position,
)
from analyses.context.context_recall.constants import FREE
from analyses.context.context_recall.own_contexts import read_file
from analyses.context.context_recall.params import lengths_of, neutral_of, shares_of
from analyses.context.context_recall.score_tables import fitting, spread
from analyses.measures import recall_contexts as contexts
from analyses.measures.recall_scores import tokens_of
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from analyses.context.context_recall.params import Params
    from analyses.measures.recall_contexts import Context
    from hooks.model import InstrumentedModel

_OWN = 4  # characters of a token


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    steps = any(block.states for block in model.layout.blocks)
    found = {
        "needles": _needles(model, params, steps) + _controls(model, params, steps),
        "wordings": _wordings(model, params, steps),
        "position": _position(model, params, steps),
        "interference": _interference(model, params, steps),
        "passkey": _passkey(model, params, steps),
        "contiguity": _contiguity(model, params, steps),
    }
    for part in further_tasks.MADE:
        found[part] = _task(model, part, params, steps)
    if model.n_heads and "z" in model.sites:
        found["heads"] = _heads(model, params, steps)
    if params.contexts_file is not None:
        asked = read_file(params.contexts_file)
        read = sum(len(text) / _OWN for text in {each.context for each in asked})
        rows = sum(len(each.question) / _OWN * max(1, len(each.candidates)) for each in asked)
        found["own"] = _read(read, rows, len(asked), steps)
    return found


def _read(read: float, rows: float, batches: float, steps: bool) -> Cost:
    """Contexts of so many tokens, and rows of questions; a model of states reads these one token at
    a time.
    """
    return Cost(forward=read + rows, passes=rows if steps else batches)


def _needles(model: InstrumentedModel, params: Params, steps: bool) -> Cost:
    absent = max(fitting(model, lengths_of(params))[0])
    return _grid(model, params, steps, params.needles) + Cost(forward=absent, passes=2)


def _asks(model: InstrumentedModel, count: int) -> float:
    """Tokens of the questions about a needle, mean over needles."""
    hidden = contexts.needles(count)
    return sum(tokens_of(model, each.questions((0, 0))) for each in hidden) / len(hidden)


def _grid(model: InstrumentedModel, params: Params, steps: bool, needles: int) -> Cost:
    """What stands before a needle is read once for all; a model of states reads it each time."""
    lengths, depths = fitting(model, lengths_of(params))[0], spread(params.depths)
    read = sum(n * (1.0 if steps else 1.0 - d) for n in lengths for d in depths)
    absent = 1 + steps * sum(lengths) / sum(n for n in lengths for d in depths)
    count = needles * len(lengths) * (len(depths) + 1)
    rows = _asks(model, params.needles)
    return _read(needles * read * absent, count * rows, 3 * count, steps)


def _passkey(model: InstrumentedModel, params: Params, steps: bool) -> Cost:
    lengths, depths = fitting(model, lengths_of(params))[0], spread(params.depths)
    read = sum(n * (1.0 if steps else 1.0 - d) for n in lengths for d in depths) + max(lengths)
    questions = contexts.passkey(model, lengths[0], 0.0).questions
    count = len(lengths) * len(depths)
    return _read(read, count * tokens_of(model, questions), 3 * count, steps)


def _controls(model: InstrumentedModel, params: Params, steps: bool) -> Cost:
    short = min(controls.LENGTH, fitting(model, lengths_of(params))[0][0])
    rows = _asks(model, params.needles)
    asked = contexts.needles(1)[0].questions((0, 0))
    each = tokens_of(model, asked[:1]) / max(1, len(model.continuation_tokens(asked[0].ask)))
    whole = 0 if steps else params.needles * 2 * each * short
    read = 2 * params.needles * short
    return _read(read + whole, 2 * params.needles * rows, 8 * params.needles * each, steps)


def _wordings(model: InstrumentedModel, params: Params, steps: bool) -> Cost:
    length = needle_grid.worded_length(model, params)
    count = params.needles * 4 * len(needle_grid.MIDDLE_DEPTHS)
    read = count * length * (1 if steps else 0.6)
    return _read(read, count * _asks(model, params.needles), 3 * count, steps)


def _lists(model: InstrumentedModel, given: Sequence[Context]) -> tuple[float, float]:
    """Tokens of contexts, and of their questions."""
    read = sum(len(model.tokens(context.text)) for context in given)
    return read, sum(tokens_of(model, context.questions) for context in given)


def _position(model: InstrumentedModel, params: Params, steps: bool) -> Cost:
    plain = _lists(model, [contexts.key_value(params.pairs, 0)])
    numbered = _lists(model, [contexts.key_value(params.pairs, 0, labelled=True)])
    half = max(2, params.lists // 2)
    times = params.lists + half + min(serial_position.TWIN_LISTS, params.lists)
    read, rows = (times * a + half * b for a, b in zip(plain, numbered, strict=True))
    return _read(read, rows, 2 * (times + half), steps)


def _contiguity(model: InstrumentedModel, params: Params, steps: bool) -> Cost:
    made = contiguity.list_contexts(params)
    times = sum(map(len, made.values()))
    read, rows = _lists(model, made[FREE][:1])
    return _read(times * read, times * rows, 2 * times, steps)


def _interference(model: InstrumentedModel, params: Params, steps: bool) -> Cost:
    n, neutral = interference.lists_of(params), neutral_of(params)
    parts = interference.beginnings(params.pairs)
    read, rows = _lists(model, [contexts.key_value(params.pairs, 0)])
    behind = len(parts) * (sum(neutral) if steps else max(neutral))
    asked = rows * sum(parts) / params.pairs * len(neutral)
    pairs = _lists(model, interference.competition_contexts(params)[:4])
    each = len(parts) * len(neutral)
    return _read(
        n * (read * (each if steps else 1) + behind + pairs[0]),
        n * (asked + pairs[1]),
        n * (2 * each + 8),
        steps,
    )


def _task(model: InstrumentedModel, part: str, params: Params, steps: bool) -> Cost:
    """From the contexts of the first seed."""
    first = further_tasks.MADE[part](0)
    times = len(further_tasks.task_contexts(part, params)) / len(first)
    read, rows = _lists(model, first)
    return _read(times * read, times * rows, 2 * times * len(first), steps)


def _heads(model: InstrumentedModel, params: Params, steps: bool) -> Cost:
    needles = recall_heads.needles_of(model, params)
    count, text = len(needles.choosing), min(recall_heads.LENGTH, 128)
    rows = sum(tokens_of(model, context.questions) for context in needles.choosing)
    one = _read(count * text * (1 if steps else 0.6), rows * 1.5, 4 * count, steps)
    repeats = Cost(forward=recall_heads.ROWS * 2 * recall_heads.REPEATED, passes=recall_heads.ROWS)
    each = count * 2
    swept = Cost(
        forward=each * (text + 15) + each * len(model.heads()) * (0.5 + _unembedding(model)),
        passes=each,
    )
    known = 8 * head_ablation.KNOWN
    sets = 1 + len(shares_of(params)) * (2 + params.draws)
    off = one + Cost(
        forward=known + head_ablation.TEXTS * 2 * recall_heads.REPEATED,
        passes=head_ablation.TEXTS + 1,
    )
    return total([one * 2, repeats, swept, Cost(forward=8 * head_ablation.ASKED, passes=2)]) + (
        off * sets
    )


def _unembedding(model: InstrumentedModel) -> float:
    """What the logits of a token cost, as a share of the whole model."""
    logits = model.card.d_vocab * model.card.d_model
    return logits / max(logits, model.card.n_params - logits)

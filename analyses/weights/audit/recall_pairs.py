"""Does an answer come out after its prompt, and does it come out after another one as well?

One pass decides: greedy decoding says the answer exactly if, fed in, each of its tokens is the
likeliest. What also comes out after a foreign prompt can be guessed, and proves nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.sampler import Sampler
from analyses.measures.sampling import queries_needed, rounded_queries
from analyses.measures.scoring import reading, score
from analyses.measures.windows import Window
from analyses.weights.audit.constants import GIVEN

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress


@dataclass(frozen=True)
class RecalledAnswers:
    """Arrays are (pair,).

    Attributes:
        own: whether the answer comes out after its own prompt.
        other: whether it does after a prompt that belongs to another answer.
        has_other: whether there was such a prompt.
        queries: samples at temperature 1 of which one holds the answer with a probability of one
            half.
    """

    own: np.ndarray
    other: np.ndarray
    has_other: np.ndarray
    queries: np.ndarray


def recalled(
    model: InstrumentedModel,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    groups: Sequence[str],
    seed: int,
    progress: Progress,
) -> RecalledAnswers:
    """Each answer after its prompt, and after one of another answer of its group.

    Args:
        prompts, answers: tokens, without what the tokenizer puts in front.
        groups: foreign prompts are those of the same group.
        seed: which foreign prompt each gets.
    """
    others = _foreign(answers, groups, seed)
    pairs = [(row, row) for row in range(len(answers))]
    pairs += [(other, row) for row, other in enumerate(others) if other is not None]
    windows = [_window(model, prompts[prompt], answers[row]) for prompt, row in pairs]
    scores = score(model, windows, Sampler(temperature=0), progress=progress)
    whole = np.array([
        _whole(model, int(scores.match[n]), scores.likeliest[n], answers[row])
        for n, (_, row) in enumerate(pairs)
    ], bool)  # fmt: skip
    own, other = whole[: len(answers)], np.zeros(len(answers), bool)
    for n, (_, row) in enumerate(pairs[len(answers) :], len(answers)):
        other[row] = whole[n]
    # The token behind the answer was fed in to see whether its word ends; it is no part of it.
    log_p = [float(scores.logprob[n, : len(answer)].sum()) for n, answer in enumerate(answers)]
    queries = np.array([rounded_queries(queries_needed(p, 0.5)) for p in log_p])
    return RecalledAnswers(own, other, np.array([o is not None for o in others], bool), queries)


def recall_cost(model: InstrumentedModel, n: int, prompt: int, answer: int) -> Cost:
    """Of so many pairs of so many tokens, with their controls."""
    return reading(model, 2 * n, prompt, answer + 1, whole=True)


def fits(model: InstrumentedModel, prompt: Sequence[int], answer: Sequence[int]) -> bool:
    """Whether the model can read an answer, and enough of its prompt before it, at once."""
    return not model.positions or _room(model, answer) >= min(len(prompt), GIVEN)


def _foreign(
    answers: Sequence[Sequence[int]], groups: Sequence[str], seed: int
) -> list[int | None]:
    """For each answer a row of its group with another answer, by lot; None where there is none."""
    draw = random.Random(f"{seed} foreign prompts")
    by_group: dict[str, dict[tuple[int, ...], list[int]]] = {}
    for row, group in enumerate(groups):
        by_group.setdefault(group, {}).setdefault(tuple(answers[row]), []).append(row)
    foreign: list[int | None] = [None] * len(answers)
    for alike in by_group.values():
        rows = [row for same in alike.values() for row in same]
        start = 0  # where those of the same answer stand among them
        for same in alike.values():
            for row in same if len(same) < len(rows) else ():
                at = draw.randrange(len(rows) - len(same))
                foreign[row] = rows[at if at < start else at + len(same)]
            start += len(same)
    return foreign


def _window(model: InstrumentedModel, prompt: Sequence[int], answer: Sequence[int]) -> Window:
    """The prompt cut from its left to what the model reads at once, and one token more at the end:
    at its place the model says whether the answer's last word goes on.
    """
    if model.positions:
        prompt = prompt[-max(1, _room(model, answer)) :]
    return Window(0, 0, tuple(model.text.beginning), tuple(prompt), (*answer, answer[-1]))


def _room(model: InstrumentedModel, answer: Sequence[int]) -> int:
    """Tokens that a prompt may have before an answer and the one token behind it."""
    return (model.positions or 0) - len(model.text.beginning) - len(answer) - 2


def _whole(
    model: InstrumentedModel, match: int, likeliest: np.ndarray, answer: Sequence[int]
) -> bool:
    """All tokens of the answer, and then no further letter or digit of the same word."""
    if match < len(answer):
        return False
    last, behind = model.token_strings([answer[-1], int(likeliest[len(answer)])])
    return not (last[-1:].isalnum() and behind[:1].isalnum())

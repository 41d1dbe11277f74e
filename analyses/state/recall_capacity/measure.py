"""What a model answers to questions about pairs: one pass over each batch of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.pair_questions import Questions, Vocabulary, draw
from analyses.measures.statistics import difference, rate_interval
from hooks import out_of_memory
from hooks.eager_eval import steady
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

BATCH = 2048
"""Tokens that share a pass."""


@dataclass(frozen=True)
class Answers:
    """What was answered; all arrays are (question,).

    Attributes:
        right: whether the value is what was answered: the likeliest of all tokens of a model that
            was trained on such rows; of any other, which may continue otherwise for want of a
            format, the likeliest of the values of the row.
        all_tokens: whether the value is the likeliest of all tokens.
        among: whether it is the likeliest of the values of its row.
        shuffled: the same of a value of the row that was drawn at random: what a guess among the
            values gets.
        kept_old: of a key that was bound again, whether its earlier value is what was answered.
        place: which pair of the row was asked for, from 0.
        old: whether it is the key of a pair that was bound again.
        row: which questions belong to one row.
        seed: of the row.
    """

    right: np.ndarray
    all_tokens: np.ndarray
    among: np.ndarray
    shuffled: np.ndarray
    kept_old: np.ndarray
    place: np.ndarray
    old: np.ndarray
    row: np.ndarray
    seed: np.ndarray

    def where(self, mask: np.ndarray) -> Answers:
        """Those of some questions."""
        return Answers(**{name: values[mask] for name, values in vars(self).items()})

    def rates(self) -> dict[str, float]:
        """Share of right answers with its 95 % interval over rows, and the same among all tokens
        and among the values of the row; columns of a table.
        """
        (low, high), (all_low, all_high), (among_low, among_high) = (
            rate_interval(hits, self.row) for hits in (self.right, self.all_tokens, self.among)
        )
        return {
            "recall": float(self.right.mean()),
            "low": low,
            "high": high,
            "all_tokens": float(self.all_tokens.mean()),
            "all_low": all_low,
            "all_high": all_high,
            "among_values": float(self.among.mean()),
            "among_low": among_low,
            "among_high": among_high,
            "n": len(self.right),
        }

    def less(self, other: Answers) -> tuple[float, tuple[float, float]]:
        """Recall here less recall there, and its 95 % interval."""
        return difference(
            self.right.astype(float), other.right.astype(float), (self.row, other.row)
        )


def ask(
    model: InstrumentedModel,
    vocabulary: Vocabulary,
    pairs: int,
    rows: int,
    seeds: range,
    report: Callable[[float], None] = lambda fraction: None,
    **how: Any,
) -> Answers:
    """Draw rows under several seeds and ask.

    Args:
        rows: for each seed.
        report: gets the share that is done.
        how: as `pair_questions.draw`.

    Raises:
        BadInput: there are not so many keys or values, or the rows are longer than the model can
            read.
    """
    each = []
    for number, seed in enumerate(seeds):
        report(number / len(seeds))
        questions = draw(vocabulary, pairs, rows, seed, **how)
        each.append(_answers(model, questions, vocabulary.asks_all, seed, number * rows))
    names = vars(each[0])
    return Answers(**{n: np.concatenate([getattr(one, n) for one in each]) for n in names})


def _answers(
    model: InstrumentedModel, questions: Questions, is_trained: bool, seed: int, first_row: int
) -> Answers:
    likeliest, of_row = _likeliest(model, questions)
    given = likeliest if is_trained else of_row
    values = questions.values[questions.row]
    drawn = np.random.default_rng(seed).integers(0, values.shape[1], len(questions.row))
    guess = np.take_along_axis(values, drawn[:, None], 1)[:, 0]
    return Answers(
        right=given == questions.answer,
        all_tokens=likeliest == questions.answer,
        among=of_row == questions.answer,
        shuffled=of_row == guess,
        kept_old=(questions.old >= 0) & (given == questions.old),
        place=questions.place,
        old=questions.old >= 0,
        row=questions.row + first_row,
        seed=np.full(len(questions.row), seed),
    )


@ordinary
@torch.no_grad()
def _likeliest(model: InstrumentedModel, questions: Questions) -> tuple[np.ndarray, np.ndarray]:
    """For each question the likeliest token, and the likeliest value of its row."""
    rows, length = questions.ids.shape
    tokens = np.zeros(len(questions.row), dtype=np.int64)
    of_row = np.zeros(len(questions.row), dtype=np.int64)
    first = int(questions.position.min())

    def read(part: list[int]) -> None:
        batch = model.batch([questions.ids[i].tolist() for i in part])
        with steady(model.module):
            logits = model.forward(
                **batch.kwargs(), logits_to_keep=length - first, use_cache=False
            ).logits
        mine = np.flatnonzero(np.isin(questions.row, part))
        place = {row: n for n, row in enumerate(part)}
        at = torch.tensor([place[row] for row in questions.row[mine]], device=logits.device)
        position = torch.tensor(questions.position[mine] - first, device=logits.device)
        asked = logits[at, position].float()
        candidates = torch.tensor(questions.values[questions.row[mine]], device=logits.device)
        tokens[mine] = asked.argmax(-1).cpu().numpy()
        best = asked.gather(1, candidates).argmax(-1, keepdim=True)
        of_row[mine] = candidates.gather(1, best)[:, 0].cpu().numpy()

    size = max(1, BATCH // length)
    for start in range(0, rows, size):
        out_of_memory.in_parts(model, list(range(start, min(rows, start + size))), read)
    return tokens, of_row

"""Puzzles of knights and knaves as a model answers them: its own formal language where it was
trained on that, English elsewhere.

One pass reads a puzzle with its right answer. For each person the word that decides is compared
with the wrong one at the first token in which they differ: a puzzle is solved where the right one
is likelier for every person. As long as all earlier ones are right, that is what a model says that
answers with one of the two words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float

from hooks.eager_eval import steady
from hooks.unlearning.texts import Text, target_logits
from workbench.errors import Unfit
from workbench.puzzles import Change, PosedPuzzle, Puzzle, english, formal, perturbed

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_TOGETHER = 32


@dataclass(frozen=True)
class PuzzleLanguage:
    """How puzzles are put.

    Attributes:
        name: for people.
        posed: a puzzle with names, from a seed.
        prompt, steps: as `english.prompt` and `english.steps`.
        changes: what can be changed.
        other_names: places of the names that the change "names" gives.
        role_pairs: pairs of words for knight and knave.
    """

    name: str
    posed: Callable[[Puzzle, int], PosedPuzzle]
    prompt: Callable[[PosedPuzzle], str]
    steps: Callable[[PosedPuzzle], list[tuple[str, str, str]]]
    changes: tuple[Change, ...]
    other_names: tuple[int, ...]
    role_pairs: int

    def changed(self, posed: PosedPuzzle, change: Change, seed: int) -> PosedPuzzle | None:
        """A changed copy, None where there is none."""
        return perturbed(posed, change, seed, names=self.other_names, role_pairs=self.role_pairs)


ENGLISH = PuzzleLanguage(
    "English",
    english.posed,
    english.prompt,
    english.steps,
    english.CHANGES,
    tuple(range(english.COMMON, len(english.NAMES))),
    len(english.ROLES),
)
FORMAL = PuzzleLanguage(
    "the formal language it was trained on",
    formal.posed,
    formal.prompt,
    formal.steps,
    formal.CHANGES,
    tuple(range(len(formal.NAMES))),
    1,
)


@dataclass(frozen=True)
class PuzzleScores:
    """What a model makes of puzzles.

    Attributes:
        right: share of the people of each puzzle that it names rightly.
        solved: whether it names all of them rightly.
        log_p: ln of how likely the right words are, each against the wrong one alone, summed over
            the people.
    """

    right: Float[np.ndarray, " puzzle"]
    solved: Bool[np.ndarray, " puzzle"]
    log_p: Float[np.ndarray, " puzzle"]


def language_of(model: InstrumentedModel) -> PuzzleLanguage:
    """The language that a model reads puzzles in."""
    known: dict[str, int] = model.tokenizer.get_vocab()
    return FORMAL if known == {word: n for n, word in enumerate(formal.WORDS)} else ENGLISH


@dataclass(frozen=True)
class PuzzleTokens:
    """A puzzle with its right answer.

    Attributes:
        text: tokens, predicted from the first that decides on.
        places: of each person the place of the token that decides, among the predicted ones.
        right, wrong: the tokens that are compared there.
    """

    text: Text
    places: tuple[int, ...]
    right: tuple[int, ...]
    wrong: tuple[int, ...]


def tokens_of(
    model: InstrumentedModel, language: PuzzleLanguage, posed: PosedPuzzle
) -> PuzzleTokens:
    """A puzzle as the model reads it.

    Raises:
        Unfit: the tokenizer does not tell the two words apart.
    """
    ids, found = list(model.tokens(language.prompt(posed))), []
    for before, right, wrong in language.steps(posed):
        ids += model.continuation_tokens(before)
        ones, others = model.continuation_tokens(right), model.continuation_tokens(wrong)
        same = 0
        while same < min(len(ones), len(others)) and ones[same] == others[same]:
            same += 1
        if same == min(len(ones), len(others)):
            raise Unfit(
                f"{model.card.name} reads “{right.strip()}” and “{wrong.strip()}” as tokens that do"
                " not tell them apart.",
                "a tokenizer that knows both words",
                "Leave out the part `puzzles`, or choose another model.",
            )
        found.append((len(ids) + same, ones[same], others[same]))
        ids += ones
    first = found[0][0]
    places, right_ids, wrong_ids = zip(*found, strict=True)
    return PuzzleTokens(
        Text(tuple(ids), first), tuple(place - first for place in places), right_ids, wrong_ids
    )


@torch.no_grad()
def puzzle_scores(
    model: InstrumentedModel,
    language: PuzzleLanguage,
    puzzles: Sequence[PosedPuzzle],
    progress: Progress | None = None,
    says: str = "Reading puzzles",
) -> PuzzleScores:
    """Read every puzzle once with its right answer.

    Raises:
        Unfit: the tokenizer does not tell the two words apart.
        BadInput: a puzzle is longer than the model reads.
    """
    read = [tokens_of(model, language, one) for one in puzzles]
    n, done = len(read), 0
    right, solved, log_p = np.zeros(n), np.zeros(n, bool), np.zeros(n)
    with steady(model.module):
        for chosen in model.batch_indices([len(one.text.ids) for one in read], _TOGETHER):
            found = target_logits(model, [read[i].text for i in chosen])
            for i, (logits, _) in zip(chosen, found, strict=True):
                own, at = read[i], list(read[i].places)
                odds = logits[at, list(own.right)] - logits[at, list(own.wrong)]
                right[i], solved[i] = float((odds > 0).double().mean()), bool((odds > 0).all())
                log_p[i] = float(torch.nn.functional.logsigmoid(odds.double()).sum())
            done += len(chosen)
            if progress is not None:
                progress(done / n, f"{says}, {done:,} of {n:,}")
    return PuzzleScores(right, solved, log_p)

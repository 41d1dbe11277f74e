"""The experiment: context {as given, neutral} × subject {seen, blocked} (× state {kept, wiped}),
read in nats of the answer's log-probability.

Two main effects and their interaction, for each neutral text; nothing is forced to add up to the
answer. Beside them, as nulls: blocking parts of the neutral text that are as long as the subject,
and what one neutral text gives more than another.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.prompt.provenance.constants import AROUND
from analyses.prompt.provenance.prompt_parts import PromptParts
from analyses.prompt.provenance.subject import Blocking, QuestionSubject, present, random_parts
from hooks.prompt_changes import PromptChange, read_answer

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

Replaced = tuple[tuple[int, tuple[int, ...]], ...]
"""Runs of tokens, and where they stand in place of the prompt's own."""
_PARTS_IN = 2  # neutral contexts in which random parts are blocked


@dataclass(frozen=True)
class Cells:
    """Log-probability of each token of the answer, in nats, in every cell of the design.

    The last axis is the answer's tokens. A prompt without context has no `given` of its own: then
    neutral text stands before it, and `given` is NaN.

    Attributes:
        given, given_blocked: (token,); the context as it is.
        neutral, neutral_blocked: (draw, token); neutral text in its place.
        of_parts: (draw × part, token); what blocking a random part of the neutral text takes.
        without: (token,); the question with nothing before it. None where it was not read.
        given_wiped: (token,), neutral_wiped: (draw, token): recurrent states wiped before the
            question; None where there are none.
        given_masked: (token,), neutral_masked: (draw, token): the slots that the answer reads in
            memory modules masked; None where there are none. of_slots: (draw, token), what other
            slots take, as many.
    """

    given: np.ndarray
    given_blocked: np.ndarray
    neutral: np.ndarray
    neutral_blocked: np.ndarray
    of_parts: np.ndarray
    without: np.ndarray | None = None
    given_wiped: np.ndarray | None = None
    neutral_wiped: np.ndarray | None = None
    given_masked: np.ndarray | None = None
    neutral_masked: np.ndarray | None = None
    of_slots: np.ndarray | None = None

    @property
    def has_context(self) -> bool:
        return bool(np.isfinite(self.given).all())

    @property
    def of_prompt(self) -> np.ndarray:
        """Main effect of the context, (draw, token); NaN without one. Where nobody could be
        blocked, it is the effect with all else as it is.
        """
        if not np.isfinite(self.given_blocked).all():
            alone: np.ndarray = self.given - self.neutral
            return alone
        found: np.ndarray = (
            (self.given - self.neutral) + (self.given_blocked - self.neutral_blocked)
        ) / 2
        return found

    @property
    def alone(self) -> np.ndarray:
        """What seeing the subject gives where the context says nothing, (draw, token)."""
        found: np.ndarray = self.neutral - self.neutral_blocked
        return found

    @property
    def of_weights(self) -> np.ndarray:
        """Main effect of seeing the subject, (draw, token)."""
        if not self.has_context:
            return self.alone
        found: np.ndarray = (self.alone + (self.given - self.given_blocked)) / 2
        return found

    @property
    def interaction(self) -> np.ndarray:
        """How much more the context gives where the subject is seen, (draw, token)."""
        found: np.ndarray = (self.given - self.neutral) - (
            self.given_blocked - self.neutral_blocked
        )
        return found

    @property
    def of_neutral(self) -> np.ndarray:
        """What each neutral text gives more than the mean of the others, (draw, token)."""
        n = len(self.neutral)
        found: np.ndarray = (self.neutral - self.neutral.mean(0)) * (n / max(1, n - 1))
        return found

    @property
    def of_state(self) -> np.ndarray | None:
        """What wiping the state takes from the answer, beyond what it takes where the context is
        neutral, (draw, token).
        """
        if self.given_wiped is None or self.neutral_wiped is None:
            return None
        found: np.ndarray = (self.given - self.given_wiped) - (self.neutral - self.neutral_wiped)
        return found

    @property
    def of_modules(self) -> np.ndarray | None:
        """Main effect of the slots that the answer reads, (draw, token)."""
        if self.neutral_masked is None:
            return None
        found: np.ndarray = self.neutral - self.neutral_masked
        if self.given_masked is not None:
            found = (found + (self.given - self.given_masked)) / 2
        return found


@dataclass(frozen=True)
class Setting:
    """A prompt made ready for the design: where there is no context, neutral text stands before
    the question.

    Attributes:
        asked: the prompt whose cells are read.
        contexts: what may stand in the context's place, one for each draw.
        bare: tokens of the question with nothing before it.
        is_alone: the prompt has no context of its own.
    """

    asked: PromptParts
    contexts: tuple[Replaced, ...]
    bare: tuple[int, ...]
    is_alone: bool


def prepare(
    model: InstrumentedModel, asked: PromptParts, runs: Sequence[tuple[int, ...]]
) -> Setting:
    """The contexts of a prompt.

    Args:
        runs: neutral tokens, as many as the context has in all (or `AROUND` where it has none).
    """
    if not asked.context:
        ids, at = asked.ids, min(len(model.text.beginning), len(asked.ids))
        first = [*runs[0][:AROUND], *model.continuation_tokens("\n\n")]
        shift = len(first)
        spans = [(low, high) for low, high in asked.spans]
        longer = PromptParts(
            asked.text,
            [*ids[:at], *first, *ids[at:]],
            [*spans[:at], *[(0, 0)] * shift, *spans[at:]],
            ((at, at + AROUND),),
            (),
            (asked.question[0] + shift, asked.question[1] + shift),
        )
        replaced_by = tuple(((at, run[:AROUND]),) for run in runs)
        return Setting(longer, replaced_by, tuple(asked.ids), True)
    contexts = []
    for run in runs:
        reached, replaced = 0, []
        for start, stop in asked.context:
            replaced.append((start, run[reached : reached + stop - start]))
            reached += stop - start
        contexts.append(tuple(replaced))
    of_context = {at for start, stop in asked.context for at in range(start, stop)}
    bare = tuple(each for at, each in enumerate(asked.ids) if at not in of_context)
    return Setting(asked, tuple(contexts), bare, False)


def context_tokens(asked: PromptParts) -> int:
    """Tokens that are replaced."""
    return sum(stop - start for start, stop in asked.context) or AROUND


def measure(
    model: InstrumentedModel,
    setting: Setting,
    subject: QuestionSubject | None,
    answer: Sequence[int],
    blocking: Blocking,
    seed: int,
    progress: Progress,
) -> Cells:
    """Every cell of the design; each context is read once."""
    asked, draws = setting.asked, len(setting.contexts)
    parts = [] if subject is None else random_parts(asked, subject, random.Random(seed))
    n = len(answer)

    def read(number: int) -> np.ndarray:
        """The prompt with one of its contexts (0 is as given): as it is, with the subject blocked,
        and with each random part blocked; (cell, token).
        """
        context = ((), *setting.contexts)[number]
        progress(number / (draws + 1), f"The prompt with another context, {number} of {draws}")
        changes = [PromptChange()]
        if subject is not None:
            changes.append(blocking.change(present(asked, subject, context)))
            changes += [blocking.change([part]) for part in parts * (1 <= number <= _PARTS_IN)]
        ids = PromptChange(context).ids(asked.ids)
        return read_answer(model, ids, answer, changes).logp.numpy().astype(float)

    cells = [read(number) for number in range(draws + 1)]
    blocked = [each[1] if subject is not None else np.full(n, np.nan) for each in cells]
    of_parts = [each[0] - row for each in cells[1 : 1 + _PARTS_IN] for row in each[2:]]
    absent = np.full(n, np.nan)
    without = read_answer(model, setting.bare, answer, [PromptChange()]).logp[0]
    return Cells(
        given=absent if setting.is_alone else cells[0][0],
        given_blocked=absent if setting.is_alone else blocked[0],
        neutral=np.array([each[0] for each in cells[1:]]),
        neutral_blocked=np.array(blocked[1:]),
        of_parts=np.array(of_parts).reshape(-1, n),
        without=without.numpy().astype(float),
    )

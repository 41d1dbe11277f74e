"""What an analysis says of itself to the Playground where memories are asked: facts are typed, and
one sees which slots their answers read, masks some, and asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from workbench.playground import Form

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class ReadSlot:
    """A slot that the answer to a question reads.

    Attributes:
        number: over all memories of the model.
        name: as a person reads it.
        share: of all that slots bring there, 0 to 1.
        promotes: tokens that its value promotes; empty where values are no vectors of the stream.
        readers: how many of the questions have it among those they read most.
    """

    number: int
    name: str
    share: float
    promotes: str
    readers: int


@dataclass(frozen=True)
class SlotAnswer:
    """What a model says to one question.

    Attributes:
        says: its likeliest next token.
        p: the probability of it.
        wanted: the probability of the answer that was typed, or given at first.
        right: whether that is what it says.
    """

    says: str
    p: float
    wanted: float
    right: bool


@dataclass(frozen=True)
class LotAnswers:
    """Answers with slots masked that were drawn by lot.

    Attributes:
        answers: one to each question.
        are_read: whether the questions read those slots. Where they do not, no answer can be
            another, so nothing is compared.
    """

    answers: Sequence[SlotAnswer]
    are_read: bool


@dataclass(frozen=True)
class SlotQuestion:
    """Attributes:
    prompt: what is asked.
    answer: what was typed for it; empty: what the model said at first.
    slots: what it reads, the most first.
    """

    prompt: str
    answer: str
    slots: Sequence[ReadSlot]


class AskedSlots(Protocol):
    """Questions that were asked of a model with its memories as they are.

    Attributes:
        about: what the memories are, a sentence.
        questions: in the order in which they were typed.
        before: an answer for each.
    """

    @property
    def about(self) -> str: ...

    @property
    def questions(self) -> Sequence[SlotQuestion]: ...

    @property
    def before(self) -> Sequence[SlotAnswer]: ...

    def masked(self, slots: Sequence[int]) -> Sequence[SlotAnswer]:
        """The answers with these slots bringing nothing.

        Raises:
            BadInput: no such slot.
        """
        ...

    def at_random(self, slots: Sequence[int]) -> LotAnswers:
        """The answers with as many others masked by lot, of those that some question reads (the
        most, then any) or, where these are too few, of those that none reads.
        """
        ...


@dataclass(frozen=True)
class SlotsForm(Form):
    """Facts that are typed: which slots their answers read, and what is said without some.

    Attributes:
        unavailable_reason: why a model cannot be asked, or None.
        example: lines for a model to begin with.
        read: the lines that were typed.
    """

    unavailable_reason: Callable[[InstrumentedModel], str | None]
    example: Callable[[InstrumentedModel], str]
    read: Callable[[InstrumentedModel, str], AskedSlots]

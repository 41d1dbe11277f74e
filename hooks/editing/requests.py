"""Which fact becomes what, and the rows of tokens that a method reads to bring it about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

PLACE = "{subject}"


@dataclass(frozen=True)
class EditRequest:
    """A fact and its new answer.

    Attributes:
        prompt: with `{subject}`, or with the subject itself in it (its last occurrence counts).
        subject: whose fact it is. What is changed is what the model reads off its last token.
        answer: what is to follow the prompt.
        separator: what stands between them, where neither brings white space: "" in a script
            without spaces.

    Raises:
        BadInput: the subject does not stand in the prompt, or a text is empty.
    """

    prompt: str
    subject: str
    answer: str
    separator: str = " "

    def __post_init__(self) -> None:
        for name in ("prompt", "subject", "answer"):
            if not getattr(self, name).strip():
                raise BadInput(
                    f"The {name} of this edit is empty.", "some text", f"Give the {name}."
                )
        if self.prompt.count(PLACE) > 1 or (
            PLACE not in self.prompt and self.subject not in self.prompt
        ):
            raise BadInput(
                f"The subject {self.subject!r} does not stand in the prompt {self.prompt!r} once.",
                f"{PLACE} once, or the subject itself",
                f"For example 'The capital of {PLACE} is'.",
            )

    @property
    def text(self) -> str:
        """The prompt with the subject in it."""
        return self.prompt.replace(PLACE, self.subject)

    @property
    def continuation(self) -> str:
        """The answer as it stands behind the prompt."""
        joined = self.prompt[-1:].isspace() or self.answer[:1].isspace()
        return self.answer if joined else self.separator + self.answer

    @property
    def statement(self) -> str:
        """The new fact as a sentence."""
        return f"{self.text}{self.continuation}."

    @property
    def subject_end(self) -> int:
        """The character behind the subject in `text`."""
        start = (
            self.prompt.index(PLACE) if PLACE in self.prompt else self.prompt.rindex(self.subject)
        )
        return start + len(self.subject)


@dataclass(frozen=True)
class EditRow:
    """Tokens to be read for a request.

    Attributes:
        ids: the tokens; of an answer all but its last, which is only to be predicted.
        subject: position of the subject's last token.
        targets: the tokens that are to follow, at the last `len(targets)` positions.
    """

    ids: list[int]
    subject: int
    targets: tuple[int, ...] = ()


def check_requests(requests: EditRequest | Sequence[EditRequest]) -> list[EditRequest]:
    """As a list.

    Raises:
        BadInput: there is none, or two want other answers for one prompt.
    """
    given = [requests] if isinstance(requests, EditRequest) else list(requests)
    if not given:
        raise BadInput("There is no edit.", "one request or more", "Give an EditRequest.")
    answers: dict[str, str] = {}
    for each in given:
        if answers.setdefault(each.text, each.answer) != each.answer:
            raise BadInput(
                f"Two edits want other answers for {each.text!r}:"
                f" {answers[each.text]!r} and {each.answer!r}.",
                "one answer for a prompt",
                "Leave one of them out.",
            )
    return given


def answer_tokens(model: InstrumentedModel, request: EditRequest) -> tuple[int, ...]:
    """Tokens of the answer behind the prompt.

    Raises:
        BadInput: there is none.
    """
    found = tuple(model.continuation_tokens(request.continuation))
    if not found:
        raise BadInput(
            f"The answer {request.answer!r} has no token.", "some text", "Name another answer."
        )
    return found


def row(model: InstrumentedModel, request: EditRequest, prefix: str = "") -> EditRow:
    """The prompt behind a prefix, and all but the last token of the answer."""
    targets = answer_tokens(model, request)
    ids, subject = _placed(model, prefix + request.text, len(prefix) + request.subject_end)
    return EditRow([*ids, *targets[:-1]], subject, targets)


def subject_row(model: InstrumentedModel, request: EditRequest, prefix: str = "") -> EditRow:
    """The prompt behind a prefix, up to the subject's last token."""
    ids, subject = _placed(model, prefix + request.text, len(prefix) + request.subject_end)
    return EditRow(ids[: subject + 1], subject)


def essence_row(model: InstrumentedModel, request: EditRequest) -> EditRow:
    """ "{subject} is a", up to the subject's last token: what else the subject is, which an edit
    should leave alone.
    """
    ids, subject = _placed(model, f"{request.subject} is a", len(request.subject))
    return EditRow(ids[: subject + 1], subject)


def _placed(model: InstrumentedModel, text: str, end: int) -> tuple[list[int], int]:
    """Tokens of a prompt, and the position of the one that holds the character before `end`."""
    spans = model.text.spans(text)
    at = max(n for n, (start, _) in enumerate(spans) if start < end)
    return model.tokens(text), at

"""What must be true of texts before they are unlearned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hooks.unlearning.texts import Text
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

SHARED = 20
"""Tokens in a row: what two texts share so much of is the same text, as far as forgetting goes."""


def check_texts(
    model: InstrumentedModel,
    method: str,
    forget: Sequence[Text],
    retain: Sequence[Text],
    *,
    needs_retain: bool,
) -> None:
    """Fail where there is nothing to forget, nothing to retain though the method needs it, or where
    the same is to be forgotten and retained.

    Raises:
        BadInput: names the text.
    """
    if not forget:
        raise BadInput("There is no text to forget.", "one or more", "Give some.")
    if needs_retain and not retain:
        raise BadInput(
            f"{method} needs texts that the model is to retain.",
            "some, other than those to forget",
            "Give some, or choose a method without a retain term.",
        )
    allowed = set(without_overlap(retain, forget))
    for number, text in enumerate(retain):
        if text not in allowed:
            says = "".join(model.token_strings(text.ids))
            raise BadInput(
                f"Text {number} of those to retain is to be forgotten too, or part of it:"
                f" {says[:80]!r}.",
                f"texts that share no {SHARED} predicted tokens in a row (see without_overlap)",
                "Leave it out of one of them.",
            )


def without_overlap(texts: Sequence[Text], forget: Sequence[Text]) -> list[Text]:
    """Those of the texts that are not to be forgotten too, nor share 20 predicted tokens in a row
    with what is.
    """
    whole = {text.ids for text in forget}
    runs = {run for text in forget for run in _runs(text)}
    return [t for t in texts if t.ids not in whole and runs.isdisjoint(_runs(t))]


def _runs(text: Text) -> Iterator[tuple[int, ...]]:
    for start in range(len(text.targets) - SHARED + 1):
        yield text.targets[start : start + SHARED]

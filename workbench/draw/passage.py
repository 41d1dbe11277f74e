"""A passage as text: the prefix, and which tokens of the suffix the model reproduces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from workbench import wording
from workbench.draw import colour
from workbench.draw.tokens import Span, token_strip

if TYPE_CHECKING:
    import pandas as pd

GIVEN, SAID, ELSE = "prefix", "reproduced", "not reproduced"
UNREAD = "not read"
_PROBABILITY = "probability of each token"
MARKS = {
    GIVEN: Span(GIVEN, colour.OTHER, "dotted"),
    SAID: Span(SAID, colour.MEMORY, "solid"),
    ELSE: Span(ELSE, colour.CONTEXT, "double"),
    UNREAD: Span(UNREAD, colour.OTHER, "dashed"),
}


def spans(suffix: np.ndarray, said: np.ndarray, unread: np.ndarray | None = None) -> list[str]:
    """The mark of each token.

    Args:
        suffix: which tokens the model had to say; those before are given.
        said: which of them it says.
        unread: which of them were not looked at.
    """
    left = np.zeros_like(suffix) if unread is None else unread
    return list(np.select([~suffix, suffix & left, suffix & said], [GIVEN, UNREAD, SAID], ELSE))


def strip(
    tokens: pd.DataFrame, values: pd.Series | None = None, *, title: str, unit: str = ""
) -> Markup:
    """A passage as a token strip: what was given, what the model says of the rest.

    Args:
        tokens: in order; columns token, part ("suffix": what the model had to reproduce), is_greedy
            (whether it is the model's first choice), p (its probability; in the suffix, NaN where
            it was not read) and greedy_token (the first choice).
        values: a number for each token that colours it; the probability in the suffix by default.
        unit: of the values.
    """
    suffix, p = tokens["part"] == "suffix", tokens["p"]
    if values is None:
        shown, unit = p.where(suffix, 0.0), _PROBABILITY
    else:
        shown = values.fillna(0.0)
    unread = (suffix & p.isna()).to_numpy()
    words = zip(p, tokens["greedy_token"], suffix & p.notna(), strict=True)
    return token_strip(
        list(tokens["token"]),
        [float(value) for value in shown],
        spans=spans(suffix.to_numpy(), tokens["is_greedy"].to_numpy(), unread),
        marks=MARKS,
        title=title,
        unit=unit,
        top=1.0 if values is None else None,
        notes=[
            f"p {p:.2f}; first choice {wording.quoted(word)}" if read else ""
            for p, word, read in words
        ],
    )


def quoted(text: str) -> Markup:
    """Words of a model or of a document, set apart."""
    return Markup('<p class="wb-said-text">{}</p>').format(text)


def boxed(title: str, hue: str, *inside: Markup) -> Markup:
    """What belongs to one title, behind a stroke in this colour."""
    return Markup(
        '<section class="wb-verdict" style="border-left-color:{}"><h3>{}</h3>{}</section>'
    ).format(hue, title, Markup("").join(inside))


def folded(title: str, *inside: Markup, small: str = "", is_open: bool = False) -> Markup:
    """A title that unfolds what is in it."""
    return Markup(
        '<details class="wb-fold"{}><summary>{} <span class="wb-small">{}</span></summary>{}'
        "</details>"
    ).format(Markup(" open") if is_open else "", title, small, Markup("").join(inside))


def times_read(count: float | None) -> str:
    """How often a text was read in training, in words; "" where it is not known."""
    if count is None or count != count:
        return ""
    return {0: "never read", 1: "read once"}.get(int(count), f"read {int(count)} times")

"""Tokens that are compared must differ: texts are watched at the token they begin with, and that
may be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def distinct(
    model: InstrumentedModel, ids: Sequence[int], texts: Sequence[str | int] | None = None
) -> None:
    """Refuse targets of one prompt that are the same token: their difference is 0 whatever is
    changed.

    Args:
        ids: the tokens that are watched.
        texts: the texts they come from (or ids), for the sentence.

    Raises:
        BadInput: names the token.
    """
    for second, token in enumerate(ids):
        first = list(ids).index(token)
        if first == second:
            continue
        names = [repr(each) for each in (texts[first], texts[second])] if texts is not None else []
        which = (
            f"{names[0]} and {names[1]}"
            if len(set(names)) > 1
            else f"Two targets, {names[0]},"
            if names
            else "Two targets"
        )
        raise BadInput(
            f"{which} begin with the same token, {model.token_strings([token])[0]!r}, so that"
            " nothing tells them apart.",
            "targets whose first tokens differ",
            "Compare the whole texts, each in a sweep of its own with read='continuation', or"
            " give ids of tokens that differ.",
        )

"""The question whose answer is followed while states are changed: of a row of pairs, one of its
keys; of a text, what comes next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyses.state.recurrent_state.params import Params
    from analyses.state.recurrent_state.shown import Shown
    from hooks.model import InstrumentedModel
    from workbench.result import Result

MOST_TOKENS = 256
"""The rest of the prompt is read again after every token, so the cost grows with the square."""


@dataclass(frozen=True)
class FollowedAnswer:
    """A prompt, and the token that is expected behind it.

    Attributes:
        ids: the prompt's tokens.
        answer: a token id.
        words: the prompt's tokens as text.
        pair: which pair of the row is asked for; None of a text.
    """

    ids: list[int]
    answer: int
    words: Sequence[str]
    pair: int | None


def tokens_of(shown: Shown) -> list[int]:
    """Of a row of pairs up to the question for the middle pair; of a text all of it."""
    if shown.row is None:
        return shown.ids
    pair = middle(shown)
    ids: list[int] = shown.row.ids[int(shown.row.sequence[0, pair])].tolist()
    return ids[: int(shown.row.asked[0, pair]) + 1]


def middle(shown: Shown) -> int:
    """The pair of the row whose answer is followed."""
    assert shown.row is not None
    asked = shown.row.is_asked[0].nonzero().flatten()
    return int(asked[len(asked) // 2])


def ask(result: Result, model: InstrumentedModel, shown: Shown, params: Params) -> FollowedAnswer:
    """What is asked; the run keeps it.

    Raises:
        BadInput: a prompt too long; an answer of no token.
    """
    import pandas as pd

    ids = tokens_of(shown)
    if len(ids) > MOST_TOKENS:
        raise BadInput(
            f"The prompt has {len(ids):,} tokens.",
            f"at most {MOST_TOKENS} for the parts wiping, spans and patching, which read the rest"
            " of it again after every token",
            "Shorten it, or leave these parts out.",
        )
    pair = None if shown.row is None else middle(shown)
    if shown.row is not None:
        answer = int(shown.row.values[0, pair])
    elif params.answer:
        answer = next(iter(model.continuation_tokens(params.answer)))
    else:
        answer = int(model.next_logits([ids])[0].argmax())
    words = model.prompt_strings(ids)
    result.tables["asked"] = pd.DataFrame({"pos": range(len(words)), "token": words})
    result.provenance.notes["asked for"] = model.token_strings([answer])[0].strip()
    return FollowedAnswer(ids, answer, words, pair)

"""Which text the pages show: pairs that somebody typed, a text, or pairs drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.measures.pair_questions import Vocabulary, too_few_words, vocabulary_of
from analyses.state.recurrent_state import delayed, pair_rows
from hooks.prompts import tokenize
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.state.recurrent_state.pair_rows import PairRows
    from analyses.state.recurrent_state.params import Params
    from hooks.model import InstrumentedModel

MOST_TOKENS = 8192
"""Of a prompt: what is kept of every token is small, but a person has to look at it."""
_NEEDS_PAIRS = ("pairs", "interference", "probes", "fading", "router")


@dataclass(frozen=True)
class Shown:
    """What is read.

    Attributes:
        ids: the prompt's tokens.
        vocabulary: of rows of pairs; None where the model has too few words.
        row: the pairs, where these are what is shown.
    """

    ids: list[int]
    vocabulary: Vocabulary | None
    row: PairRows | None


def choose(model: InstrumentedModel, params: Params) -> Shown:
    """What these parameters show.

    Raises:
        BadInput: pairs and a prompt both; a prompt too long or of one token; pairs that are none.
    """
    why_not = too_few_words(model)
    if why_not and set(params.parts) & set(_NEEDS_PAIRS):
        raise BadInput(
            f"Rows of pairs cannot be written for {model.card.name}: {why_not}",
            "parts that need no pairs: reading, wiping",
            "Leave the others out.",
        )
    vocabulary = None if why_not else vocabulary_of(model)
    if not params.prompt and delayed.is_delayed(model):
        one = delayed.rows_of(delayed.TRAINED_UP_TO, 1, params.seed)
        until = int(one.asked[0]) + 1
        return Shown(one.ids[0, :until].tolist(), None, None)
    if params.prompt:
        if params.pairs:
            raise BadInput(
                "Both pairs and a prompt were given.", "one of them", "Leave the other one empty."
            )
        ids = list(tokenize(model, params.prompt).ids)
        _check(ids)
        return Shown(ids, vocabulary, None)
    if vocabulary is None:
        raise BadInput(
            f"Pairs cannot be written for {model.card.name}, and no prompt is given.",
            "a prompt",
            "Type one.",
        )
    row = (
        pair_rows.typed(model, vocabulary, params.pairs, params.seed)
        if params.pairs
        else pair_rows.draw(vocabulary, params.n_pairs, 1, params.seed)
    )
    ids = row.ids[0].tolist()
    _check(ids)
    return Shown(ids, vocabulary, row)


def _check(ids: list[int]) -> None:
    if not 2 <= len(ids) <= MOST_TOKENS:
        raise BadInput(
            f"The text has {len(ids):,} token{'s' if len(ids) != 1 else ''}.",
            f"2 to {MOST_TOKENS:,}",
            "Type a longer one." if len(ids) < 2 else "Shorten it.",
        )

"""The Playground's tab for pairs: a list is read, and one pair of it changed in the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.state.recurrent_state.layers import recurrent_layers, unavailable_reason
from analyses.state.recurrent_state.parts import no_states_to_change
from workbench.playground import AskedPairs, PairsForm, Playground

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def refusal(model: InstrumentedModel) -> str | None:
    """Why no pair can be changed in this model's states, or None."""
    from analyses.measures.pair_questions import too_few_words

    return unavailable_reason(model) or no_states_to_change(model) or too_few_words(model)


def example(model: InstrumentedModel) -> str:
    """Pairs in the words of a model."""
    from analyses.state.recurrent_state import live_pairs

    return live_pairs.example(model)


def layers(model: InstrumentedModel) -> Sequence[int]:
    """Whose state can be changed."""
    return recurrent_layers(model, None)[0]


def read(model: InstrumentedModel, text: str) -> AskedPairs:
    """The pairs that were typed.

    Raises:
        BadInput: pairs that are none, or too many.
    """
    from analyses.state.recurrent_state import live_pairs

    return live_pairs.LivePairs(model, text)


playground = Playground(
    form=PairsForm(
        tab="pairs",
        title="Pairs",
        unavailable_reason=refusal,
        example=example,
        layers=layers,
        read=read,
    )
)

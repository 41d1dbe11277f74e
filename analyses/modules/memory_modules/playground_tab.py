"""The Playground's tab for slots: facts are typed, and the slots that their answers read masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.modules.memory_modules.parts import no_slots
from workbench.playground import Playground
from workbench.slots_form import AskedSlots, SlotsForm

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def example(model: InstrumentedModel) -> str:
    """Facts for a model to begin with."""
    from analyses.modules.memory_modules import live_slots

    return live_slots.example(model)


def read(model: InstrumentedModel, text: str) -> AskedSlots:
    """The facts that were typed.

    Raises:
        BadInput: lines that are no facts, or too many.
    """
    from analyses.modules.memory_modules import live_slots

    return live_slots.LiveSlots(model, text)


playground = Playground(
    form=SlotsForm(
        tab="slots", title="Slots", unavailable_reason=no_slots, example=example, read=read
    )
)

"""The experiments of a run on memory modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.memory_modules import MemoryPlace
    from hooks.model import InstrumentedModel

Name = Literal["raster", "facts", "twin", "usage", "values", "share", "definitions", "updates",
               "domains", "document"]  # fmt: skip


def no_slots(model: InstrumentedModel) -> str | None:
    """Why nothing can be read, or None."""
    from hooks.memory_modules import places_or_neurons
    from workbench.errors import WorkbenchError

    try:
        places_or_neurons(model)
    except WorkbenchError as reason:  # or an installed adapter that does not load
        return reason.what.rstrip(".")
    return None


def no_facts(model: InstrumentedModel) -> str | None:
    """Why no fact can have slots of its own, or None."""
    from hooks.memory_modules import places_or_neurons

    if (why := no_slots(model)) is not None:
        return why
    if places_or_neurons(model)[0].slots().space == "token position":
        return (
            "its slots are the tokens of the text that is read; part `definitions` asks for what"
            " was defined there"
        )
    if no_updates(model) is None:
        return "it learned no facts, but to keep up with updates; part `updates` asks for them"
    return None


def no_updates(model: InstrumentedModel) -> str | None:
    """Why there is no stream of updates, or None."""
    from workbench.organisms.modules import module_record

    record = module_record.read_home(model.module)
    if record is None or record.task != "updates":
        return (
            "only an organism with slots that are written as it reads is given streams of updates"
            " (organism/updates-in-slots)"
        )
    return None


def no_domains(model: InstrumentedModel) -> str | None:
    """Why no gate can be asked for domains, or None."""
    from hooks.memory_modules import places_or_neurons

    if (why := no_slots(model)) is not None:
        return why
    if any(place.slots().space != "function" for place in places_or_neurons(model)):
        return (
            "it has no experts or adapters behind a gate (organism/domains-in-adapters,"
            " organism/domains-in-experts)"
        )
    return None


def no_definitions(model: InstrumentedModel) -> str | None:
    """Why nothing was defined far back, or None."""
    from workbench.organisms.modules import module_record

    record = module_record.read_home(model.module)
    if record is None or record.task != "definitions":
        return (
            "only an organism with a memory of tokens is asked for definitions"
            " (organism/definitions-in-memory)"
        )
    return None


def no_document(model: InstrumentedModel) -> str | None:
    """Why no document can be read from outside of the prompt, or None."""
    from hooks.kv_cache.context_memory import check_attention
    from workbench.errors import Unfit
    from workbench.organisms.modules import module_record

    if module_record.read_home(model.module) is not None:
        return "it was trained on a small world of its own and reads no documents"
    try:
        check_attention(model)
    except Unfit as reason:
        return reason.what.rstrip(".")
    return None


def no_twin(model: InstrumentedModel) -> str | None:
    """Why there is nothing to compare with, or None."""
    from workbench.organisms import PREFIX, shipped
    from workbench.organisms.modules import module_record

    record = module_record.read_home(model.module)
    if record is None or not record.twin:
        return (
            "only an organism has a twin that learned the same facts without a memory"
            " (organism/facts-in-slots)"
        )
    if f"{PREFIX}{record.twin}" not in shipped():
        return f"its twin, {PREFIX}{record.twin}, is not installed"
    return None


def no_values(model: InstrumentedModel) -> str | None:
    """Why values cannot be read or swapped, or None."""
    from hooks.memory_modules import places_or_neurons

    if (why := no_facts(model)) is not None:
        return why
    places = places_or_neurons(model)
    if places[0].adapter.stand_in:
        return None  # columns of matrices, of which none need be read
    for place in places:
        value = place.slots().value
        if value is None or value.dim() != 2:
            return f"the slots of a {place.adapter.name} hold no vectors that could be swapped"
        if not writes_stream(model, place):
            return f"the values of {place.name} are no vectors of the residual stream"
    return None


def writes_stream(model: InstrumentedModel, place: MemoryPlace) -> bool:
    """Whether a memory has one table of values, and these go into the residual stream: a LoRA
    adapter of a query matrix has values too, which are parts of queries.
    """
    from hooks.memory_modules.lora import LORA

    if place.adapter is LORA and place.layer is not None:
        block = model.layout.blocks[place.layer]
        if place.module is not block.out_proj and place.module is not block.down_proj:
            return False
    value = place.slots().value
    return value is not None and value.dim() == 2 and value.shape[1] == model.card.d_model


PARTS = [
    Part(
        "raster",
        "Reads, token by token",
        "Which slots each token reads, and when a slot is written.",
        unavailable_reason=no_slots,
        views=["Raster"],
    ),
    Part(
        "facts",
        "Slots of facts",
        "Which slots a fact reads, and what is lost when they are masked: the fact, and others.",
        unavailable_reason=no_facts,
        views=["Facts"],
    ),
    Part(
        "twin",
        "The twin without a memory",
        "The same in the neurons of a model that learned the same facts in an MLP.",
        stands_on=["facts"],
        unavailable_reason=no_twin,
        views=["Twin"],
    ),
    Part(
        "usage",
        "Usage",
        "How often slots are read, which ones never, and whether a slot serves one relation.",
        unavailable_reason=no_facts,
        views=["Usage"],
    ),
    Part(
        "values",
        "Values",
        "What a slot's value promotes, and whether another fact's values bring its answer.",
        stands_on=["facts"],
        unavailable_reason=no_values,
        views=["Values"],
    ),
    Part(
        "share",
        "Share of the answer",
        "How much of the answer the memory writes, beside attention and the other layers.",
        unavailable_reason=no_facts,
        views=["Share"],
    ),
    Part(
        "definitions",
        "Definitions far back",
        "Whether a memory of tokens reads what was defined far back, and what is lost without it.",
        unavailable_reason=no_definitions,
        views=["Definitions"],
    ),
    Part(
        "updates",
        "Streams of updates",
        "How much is retained by number of updates, how much each turns over, and what is answered"
        " without a key's slot or its last write.",
        unavailable_reason=no_updates,
        views=["Updates"],
    ),
    Part(
        "domains",
        "Domains",
        "Whether the gate of experts or adapters tells domains apart, and which domain is lost"
        " without one of them.",
        unavailable_reason=no_domains,
        views=["Domains"],
    ),
    Part(
        "document",
        "A document outside of the prompt",
        "Which passages each layer reads of a document's keys and values, and which layers need"
        " to.",
        unavailable_reason=no_document,
        views=["Document"],
    ),
]
DEFAULT: list[Name] = [
    "raster",
    "facts",
    "twin",
    "usage",
    "values",
    "share",
    "definitions",
    "updates",
    "domains",
    "document",
]
PRESETS = {
    "quick": {"parts": ["raster", "facts"], "facts": 8, "others": 8, "slots": "1, 4, 16, 64"},
    "paper": {"facts": 200, "others": 200},
}

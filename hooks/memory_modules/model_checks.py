"""The conformance test on all memories of a model, with installed adapters or one's own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.conformance import Conformance, conformance
from hooks.memory_modules.places import MemoryPlace, memory_places, places_or_neurons
from hooks.memory_modules.scaffold import class_at, scaffold
from workbench.errors import BadInput, NotFound, Unfit
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

TEXT = "The quick brown fox jumps over the lazy dog."


@ordinary
def check_memories(
    model: InstrumentedModel, adapter: MemoryAdapter | str | None = None, text: str = TEXT
) -> list[Conformance]:
    """Whether what adapters say is what a model's modules do.

    Args:
        adapter: one of one's own, or its path `package.module:NAME`. None: those installed, on the
            model's memory modules or on the neurons in their place.
        text: what is read meanwhile, forwards and backwards.

    Raises:
        BadInput: the adapter cannot be imported.
        Unfit: the model has no module that it applies to.
    """
    if adapter is None:
        places = places_or_neurons(model)
    else:
        own = adapter_at(adapter) if isinstance(adapter, str) else adapter
        places = memory_places(model, [own])
        if not places:
            raise Unfit(
                f"{model.card.name} has no module that the adapter {own.name!r} applies to.",
                "a model with such a module",
                "Choose another model, or correct `applies`.",
            )
    return [_checked(model, place, text) for place in places]


def _checked(model: InstrumentedModel, place: MemoryPlace, text: str) -> Conformance:
    ids = model.tokens(text)
    rows = [ids, ids[::-1]]  # two rows that differ, of one length

    def call(row: int | None) -> Any:
        return model.next_logits(rows if row is None else [rows[row]])

    return conformance(place, call, len(rows))


def adapter_at(path: str) -> MemoryAdapter:
    """An adapter by its path, `package.module:NAME`.

    Raises:
        BadInput: it cannot be imported, or is no adapter.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # whatever somebody else's module does when it is imported
        raise BadInput(
            f"The adapter {path} cannot be imported: {error}.",
            "package.module:NAME, on Python's path",
            "Correct the path, or install the package.",
        ) from error
    if not isinstance(found, MemoryAdapter):
        raise BadInput(
            f"{path} is a {type(found).__name__}.",
            "a hooks.memory_modules.MemoryAdapter",
            "Name the adapter itself.",
        )
    return found


def memory_scaffold(kind: str, model: InstrumentedModel | None = None) -> str:
    """The skeleton of an adapter, as Python text.

    Args:
        kind: `package.module:Class`; with a model, the name of one of its module classes.
        model: has such modules; their parameters are listed.

    Raises:
        BadInput: the class cannot be imported, or is no module class.
        NotFound: the model has no module of that class.
    """
    if model is None:
        return scaffold(class_at(kind))
    name = kind.replace(":", ".").rpartition(".")[2]
    modules = list(model.module.modules())
    module = next((each for each in modules if type(each).__name__ == name), None)
    if module is None:
        raise NotFound.named("module class", name, {type(each).__name__ for each in modules})
    return scaffold(type(module), module)

"""The nnsight back end: the module's parts as envoys, read and changed inside one trace.

Works with any module. The sites inside the attention call are read off the call itself, through nnsight's view of the
source of `forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from hooks import sites
from hooks.attention import AttentionCall
from hooks.backends import changes
from hooks.backends.twin import kept, twin
from workbench.errors import SiteNotFound, WorkbenchError

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.backends import Look
    from hooks.model import Batch, InstrumentedModel
    from hooks.sites import Place

NAME = "nnsight"
# What `transformers` calls its attention function in the `forward` of every family that uses the common interface.
_ATTENTION = "attention_interface_"


@dataclass(frozen=True)
class Read:
    """Where nnsight finds a place: a module's path, and which value of it ("input", "output" or "attention")."""

    place: Place
    path: str
    of: str
    tap: sites.Tap | None

    def show(self, x: Tensor) -> Tensor:
        """As the site has it, (batch, *site.dims)."""
        return x.unflatten(-1, (self.tap.heads, -1)) if self.tap and self.tap.heads else x

    def hide(self, x: Tensor) -> Tensor:
        """As the module has it."""
        return x.flatten(-2) if self.tap and self.tap.heads else x


def nnsight() -> Any:
    """The package.

    Raises:
        WorkbenchError: it is not installed.
    """
    try:
        import nnsight
    except ImportError as error:
        raise WorkbenchError(
            "The back end 'nnsight' needs the package nnsight.",
            "pip install 'memory-workbench[bench]'",
            "Install it, or use the back end 'torch'.",
        ) from error
    return nnsight


def reads(model: InstrumentedModel, places: Sequence[Place]) -> list[Read]:
    """Where the places are, in the order of the forward pass: nnsight must be asked in that order."""
    paths = {id(part): name for name, part in model.module.named_modules()}
    order = list(sites.SITES)
    found = []
    for place in places:
        tap = None if place.site.short in sites.ATTENTION_SITES else sites.tap(model.layout, place)
        if tap is not None:
            found.append(Read(place, paths[id(tap.module)], "input" if tap.on_input else "output", tap))
        else:
            assert place.layer is not None
            found.append(Read(place, paths[id(model.layout.blocks[place.layer].attention)], "attention", None))

    def when(read: Read) -> tuple[int, int, int]:
        short, layer = read.place.site.short, read.place.layer
        moment = 0 if short == "embed" else 1 if layer is not None else 2
        return moment, layer or 0, order.index(short)

    return sorted(found, key=when)


def attention_call(model: InstrumentedModel, peer: Any, read: Read) -> str:
    """nnsight's name for the attention call in the `forward` of a layer's attention.

    Raises:
        SiteNotFound: the family's attention does not go through the common interface.
    """
    # The function is looked up first, and called after that: both are operations of this name, numbered in order.
    numbers = [int(n.removeprefix(_ATTENTION)) for n in peer.get(read.path).source.names if n.startswith(_ATTENTION)]
    if not numbers:
        raise SiteNotFound(
            f"nnsight cannot reach {read.place.name!r}: {model.card.name} computes attention inside its own code.",
            f"one of {', '.join(s for s in model.sites if s not in sites.ATTENTION_SITES)}",
            "Choose one of those.",
        )
    return f"{_ATTENTION}{max(numbers)}"


def attention_value(short: str, args: Sequence[Any], options: dict[str, Any], queries: list[int] | None) -> Tensor:
    """The value of an attention site from what the attention function was called with (module, query, key, value, mask)."""
    module, query, key, value, mask = args[:5]
    if short == "pattern":
        rows = slice(None) if queries is None else queries
        return AttentionCall(module, query, key, value, mask, options).pattern(rows)
    return {"rot_q": query, "rot_k": key, "v": value}[short].transpose(1, 2)


def _peer(model: InstrumentedModel) -> Any:
    return nnsight().NNsight(twin(model, NAME))


@torch.no_grad()
def run(model: InstrumentedModel, batch: Batch, looks: Sequence[Look], *, every_logit: bool) -> None:
    """See `hooks.backends.Forward`."""
    active = changes.active(model, NAME)
    nnsight()
    peer = kept(model, NAME, _peer)
    looked = {place: look for look in looks for place in look.places}
    wanted = reads(model, list(looked | active))
    calls = {read: attention_call(model, peer, read) for read in wanted if read.of == "attention"}

    def arrive(read: Read, x: Tensor) -> Tensor | None:
        """The value that takes `x`'s place, or None: first what interventions do, then what the caller does."""
        change, look = active.get(read.place), looked.get(read.place)
        new = None if change is None else change(read.show(x))
        if look is not None:
            new = _or(look.take(read.place, read.show(x) if new is None else new), new)
        return None if new is None else read.hide(new)

    with peer.trace(**batch.kwargs(), use_cache=False, logits_to_keep=0 if every_logit else 1):
        for read in wanted:
            envoy = peer.get(read.path)
            if read.of == "attention":
                args, options = getattr(envoy.source, calls[read]).inputs
                look = looked[read.place]
                look.take(read.place, attention_value(read.place.site.short, args, options, look.queries))
            elif read.of == "input":
                new = arrive(read, envoy.input)
                if new is not None:
                    envoy.input = new
            else:
                whole = envoy.output
                new = arrive(read, whole[0] if isinstance(whole, tuple) else whole)
                if new is not None:
                    envoy.output = (new, *whole[1:]) if isinstance(whole, tuple) else new


def _or(new: Tensor | None, old: Tensor | None) -> Tensor | None:
    return old if new is None else new

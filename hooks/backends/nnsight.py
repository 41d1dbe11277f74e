"""The nnsight back end: the module's parts as envoys, read and changed inside one trace.

Works with any module. The sites inside the attention call are read off the call itself, through
nnsight's view of the source of `forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from hooks import sites
from hooks.attention import AttentionCall
from hooks.backends import active_interventions
from hooks.backends.apply_tap import apply_tap
from hooks.backends.module_copy import copy_of, twin
from hooks.finite_check import check_logits
from workbench.errors import SiteNotFound, WorkbenchError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hooks.backends.hook_request import HookRequest
    from hooks.batch import Batch
    from hooks.model import InstrumentedModel
    from hooks.sites import Place

NAME = "nnsight"
# What `transformers` calls its attention function in the `forward` of every family that uses the
# common interface.
_ATTENTION = "attention_interface_"


@dataclass(frozen=True)
class SiteRead:
    """Where nnsight finds a place: a module's path, and which value of it ("input", "output" or
    "attention").
    """

    place: Place
    path: str
    of: str
    tap: sites.Tap | None


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
            "pip install 'memory-workbench[backends]'",
            "Install it, or use the back end 'torch'.",
        ) from error
    return nnsight


def reads(model: InstrumentedModel, places: Sequence[Place]) -> list[SiteRead]:
    """Where the places are.

    Raises:
        SiteNotFound: one is neither a module's input or output nor in the attention call.
    """
    paths = {id(part): name for name, part in model.module.named_modules()}
    found = []
    for place in places:
        tap = sites.tap(model.layout, place)
        if sites.in_attention(model.layout, place):
            assert place.layer is not None
            found.append(
                SiteRead(
                    place,
                    paths[id(model.layout.blocks[place.layer].attention_call)],
                    "attention",
                    None,
                )
            )
        elif tap is not None:
            found.append(
                SiteRead(place, paths[id(tap.module)], "input" if tap.on_input else "output", tap)
            )
        else:
            offers = [short for short in model.sites if short not in sites.STATE_SITES]
            raise SiteNotFound(
                f"nnsight cannot reach {place.name!r}.",
                f"one of {', '.join(offers)}",
                "Use the back end 'torch'.",
            )
    return found


Moment = tuple[str, str]  # path, and which value


def in_order(
    model: InstrumentedModel, module: nn.Module, wanted: Sequence[SiteRead]
) -> dict[Moment, list[SiteRead]]:
    """The reads of each moment, in the order in which a forward pass of `module`, a twin, comes by:
    nnsight asks for that.

    Reads of one moment keep their order.
    """
    paths = {id(part): name for name, part in model.module.named_modules()}
    passed: list[Moment] = []
    handles = []
    # Attention ends where the output matrix begins: of the hooks at that door it must be the first.
    for path, of in sorted(
        dict.fromkeys((read.path, read.of) for read in wanted),
        key=lambda moment: moment[1] != "attention",
    ):
        part, note = module.get_submodule(path), partial(_note, passed, (path, of))
        if of == "output":
            handles.append(part.register_forward_hook(note))
            continue
        if of == "attention":
            block = next(
                b
                for b in model.layout.blocks
                if b.attention_call is not None and paths[id(b.attention_call)] == path
            )
            part = (
                module.get_submodule(paths[id(block.out_proj)])
                if block.out_proj is not None
                else part
            )
        handles.append(part.register_forward_pre_hook(note))
    try:
        one = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        module(input_ids=one, attention_mask=torch.ones_like(one), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return {
        moment: [read for read in wanted if (read.path, read.of) == moment]
        for moment in dict.fromkeys(passed)
    }


def _note(passed: list[Moment], moment: Moment, *_: Any) -> None:
    passed.append(moment)


def attention_call(model: InstrumentedModel, peer: Any, read: SiteRead) -> str:
    """nnsight's name for the attention call in the `forward` of a layer's attention.

    Raises:
        SiteNotFound: the family's attention does not go through the common interface.
    """
    # The function is looked up first, and called after that: both are operations of this name,
    # numbered in order.
    numbers = [
        int(n.removeprefix(_ATTENTION))
        for n in peer.get(read.path).source.names
        if n.startswith(_ATTENTION)
    ]
    if not numbers:
        raise SiteNotFound(
            f"nnsight cannot reach {read.place.name!r}: {model.card.name} computes attention inside"
            " its own code.",
            f"one of {', '.join(s for s in model.sites if s not in sites.ATTENTION_SITES)}",
            "Choose one of those.",
        )
    return f"{_ATTENTION}{max(numbers)}"


def attention_value(
    short: str, args: Sequence[Any], options: dict[str, Any], queries: list[int] | None
) -> Tensor:
    """The value of an attention site from what the attention function was called with (module,
    query, key, value, mask).
    """
    module, query, key, value, mask = args[:5]
    if short in {"pattern", "attn_scores"}:
        rows = slice(None) if queries is None else queries
        call = AttentionCall(module, query, key, value, mask, options)
        return call.pattern(rows) if short == "pattern" else call.scores(rows)
    of_sites: dict[str, Tensor] = {"rot_q": query, "rot_k": key, "v": value}
    return of_sites[short].transpose(1, 2)


def _peer(model: InstrumentedModel) -> Any:
    return nnsight().NNsight(twin(model, NAME))


@torch.no_grad()
def run(
    model: InstrumentedModel, batch: Batch, requests: Sequence[HookRequest], *, every_logit: bool
) -> None:
    """See `hooks.backends.Forward`."""
    active = active_interventions.active(model, NAME)
    peer = copy_of(model, NAME, _peer)
    by_place = {place: request for request in requests for place in request.places}
    # What changes a value comes before what is shown it.
    hooks: list[tuple[SiteRead, Callable[[Tensor], Tensor | None]]] = []
    hooks += [(read, active[read.place]) for read in reads(model, list(active))]
    hooks += [
        (read, partial(by_place[read.place].hand_over, read.place))
        for read in reads(model, list(by_place))
    ]
    moments = in_order(model, peer._module, [read for read, _ in hooks])
    calls = {
        moment: attention_call(model, peer, at_moment[0])
        for moment, at_moment in moments.items()
        if moment[1] == "attention"
    }
    size = (batch.input_ids.shape[0], batch.input_ids.shape[1])

    with peer.trace(**batch.kwargs(), use_cache=False, logits_to_keep=0 if every_logit else 1):
        for moment, at_moment in moments.items():
            path, of = moment
            envoy = peer.get(path)
            if of == "attention":
                args, options = getattr(envoy.source, calls[moment]).inputs
                hand_over_attention(by_place, at_moment, args, options)
                continue
            before = envoy.input if of == "input" else envoy.output
            after = _passed_at(moment, hooks, before, size)
            if after is not before and of == "input":
                envoy.input = after
            elif after is not before:
                envoy.output = after
        logits = peer.output.logits.save()
    check_logits(model, logits, {**batch.kwargs(), "use_cache": False})


def _passed_at(
    moment: Moment,
    hooks: Sequence[tuple[SiteRead, Callable[[Tensor], Tensor | None]]],
    value: Any,
    size: tuple[int, int],
) -> Any:
    """A module's value after all that stands at this moment."""
    for read, fn in hooks:
        if (read.path, read.of) == moment and read.tap is not None:
            value = apply_tap(read.tap, value, fn, size)
    return value


def hand_over_attention(
    by_place: Mapping[Place, HookRequest],
    at_moment: Sequence[SiteRead],
    args: Sequence[Any],
    options: dict[str, Any],
) -> None:
    """Show what was asked for of one attention call, from what its function was called with."""
    for read in at_moment:
        request = by_place[read.place]
        value = attention_value(read.place.site.short, args, options, request.queries)
        request.take(read.place, value)

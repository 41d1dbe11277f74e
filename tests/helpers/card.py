"""A card for machines that have none: tensors that say they lie elsewhere, and refuse what a
graphics card would refuse.

Torch knows devices that it has no kernels for. Tensors here say they are on one of those ("lazy")
and compute on the CPU, so whatever is left on the CPU by mistake, or taken for a NumPy array, fails
as it would on a real card; and what makes the processor wait for the card can be counted. Only
speed and rounding are not a card's.

    with card() as seen:
        model = wb.load((on_card(tiny_llama()), tiny_tokenizer()))
        wb.sweep(model, …)
    seen.waits     # where the processor waited
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from workbench.models import storage

CARD = torch.device("lazy", 0)
_CPU = torch.device("cpu")
_HERE = Path(__file__).resolve()
_aten = torch.ops.aten
_MOVES = {_aten._to_copy.default, _aten.copy_.default}
_PUTS = {_aten.index_put_.default, _aten.index_put.default, _aten._index_put_impl_.default}
# Ops that have to know a value before they can go on.
_WAITS = {
    _aten._local_scalar_dense.default: "a number is read",
    _aten.nonzero.default: "how many are not zero",
    _aten.equal.default: "whether two are equal",
    _aten.masked_select.default: "how many are chosen",
}


class OnCard(torch.Tensor):
    """A tensor of the card; `inner` holds its numbers."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OnCard:
        about = {
            "strides": inner.stride(),
            "storage_offset": inner.storage_offset(),
            "dtype": inner.dtype,
        }
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, device=CARD, **about)  # type: ignore[attr-defined]

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnCard({self.inner!r})"

    def tolist(self) -> Any:
        if _active:
            _active[-1].wait("a list is read")
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


@dataclass
class Seen:
    """Why and where the processor had to wait for the card: (reason, file:line of the first
    caller in this repository).
    """

    waits: list[tuple[str, str]] = field(default_factory=list)

    def wait(self, why: str) -> None:
        root = _HERE.parents[2]
        for frame in reversed(traceback.extract_stack()):
            file = Path(frame.filename)
            if file.is_relative_to(root) and file != _HERE and ".venv" not in file.parts:
                self.waits.append((why, f"{file.relative_to(root)}:{frame.lineno}"))
                return


_active: list[Seen] = []


@contextmanager
def card() -> Iterator[Seen]:
    """Tensors can be made on, and moved to, `CARD` while inside."""
    seen = Seen()
    _active.append(seen)
    own_kinds = storage._own_kinds
    # On a real card tensors are torch's own kind; here they are a stand-in's.
    storage._own_kinds = lambda: (torch.Tensor, torch.nn.Parameter, OnCard)
    lifted = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(
        True
    )  # torch.tensor(…, device=CARD) makes it on the CPU first, then moves it
    try:
        with _Factory():
            yield seen
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)
        storage._own_kinds = own_kinds
        _active.pop()


def on_card(module: Any) -> Any:
    """The same module with its weights on the card; tied ones stay tied. Within `card()`."""
    moved: dict[int, Any] = {}
    for part in module.modules():
        for kept in (part._parameters, part._buffers):
            for name, tensor in kept.items():
                if tensor is None:
                    continue
                if id(tensor) not in moved:
                    there = tensor.detach().to(CARD)
                    is_weight = isinstance(tensor, torch.nn.Parameter)
                    moved[id(tensor)] = (
                        torch.nn.Parameter(there, tensor.requires_grad) if is_weight else there
                    )
                kept[name] = moved[id(tensor)]
    return module


class _Factory(TorchDispatchMode):
    """Sees what is made with `device=CARD`, of which no argument is a tensor of the card."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    ours = [t for t in tensors if isinstance(t, OnCard)]
    to = kwargs.get("device")
    _check(func, args, tensors)
    if (
        _active
        and not ours
        and to is not None
        and to.type == CARD.type
        and any(t.numel() for t in tensors)
    ):
        _active[-1].wait("a tensor is sent")
    if ours and _active:
        _note(func, args, to)
    args_here, kwargs_here = (
        tree_map(_inner, args),
        tree_map(_inner, kwargs | ({} if to is None else {"device": _CPU})),
    )
    if (
        func is _aten.histc.default and not args_here[0].is_floating_point()
    ):  # counts whole numbers on a card only
        out = func(args_here[0].float(), *args_here[1:], **kwargs_here).to(args_here[0].dtype)
    else:
        out = func(*args_here, **kwargs_here)
    if func is _aten.copy_.default:
        return args[0]
    if to is not None and to.type != CARD.type:
        return out
    if not ours:
        return tree_map(_wrapped, out) if to is not None else out
    return return_and_correct_aliasing(func, args, kwargs, tree_map(_wrapped, out))


def _check(func: Any, args: Any, tensors: list[torch.Tensor]) -> None:
    """Raises where tensors of two devices meet; a number of the CPU may go anywhere, and indices
    of the CPU be asked for.
    """
    if func in _MOVES:
        return
    if func is _aten.index.Tensor or func in _PUTS:
        indices = [t for t in args[1] if t is not None]
        if not isinstance(args[0], OnCard) and any(isinstance(t, OnCard) for t in indices):
            raise RuntimeError(f"{func}: indices of the card into a tensor of the CPU")
        tensors = [args[0], *args[2:3]] if func in _PUTS else [args[0]]
    kinds = {isinstance(t, OnCard) for t in tensors if isinstance(t, OnCard) or t.dim()}
    if len(kinds) > 1:
        raise RuntimeError(
            f"{func}: expected all tensors to be on the same device, the card and the CPU were"
            " found"
        )


def _note(func: Any, args: Any, to: torch.device | None) -> None:
    seen = _active[-1]
    if func in _WAITS:
        seen.wait(_WAITS[func])
    elif (func is _aten._to_copy.default and to is not None and to.type == "cpu") or (
        func is _aten.copy_.default and not isinstance(args[0], OnCard)
    ):
        seen.wait("a tensor is fetched")
    elif func is _aten.index.Tensor or func in _PUTS:
        for index in args[1]:
            if index is not None and not isinstance(index, OnCard):
                seen.wait("indices are sent")
            elif index is not None and index.dtype == torch.bool:
                seen.wait("how many are chosen")


def _inner(x: Any) -> Any:
    return x.inner if isinstance(x, OnCard) else x


def _wrapped(x: Any) -> Any:
    return OnCard(x) if isinstance(x, torch.Tensor) and not isinstance(x, OnCard) else x

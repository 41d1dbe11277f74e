"""What the kernels of recurrent layers are given, heard as they are called: from it comes the state
that no cache keeps.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from hooks.held_attributes import held

if TYPE_CHECKING:
    from torch import nn

_listeners: dict[tuple[int, str], list[Callable[[dict[str, Any]], None]]] = {}


def gated_kernels(stack: ExitStack, mixer: nn.Module, keep: Callable[[Tensor], None]) -> bool:
    """Families whose file calls a kernel with the gate in it: (dt, A) for Mamba and Mamba-2 (Gu &
    Dao 2023, Dao & Gu 2024), the gate's logarithm g for the gated delta rules (Yang et al. 2024)
    and Kimi's.
    """
    file = sys.modules[type(mixer).__module__]
    gates = (({"dt", "A"}, _from_dt), ({"g", "beta"}, _from_g))
    kernels = {
        name: (value, read)
        for name, value in vars(file).items()
        for needs, read in gates
        if inspect.isfunction(value) and needs <= set(inspect.signature(value).parameters)
    }
    inside: dict[
        int, dict[str, list[Tensor]]
    ] = {}  # threads in which this layer runs now: the kernels are the whole file's

    def hear(
        name: str, read: Callable[[dict[str, Any]], Tensor], arguments: dict[str, Any]
    ) -> None:
        heard = inside.get(threading.get_ident())
        if heard is not None:
            heard.setdefault(name, []).append(read(arguments))
            keep(torch.cat(heard[name]))  # Zamba calls its kernel once for each head

    def enter(*_: Any) -> None:
        inside[threading.get_ident()] = {}

    def leave(*_: Any) -> None:
        inside.pop(threading.get_ident(), None)

    for name, (_, read) in kernels.items():
        _listen(stack, file, name, partial(hear, name, read))
    stack.callback(mixer.register_forward_pre_hook(enter).remove)
    stack.callback(mixer.register_forward_hook(leave).remove)
    return bool(kernels)


def _listen(
    stack: ExitStack, owner: Any, name: str, listener: Callable[[dict[str, Any]], None]
) -> None:
    """Call the listener with the arguments of every call of a function that stands in a file or
    on a module.
    """
    function, key = getattr(owner, name), (id(owner), name)

    @wraps(
        function
    )  # keeps the signature, by which the model's other layers find the same function
    def call(*args: Any, **kwargs: Any) -> Any:
        for each in tuple(_listeners.get(key, ())):
            each(inspect.signature(function).bind(*args, **kwargs).arguments)
        return function(*args, **kwargs)

    stack.enter_context(held(owner, name, call))
    here = _listeners.setdefault(key, [])
    here.append(listener)

    def remove() -> None:
        here.remove(listener)
        if not here and _listeners.get(key) is here:
            del _listeners[key]

    stack.callback(remove)


def _from_dt(given: dict[str, Any]) -> Tensor:
    dt, a = given["dt"][0].float(), given["A"].float()
    bias = given.get("dt_bias", given.get("delta_bias"))
    if a.dim() == 3:  # Mamba-2's step: one number per head, spread over the state
        dt, a, bias = dt[:, 0], a[:, 0, 0], None if bias is None else bias.reshape(len(a), -1)[:, 0]
    elif dt.dim() == 2:  # a scan over the prompt: its last step, the only one here
        dt = dt[:, -1] if a.dim() == 2 else dt[-1]
    dt = functional.softplus(dt + (0 if bias is None else bias.float()))
    dt = dt.clamp(*given.get("dt_limit", (0.0, float("inf"))))
    return torch.exp(dt[:, None] * a)[None] if a.dim() == 2 else torch.exp(dt * a)[:, None, None]


def _from_g(given: dict[str, Any]) -> Tensor:
    g = given["g"][0, -1].float()
    return torch.exp(g).reshape(g.shape[0], -1, 1)


def slope_kernels(stack: ExitStack, mixer: nn.Module, keep: Callable[[Tensor], None]) -> bool:
    """Lightning attention: a constant per head."""
    slopes: Any = getattr(mixer, "slope_rate", None)
    if not isinstance(slopes, torch.Tensor):
        return False
    stack.callback(
        mixer.register_forward_hook(
            lambda *_: keep(torch.exp(-slopes.float()).view(-1, 1, 1))
        ).remove
    )
    return True


def rg_lru_kernels(stack: ExitStack, mixer: nn.Module, keep: Callable[[Tensor], None]) -> bool:
    """RG-LRU (De et al. 2024): a number per channel."""
    unit: Any = getattr(mixer, "rg_lru", None)
    if not hasattr(unit, "_rnn_scan"):
        return False

    def hear(gate: dict[str, Any]) -> None:
        keep(gate["recurrent_gate"][0, -1].float()[None, :, None] * (~gate["reset"][0, -1]).float())

    _listen(stack, unit, "_rnn_scan", hear)
    return True

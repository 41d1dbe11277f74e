"""Standing between a recurrent layer and its kernel: every call is handed over in one notation, and
what is handed back takes the place of what the kernel gives.

Kernels are functions of a family's whole file, methods, or a few lines in the middle of a layer;
who handles a call need not know which.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import torch

from hooks.held_attributes import held
from hooks.recurrent.families import FILE_KERNELS, KernelCall, lightning, mlstm, rg_lru

if TYPE_CHECKING:
    from torch import Tensor, nn

Run = Callable[..., Any]
"""Runs the kernel, with other values for the arguments that are named."""
Handler = Callable[[int, KernelCall, Run], Any]
"""Gets the layer, the call, and what runs the kernel; gives what the layer gets: the outcome of
`run()`, or `call.result(…)`.
"""
ConvHandler = Callable[[int, "Tensor", Callable[["Tensor"], "Tensor"]], "Tensor"]
"""Gets the layer, what its convolution is given, (batch, channel, pos), and what convolves; gives
what the layer gets.
"""
_Listener = Callable[[dict[str, Any], Run], Any]
_listeners: dict[tuple[int, str], list[_Listener]] = {}


@dataclass
class _Running:
    """A layer that runs now in some thread."""

    heads: int = 0  # that its calls so far were about: Zamba calls its kernel once for each head
    inside: bool = False  # a kernel that calls another one is heard once


@contextmanager
def intercept(mixers: Mapping[int, nn.Module], handler: Handler) -> Iterator[frozenset[int]]:
    """Call the handler whenever one of these layers calls its kernel.

    Of several that are on, the first sees the kernel's own outcome, the last what the others made
    of it. Yields the layers whose kernel can be reached.
    """
    reached: set[int] = set()
    with ExitStack() as stack:
        for layer, mixer in mixers.items():
            for attach in (_of_module, _of_file):
                if attach(stack, layer, mixer, handler):
                    reached.add(layer)
                    break
        yield frozenset(reached)


@contextmanager
def intercept_convolutions(mixers: Mapping[int, nn.Module], handler: ConvHandler) -> Iterator[None]:
    """Call the handler whenever one of these layers calls its short convolution on a text (not on a
    single token whose past is in a cache).
    """
    with ExitStack() as stack:
        for layer, mixer in mixers.items():

            def function(_: _Running, given: dict[str, Any], run: Run, layer: int = layer) -> Any:
                return handler(layer, given["hidden_states"], lambda x: run(hidden_states=x))

            def module(given: dict[str, Any], run: Run, layer: int = layer) -> Any:
                return handler(layer, given["input"], lambda x: run(input=x))

            names = _functions(mixer, _CONV, but="conv_state")
            _listen_in_layer(stack, mixer, dict.fromkeys(names, function))
            for part in mixer.modules():
                if isinstance(part, torch.nn.Conv1d):
                    _listen(stack, part, "forward", module)
        yield


_CONV = frozenset({"hidden_states", "weight", "bias", "activation"})


def _functions(mixer: nn.Module, needs: frozenset[str], but: str = "") -> list[str]:
    """Names of the functions in a layer's file that take these arguments, `but` not that one."""
    takes = {
        name: set(inspect.signature(value).parameters)
        for name, value in vars(sys.modules[type(mixer).__module__]).items()
        if inspect.isfunction(value)
    }
    return [name for name, names in takes.items() if needs <= names and but not in names]


def _of_file(stack: ExitStack, layer: int, mixer: nn.Module, handler: Handler) -> bool:
    """Families whose file holds the kernel as a function."""

    def listen(
        read: Callable[[dict[str, Any]], KernelCall],
        running: _Running,
        given: dict[str, Any],
        run: Run,
    ) -> Any:
        call = read(given).from_head(running.heads)
        running.heads += call.inputs.v.shape[2]
        return handler(layer, call, run)

    listeners = {
        name: partial(listen, read)
        for needs, read in FILE_KERNELS
        for name in _functions(mixer, needs)
    }
    _listen_in_layer(stack, mixer, listeners)
    return bool(listeners)


def _listen_in_layer(
    stack: ExitStack,
    mixer: nn.Module,
    listeners: Mapping[str, Callable[[_Running, dict[str, Any], Run], Any]],
) -> None:
    """Listen to functions of a layer's file while this layer runs: they are the whole file's."""
    running: dict[int, _Running] = {}  # by thread

    def listen(
        listener: Callable[[_Running, dict[str, Any], Run], Any], given: dict[str, Any], run: Run
    ) -> Any:
        current = running.get(threading.get_ident())
        if current is None or current.inside:
            return run()
        current.inside = True
        try:
            return listener(current, given, run)
        finally:
            current.inside = False

    def enter(*_: Any) -> None:
        running[threading.get_ident()] = _Running()

    def leave(*_: Any) -> None:
        running.pop(threading.get_ident(), None)

    file = sys.modules[type(mixer).__module__]
    for name, listener in listeners.items():
        _listen(stack, file, name, partial(listen, listener))
    stack.callback(mixer.register_forward_pre_hook(enter).remove)
    stack.callback(mixer.register_forward_hook(leave).remove)


def _of_module(stack: ExitStack, layer: int, mixer: nn.Module, handler: Handler) -> bool:
    """Families in which a module of the layer is the kernel, or the layer itself computes it."""
    unit: Any = getattr(mixer, "rg_lru", None)
    if hasattr(unit, "_rnn_scan"):

        def scan(given: dict[str, Any], run: Run) -> Any:
            return handler(layer, rg_lru(given), run)

        _listen(stack, unit, "_rnn_scan", scan)
        return True
    backend: Any = next(
        (m for m in mixer.modules() if {"igate", "fgate"} <= set(_parameters(m))), None
    )
    if backend is not None:
        eps = float(getattr(getattr(backend, "config", None), "eps", 0.0))

        def cell(given: dict[str, Any], run: Run) -> Any:
            return handler(layer, mlstm(given, eps), run)

        _listen(stack, backend, "forward", cell)
        return True
    if isinstance(getattr(mixer, "slope_rate", None), torch.Tensor):
        _in_the_middle(stack, layer, mixer, handler)
        return True
    return False


def _parameters(module: nn.Module) -> Mapping[str, Any]:
    return inspect.signature(module.forward).parameters


def _in_the_middle(stack: ExitStack, layer: int, mixer: Any, handler: Handler) -> None:
    """Lightning attention (MiniMax) stands between a projection and a norm of the layer."""
    given: dict[int, dict[str, Any]] = {}  # by thread

    def enter(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given[threading.get_ident()] = dict(kwargs)

    def project(_: Any, args: tuple[Any, ...], output: Any) -> None:
        given[threading.get_ident()]["projected"] = output

    def read(_: Any, args: tuple[Any, ...]) -> Any:
        mine = given[threading.get_ident()]
        call = lightning(mixer, layer, mine)
        new = handler(layer, call, lambda: args[0])
        if new is args[0]:
            return None
        mine["state"] = new[1]
        return (new[0], *args[1:])

    def leave(_: Any, args: tuple[Any, ...], output: Any) -> None:
        mine = given.pop(threading.get_ident())
        cache = mine.get("past_key_values")
        if cache is not None and "state" in mine:
            cache.set_linear_cache(layer, mine["state"])

    stack.callback(mixer.register_forward_pre_hook(enter, with_kwargs=True).remove)
    stack.callback(mixer.qkv_proj.register_forward_hook(project).remove)
    stack.callback(mixer.norm.register_forward_pre_hook(read).remove)
    stack.callback(mixer.register_forward_hook(leave).remove)


def _heard(each: _Listener, given: dict[str, Any], run: Run, **others: Any) -> Any:
    return each(given | others, partial(run, **others))


def _listen(stack: ExitStack, owner: Any, name: str, listener: _Listener) -> None:
    """Call the listener with the arguments of every call of a function that stands in a file or
    on a module, and with what runs it.
    """
    function, key = getattr(owner, name), (id(owner), name)
    signature = inspect.signature(function)

    @wraps(
        function
    )  # keeps the signature, by which the model's other layers find the same function
    def call(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()

        given = dict(bound.arguments)

        def run(**others: Any) -> Any:
            bound.arguments.update(given | others)
            return function(*bound.args, **bound.kwargs)

        chain: Run = run
        for each in tuple(_listeners.get(key, ())):
            chain = partial(_heard, each, given, chain)
        return chain()

    stack.enter_context(held(owner, name, call))
    current = _listeners.setdefault(key, [])
    current.append(listener)

    def remove() -> None:
        current.remove(listener)
        if not current and _listeners.get(key) is current:
            del _listeners[key]

    stack.callback(remove)

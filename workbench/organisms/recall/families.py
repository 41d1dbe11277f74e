"""Which models of recall there are: two layers of width 64, or one where it is said, that differ in
what they remember with.

Of the learning rates the first is the best one found so far; `build.py` tries them all (a cell that
did not train says nothing about capacity).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from workbench.organisms.recall import untrained
from workbench.organisms.recall.untrained import LAYERS, WIDTH

Task = Literal["pairs", "rebound", "delay"]
WINDOW = 16
_FLOAT = 4


@dataclass(frozen=True)
class Family:
    """A model of recall.

    Attributes:
        description: in a few words, for lists.
        make: the untrained model, from torch's global random state.
        state_bytes: of what one layer carries from token to token, in float32; of attention, what
            it keeps per token (of a window, of the whole window). Short convolutions are not
            counted, as in the papers.
        grows: whether that is per token, so that it has no limit.
        active_bytes: of that, what one token can write to and read: of a mixture of memories those
            that it is routed to. None is all.
        rates: learning rates that are tried on the first seed.
        steps: of training.
        task: what its rows are: pairs; pairs half of whose keys are rebound, so that forgetting is
            needed; one value that is asked for after a delay.
    """

    description: str
    make: Callable[[], Any]
    state_bytes: int
    rates: tuple[float, ...]
    steps: int
    grows: bool = False
    active_bytes: int | None = None
    task: Task = "pairs"


def _delta(size: int, steps: int, rates: tuple[float, ...]) -> Family:
    return Family(
        f"gated delta rule, two states of {size} × {size} a layer",
        lambda: untrained.gated_delta(size, ("linear_attention",) * LAYERS),
        2 * size * size * _FLOAT,
        rates,
        steps,
    )


def _mamba(size: int, steps: int, *, mimetic: bool = False) -> Family:
    start = ", which begins as linear attention" if mimetic else ""
    return Family(
        f"Mamba-2, two states of {WIDTH} × {size} a layer{start}",
        lambda: untrained.mamba2(size, mimetic=mimetic),
        2 * WIDTH * size * _FLOAT,
        (1e-2, 5e-3, 3e-3),
        steps,
    )


def _memories(
    description: str, rows: int, states: int = 1, *, steps: int = 800, **sizes: Any
) -> Family:
    """One layer with so many states of `rows` × 32."""
    one = rows * 32 * _FLOAT
    return Family(
        f"{description}, one layer",
        lambda: untrained.memories(num_hidden_layers=1, key_dim=rows, value_dim=32, **sizes),
        states * one,
        (3e-3,),
        steps,
        active_bytes=one * sizes.get("memories_per_token", 1) if "router" in sizes else None,
    )


def _two_states(description: str, rule: str, task: Task = "pairs") -> Family:
    return Family(
        f"{description}, two states of 32 × 32 a layer",
        lambda: untrained.memories(
            num_hidden_layers=LAYERS, num_heads=2, key_dim=32, value_dim=32, rule=rule
        ),
        2 * 32 * 32 * _FLOAT,
        (3e-3,),
        1200,
        task=task,
    )


def _delayed(description: str, numbers: int, steps: int, **sizes: Any) -> Family:
    """Delayed recall with a state of so many numbers a layer."""
    return Family(
        f"{description}, after a delay",
        lambda: untrained.delayed(num_hidden_layers=LAYERS, **sizes),
        numbers * _FLOAT,
        (3e-3,),
        steps,
        task="delay",
    )


_PER_TOKEN = 2 * WIDTH * _FLOAT  # a key and a value of every head

FAMILIES = {
    "attention": Family(
        "attention over all tokens", untrained.attention, _PER_TOKEN, (3e-3, 1e-3), 500, grows=True
    ),
    "window": Family(
        f"attention over the last {WINDOW} tokens",
        lambda: untrained.attention(WINDOW),
        WINDOW * _PER_TOKEN,
        (3e-3, 1e-3),
        600,
    ),
    "hybrid": Family(
        "a layer of gated delta rule, then one of attention",
        lambda: untrained.gated_delta(16, ("linear_attention", "full_attention")),
        2 * 16 * 16 * _FLOAT,
        (3e-3,),
        1500,
        grows=True,
    ),
    "delta-8": _delta(8, 2500, (3e-3, 6e-3)),
    "delta-16": _delta(16, 2500, (6e-3, 3e-3)),
    "delta-32": _delta(32, 2500, (3e-3,)),
    "mamba-8": _mamba(8, 1200),
    "mamba-16": _mamba(16, 1200),
    "mamba-32": _mamba(32, 1200),
    "mamba-16-mimetic": _mamba(16, 1200, mimetic=True),
    "mom-planted": _memories(
        "mixture of four memories of 16 × 32, each for a known quarter of the keys",
        16,
        4,
        num_memories=4,
        router="planted",
        follows=True,
    ),
    "mom-learned": _memories(
        "mixture of four memories of 16 × 32, of which a router chooses two",
        16,
        4,
        num_memories=4,
        router="learned",
        memories_per_token=2,
    ),
    "mom-learned-by-key": _memories(
        "mixture of four memories of 16 × 32, of which a router chooses two by the key",
        16,
        4,
        num_memories=4,
        router="learned",
        memories_per_token=2,
        follows=True,
    ),
    "mom-one": _memories("gated delta rule, one state of 16 × 32", 16, steps=1500),
    "mom-large": _memories("gated delta rule, one state of 64 × 32", 64),
    "mom-heads": _memories("gated delta rule, four heads of 16 × 32", 16, 4, num_heads=4),
    "linear-32": _two_states("linear attention without decay", "additive"),
    "forgetting-delta": _two_states(
        "gated delta rule, half of the keys rebound", "gated_delta", "rebound"
    ),
    "forgetting-additive": _two_states(
        "linear attention without decay, half of the keys rebound", "additive", "rebound"
    ),
    "delay-lstm": _delayed("LSTM", 2 * WIDTH, 300, mixer="lstm"),
    "delay-s4d": _delayed("S4D, 16 numbers a channel", 16 * WIDTH, 800, mixer="s4d", state_size=16),
}
"""By name, as in `organism/recall-NAME`."""

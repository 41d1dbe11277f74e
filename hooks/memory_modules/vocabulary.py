"""One vocabulary for all memories: slots, and how they are read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

Space = Literal["learned", "token position", "recurrent", "document", "function"]
WriteKind = Literal["insert", "overwrite", "merge", "decay", "drop"]


@dataclass(frozen=True)
class MemorySlots:
    """What a memory holds: addressable items, each with a key and a value.

    Attributes:
        count: how many there are.
        key: what a query is compared with, (slot, d_key), with an axis of heads in front where
            each head has its own, and one of batch rows before that; None where there is none.
        value: what is read, likewise; None where it depends on the token (an expert).
        space: what a slot's number stands for.
        ids: of memories whose slots move, a name for each that stays with its contents, (slot,).
        born: when it was written, in calls of the module, (slot,).
        uses: how often it was read, (slot,).
        source: the text it was written from.
        kept: of memories that are more than keys and values, what puts them back as a whole.
    """

    count: int
    key: Float[Tensor, "*key_axes slot d_key"] | None = None
    value: Float[Tensor, "*value_axes slot d_value"] | None = None
    space: Space = "learned"
    ids: Int[Tensor, " slot"] | None = None
    born: Int[Tensor, " slot"] | None = None
    uses: Int[Tensor, " slot"] | None = None
    source: Sequence[str] | None = None
    kept: Any = None


@dataclass(frozen=True)
class MemoryReads:
    """What tokens read in one call of the module.

    What comes out is the sum of weight × gate × value over all reads of a token, in each head; the
    heads are added or stand beside each other, as the adapter says.

    Attributes:
        weight: how much of a slot's value is read, (batch, pos, head, read).
        index: the slots' numbers; None: every slot, in order.
        gate: what the memory's reading is multiplied with, (batch, pos, head); None is 1.
        mass: what the weights of a head sum to; None: to nothing in particular (neurons).
        score: what the weights were made of, likewise; `query` times key where that is given.
        query: (batch, pos, head, d_key).
        value: of memories without a table of values, what each read brings, (batch, pos, head,
            read, d_value).
    """

    weight: Float[Tensor, "batch pos head read"]
    index: Int[Tensor, "batch pos head read"] | None = None
    gate: Float[Tensor, "batch pos head"] | None = None
    mass: float | Float[Tensor, "batch pos head"] | None = None
    score: Float[Tensor, "batch pos head read"] | None = None
    query: Float[Tensor, "batch pos head d_key"] | None = None
    value: Float[Tensor, "batch pos head read d_value"] | None = None

    @property
    def gated(self) -> Float[Tensor, "batch pos head read"]:
        """Weights times gate: how much of each value comes out."""
        return self.weight if self.gate is None else self.weight * self.gate[..., None]


@dataclass(frozen=True)
class MemoryWrite:
    """One slot that a call of the module changed.

    Attributes:
        slot: its number afterwards; of a dropped one, before.
        strength: length of what changed over the length of what was there; 1 where nothing was.
    """

    slot: int
    kind: WriteKind
    strength: float


@dataclass(frozen=True)
class MemoryCall:
    """One call of a memory's module, as it went by.

    Attributes:
        args, kwargs: what it was given.
        out: what it gave.
        inside: of the submodules that the adapter names, (what it was given, what it gave).
        before: the slots as they stood when it was called, of memories that are written.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any
    inside: Mapping[str, tuple[tuple[Any, ...], Any]] = field(default_factory=dict)
    before: MemorySlots | None = None

    @property
    def output(self) -> Tensor:
        """What it gave; the first thing where it gave several."""
        out: Tensor = self.out if isinstance(self.out, Tensor) else self.out[0]
        return out

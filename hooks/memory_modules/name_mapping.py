"""An adapter from names alone, for modules that keep what they read last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.mapped_shapes import check, per_head, per_slot
from hooks.memory_modules.product_keys import zeroed_rows
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots, Space
from workbench.errors import BadInput

NAMES = ("keys", "values", "index", "weight", "gate", "rest")
Path = str | Sequence[str]
"""Where a tensor stands, from the module on; of a memory in several parts one for each."""


def by_names(
    kind: type[nn.Module] | Callable[[nn.Module], bool],
    names: Mapping[str, Path],
    *,
    name: str = "memory",
    mass: float | None = 1.0,
    joins: Literal["sum", "concat"] = "sum",
    space: Space = "learned",
    per_row: bool = False,
    written: bool = False,
    source: Callable[[nn.Module], Sequence[str]] | None = None,
) -> MemoryAdapter:
    """Adapter for modules that keep what they read last.

    Args:
        names: where it stands, from the module on: `{"values": "memory.values.weight", "index":
            "memory.last_indices", "weight": "memory.last_scores"}`, and `keys`, `gate` and `rest`
            (what comes out beside the sum) if there are any. Without `index` every slot is read, in
            order; without `weight` each slot of the index is read as it stands. Index and weight
            are (batch, pos, head, read), without the head where there is one, or with one axis of
            tokens for batch and pos; keys and values (slot, d), with an axis of heads in front
            where each has its own. Where the slots lie in several tensors, a list of paths for
            each name: the slots of the second stand behind those of the first.
        mass: what the weights of a head sum to; None where they need not.
        per_row: keys and values have an axis of batch rows in front: each text has its own.
        written: keys and values change while text is read, and can be put back.
        source: module to the text that each slot was written from.

    Raises:
        BadInput: a name that means nothing here, or one that is needed and missing. When a module
            is read: a path that leads nowhere, or shapes that do not fit.
    """
    _check_names(names)
    paths = {each: [path] if isinstance(path, str) else list(path) for each, path in names.items()}
    mapping = _Mapping(paths, mass, space, per_row, source)
    # What a module makes anew as it reads cannot be made zero beforehand; a table that is read by
    # itself would be read otherwise.
    stays = not written and not per_row and space in ("learned", "document")
    stays = stays and paths.get("keys") != paths["values"]
    return MemoryAdapter(
        name,
        kind,
        mapping.slots,
        mapping.reads,
        joins=joins,
        rest=mapping.rest if "rest" in paths else None,
        zeroed=mapping.zeroed if stays else None,
        restore=mapping.restore if written else None,
    )


@dataclass(frozen=True)
class _Mapping:
    """The functions of an adapter, as its paths say."""

    paths: Mapping[str, Sequence[str]]
    mass: float | None
    space: Space
    per_row: bool
    source: Callable[[nn.Module], Sequence[str]] | None

    def slots(self, module: nn.Module) -> MemorySlots:
        value = _beside("values", self._tables(module, "values"), -2)
        key = _beside("keys", self._tables(module, "keys"), -2) if "keys" in self.paths else None
        count = value.shape[-2]
        if key is not None:
            fits = key.shape[-2] == count
            check(fits, self._called("keys"), key, f"(slot, d_key) of {count} slots")
        told = None if self.source is None else self.source(module)
        return MemorySlots(count, key, value, self.space, source=told)

    def _tables(self, module: nn.Module, what: str) -> list[Tensor]:
        return [
            per_slot(held_tensor(module, path), path, self.per_row) for path in self.paths[what]
        ]

    def _called(self, what: str) -> str:
        return " and ".join(self.paths[what])

    def reads(self, call: MemoryCall) -> MemoryReads:
        counts = [table.shape[-2] for table in self._tables(call.module, "values")]
        index = self._index(call, counts)
        weight = self._weight(call, index, counts)
        gate = None
        if "gate" in self.paths:
            gate = held_tensor(call.module, self.paths["gate"][0])
            fits = gate.numel() == weight[..., 0].numel()
            check(fits, self._called("gate"), gate, "one for each head")
            gate = gate.reshape(weight.shape[:3])
        return MemoryReads(weight, index, gate, self.mass)

    def _index(self, call: MemoryCall, counts: Sequence[int]) -> Tensor | None:
        if "index" not in self.paths:
            return None
        parts = self._of_tokens(call, "index")
        for each, path in zip(parts, self.paths["index"], strict=True):
            check(not each.is_floating_point(), path, each, "whole numbers")
        starts = [sum(counts[:n]) for n in range(len(counts))]
        moved = [each.long() + at for each, at in zip(parts, starts, strict=True)]
        return _beside("index", moved, -1)

    def _weight(self, call: MemoryCall, index: Tensor | None, counts: Sequence[int]) -> Tensor:
        if "weight" not in self.paths:
            assert index is not None
            out = call.output
            return torch.ones(index.shape, dtype=out.dtype, device=out.device)
        weight = _beside("weight", self._of_tokens(call, "weight"), -1)
        called = self._called("weight")
        if index is None:
            total = call.before.count if call.before is not None else sum(counts)
            says = f"a weight for each of {total} slots, or `index` beside it"
            check(weight.shape[-1] == total, called, weight, says)
        else:
            check(index.shape == weight.shape, called, weight, f"{tuple(index.shape)}")
        return weight

    def _of_tokens(self, call: MemoryCall, what: str) -> list[Tensor]:
        tokens = call.output.shape[:-1].numel()
        return [per_head(held_tensor(call.module, path), tokens, path) for path in self.paths[what]]

    def rest(self, call: MemoryCall) -> Tensor:
        beside = held_tensor(call.module, self.paths["rest"][0])
        says = f"{tuple(call.output.shape)}, as what the module gives"
        check(beside.shape == call.output.shape, self._called("rest"), beside, says)
        return beside

    @contextmanager
    def zeroed(self, module: nn.Module, which: Tensor) -> Iterator[None]:
        start = 0
        with ExitStack() as stack:
            for path in self.paths["values"]:
                table = _tensor(module, path)
                mine = which[(which >= start) & (which < start + table.shape[-2])] - start
                stack.enter_context(zeroed_rows(table.movedim(-2, 0), mine))
                start += table.shape[-2]
            yield

    def restore(self, module: nn.Module, before: MemorySlots) -> None:
        for each, held in (("keys", before.key), ("values", before.value)):
            if each in self.paths and held is not None:
                _put_back(module, self.paths[each], held, self.per_row)


def _check_names(names: Mapping[str, Path]) -> None:
    if wrong := [each for each in names if each not in NAMES]:
        raise BadInput(
            f"A mapping has no name {wrong[0]!r}.", f"some of {', '.join(NAMES)}", "Correct it."
        )
    missing = ["values"] if "values" not in names else []
    if "index" not in names and "weight" not in names:
        missing.append("index or weight")
    if missing:
        raise BadInput(
            f"The mapping lacks {' and '.join(missing)}.",
            "values, and index or weight or both",
            "Say where they stand in the module.",
        )
    parts = {
        each: 1 if isinstance(path, str) else len(path)
        for each, path in names.items()
        if each not in ("gate", "rest")
    }
    if len(set(parts.values())) > 1:
        told = ", ".join(f"{count} of {each}" for each, count in parts.items())
        raise BadInput(
            f"The mapping names parts of a memory unevenly: {told}.",
            "as many paths under each name",
            "Name every part under keys, values, index and weight alike.",
        )


def _beside(what: str, parts: Sequence[Tensor], axis: int) -> Tensor:
    """The parts one behind the other along the axis of slots."""
    first = parts[0]
    for part in parts[1:]:
        alike = part.dim() == first.dim() and all(
            a == b
            for n, (a, b) in enumerate(zip(part.shape, first.shape, strict=True))
            if n != first.dim() + axis
        )
        check(alike, f"the other part of `{what}`", part, f"{tuple(first.shape)} but for its slots")
    return first if len(parts) == 1 else torch.cat(list(parts), axis)


def _put_back(module: nn.Module, paths: Sequence[str], held: Tensor, per_row: bool) -> None:
    """Keys or values as they were."""
    start = 0
    for path in paths:
        owner, _, last = path.rpartition(".")
        now = _tensor(module, path)
        # Of a single part the number of slots may have changed since.
        count = held.shape[-2] if len(paths) == 1 else now.shape[-2]
        part = held[..., start : start + count, :]
        part = part[:, 0] if per_row and now.dim() == 3 else part
        start += count
        if isinstance(now, nn.Parameter):
            with torch.no_grad():
                now.copy_(part)
        else:
            setattr(at_path(module, owner), last, part.clone())


def at_path(module: nn.Module, path: str) -> Any:
    """What stands at a path, from the module on; None where nothing does."""
    found: Any = module
    for step in path.split(".") if path else ():
        found = getattr(found, step, None)
    return found


def held_tensor(module: nn.Module, path: str) -> Tensor:
    """The tensor at a path.

    Raises:
        BadInput: there is none.
    """
    return _tensor(module, path).detach()


def _tensor(module: nn.Module, path: str) -> Tensor:
    found = at_path(module, path)
    if not isinstance(found, Tensor):
        what = "nothing" if found is None else f"a {type(found).__name__}"
        raise BadInput(
            f"{type(module).__name__} has {what} at {path!r}.",
            "a tensor",
            "Correct the mapping; a module keeps what it read only once it was called.",
        )
    return found

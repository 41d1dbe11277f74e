"""Memories of packages that need not be installed: their modules are known by the name of their
class, so that nothing is imported here.

| class | package |
| --- | --- |
| `PEER_pytorch.PEER` | `pip install PEER-pytorch` |
| `product_key_memory.PKM` | `pip install product-key-memory` |
| `titans_pytorch.NeuralMemory` (its `MemoryMLP`) | `pip install titans-pytorch` |

Memoria is no module by itself: engrams.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.product_keys import paired_keys, zeroed_rows
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.errors import Unfit


def _named(package: str, name: str) -> Callable[[nn.Module], bool]:
    """Whether a module is of this class of a package."""

    def knows(module: nn.Module) -> bool:
        kind = type(module)
        return kind.__name__ == name and kind.__module__.partition(".")[0] == package

    return knows


def _paired(module: Any) -> Tensor:
    """Keys of all slots of one head after the other, (head, slot, d_key)."""
    return paired_keys(module.keys[:, :, 0], module.keys[:, :, 1]).detach()


def _best(halves: Tensor, k: int, final: int) -> tuple[Tensor, Tensor]:
    """(numbers, scores) of the best slots, (batch, pos, head, read), from the scores of both halves
    of their keys, (half, batch, pos, head, n).
    """
    best, places = halves.topk(k, -1)
    sums = best[0][..., :, None] + best[1][..., None, :]
    slots = places[0][..., :, None] * halves.shape[-1] + places[1][..., None, :]
    score, which = sums.flatten(-2).topk(final, -1)
    return slots.flatten(-2).gather(-1, which), score


def _values_off(name: str) -> Callable[[nn.Module, Tensor], AbstractContextManager[None]]:
    def off(module: nn.Module, slots: Tensor) -> AbstractContextManager[None]:
        return zeroed_rows(module.get_submodule(name).weight, slots)  # type: ignore[arg-type]

    return off


# PEER


def _peer_slots(module: Any) -> MemorySlots:
    value = module.weight_up_embed.weight.detach()
    # Where each head has experts of its own, those of a head stand behind those of the one before.
    key = None if module.separate_embed_per_head else _paired(module)
    return MemorySlots(len(value), key, value)


def _peer_reads(call: MemoryCall) -> MemoryReads:
    module: Any = call.module
    with torch.no_grad():
        x = module.norm(call.args[0])
        query = module.to_queries(x)  # half, batch, pos, head, d_key
        halves = torch.einsum("sbphd,hnsd->sbphn", query, module.keys)
        index, score = _best(halves, module.product_key_topk, module.num_experts_per_head_topk)
        weight = module.score_activation(score)
        if module.separate_embed_per_head:
            index = index + torch.arange(module.heads, device=x.device)[:, None] * (
                module.num_experts
            )
        fired = torch.einsum("bpd,bphrd->bphr", x, module.weight_down_embed(index))
        weight = weight * module.activation(fired)
    return MemoryReads(weight, index, score=score, query=torch.cat(list(query), -1))


PEER_PACKAGE = MemoryAdapter(
    "retrieval of experts", _named("PEER_pytorch", "PEER"), _peer_slots, _peer_reads,
    zeroed=_values_off("weight_up_embed"),
)  # fmt: skip


# product-key-memory


def _pkm_slots(module: Any) -> MemorySlots:
    if module.concat_values_and_combine or not isinstance(module.output_norm, nn.Identity):
        raise Unfit(
            "This product-key memory gives its values through a matrix or a norm.",
            "values that are added: concat_values_and_combine=False, norm_output=False",
            "Write an adapter of its own.",
        )
    return MemorySlots(module.num_memories, _paired(module), module.values.weight.detach())


def _pkm_reads(call: MemoryCall) -> MemoryReads:
    module: Any = call.module
    with torch.no_grad():
        x = module.pre_layernorm(call.args[0])
        query = module.to_queries(x).unflatten(-1, (2, module.heads, -1)).movedim(2, 0)
        query = module.norm(query)
        halves = torch.einsum("sbphd,hnsd->sbphn", query, module.keys)
        index, score = _best(halves, module.topk, module.topk)
        weight = module.gate_activation(score)
    mass = 1.0 if isinstance(module.gate_activation, nn.Softmax) else None
    return MemoryReads(weight, index, mass=mass, score=score, query=torch.cat(list(query), -1))


PKM_PACKAGE = MemoryAdapter(
    "product-key memory", _named("product_key_memory", "PKM"), _pkm_slots, _pkm_reads,
    zeroed=_values_off("values"),
)  # fmt: skip


# Titans: the memory is an MLP that learns while it reads


def _titans_matrices(module: Any) -> tuple[Tensor, Tensor | None]:
    """The last matrix, (row, slot, d), and the one before it, (row, d, slot), as they stand now:
    those of a chunk of a text where one is being read.
    """
    last, *before = [*module.weights][::-1]
    rows = [each if each.dim() == 3 else each[None] for each in (last, *before[:1])]
    return rows[0], rows[1] if before else None


def _titans_slots(module: nn.Module) -> MemorySlots:
    last, before = _titans_matrices(module)
    key = None if before is None else before.mT.detach()[:, None]
    return MemorySlots(last.shape[-2], key, last.detach()[:, None], "recurrent")


def _titans_reads(call: MemoryCall) -> MemoryReads:
    module: Any = call.module
    x: Tensor = call.args[0]
    for weight in list(module.weights)[:-1]:
        x = nn.functional.gelu(x @ weight)
    return MemoryReads(x.detach()[:, :, None])


def _titans_is_read(call: MemoryCall) -> bool:
    """It is asked through `vmap` and `grad` to learn: those calls are no reads."""
    return not torch._C._functorch.is_functorch_wrapped_tensor(call.args[0])


@contextmanager
def _titans_off(module: nn.Module, slots: Tensor) -> Iterator[None]:
    own: Any = module

    def without(x: Tensor) -> Tensor:
        if torch._C._functorch.is_functorch_wrapped_tensor(x):
            given: Tensor = type(own).forward(own, x)
            return given
        *before, last = own.weights
        for weight in before:
            x = nn.functional.gelu(x @ weight)
        kept = last.clone()
        kept[..., slots, :] = 0
        emptied: Tensor = x @ kept
        return emptied

    own.forward = without
    try:
        yield
    finally:
        del own.forward


TITANS_PACKAGE = MemoryAdapter(
    "neural memory", _named("titans_pytorch", "MemoryMLP"), _titans_slots, _titans_reads,
    zeroed=_titans_off, is_read=_titans_is_read,
)  # fmt: skip

"""Memories of packages that need not be installed; without one its tests are left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from hooks.memory_modules import (
    MemoryPlace,
    conformance,
    conformance_of_module,
    masked,
    recorded,
    writes_skipped,
)
from hooks.memory_modules.engrams import memoria_reading
from hooks.memory_modules.packages import PEER_PACKAGE, PKM_PACKAGE, TITANS_PACKAGE
from hooks.memory_modules.places import adapters
from hooks.memory_modules.scaffold import class_at
from workbench.errors import BadInput, Unfit

X = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("competing", [False, True])
def test_peer(apart: bool, competing: bool) -> None:
    peer = pytest.importorskip("PEER_pytorch", reason="pip install PEER-pytorch")
    torch.manual_seed(0)
    module = peer.PEER(
        16, heads=3, num_experts=36, num_experts_per_head=4, dim_key=5, product_key_topk=4,
        separate_embed_per_head=apart, non_competing_scores=not competing, pre_rmsnorm=True,
    ).eval()  # fmt: skip
    nn.init.normal_(module.keys)
    found = conformance_of_module(PEER_PACKAGE, module, X)
    assert not found.failed, found
    assert next(each for each in adapters() if each.knows(module)) is PEER_PACKAGE
    reads = PEER_PACKAGE.reads
    flat = replace(PEER_PACKAGE, reads=lambda call: replace(
        reads(call), weight=torch.ones_like(reads(call).weight)))  # fmt: skip
    assert conformance_of_module(flat, module, X).failed[0] == "sum"


def test_product_keys() -> None:
    package = pytest.importorskip("product_key_memory", reason="pip install product-key-memory")
    torch.manual_seed(0)
    module = package.PKM(16, heads=2, num_keys=6, topk=3, dim_head=8).eval()
    found = conformance_of_module(PKM_PACKAGE, module, X)
    assert not found.failed, found
    assert {line.name for line in found.lines if line.verdict == "holds"} >= {"keys", "weights"}
    with pytest.raises(Unfit, match="through a matrix or a norm"):
        PKM_PACKAGE.slots(package.PKM(16, heads=2, num_keys=6, topk=3, dim_head=8,
                                      norm_output=True))  # fmt: skip


@pytest.mark.parametrize("depth", [1, 2])
def test_titans(depth: int) -> None:
    titans = pytest.importorskip("titans_pytorch", reason="pip install titans-pytorch")
    torch.manual_seed(0)
    module = titans.NeuralMemory(
        16, chunk_size=2, default_model_kwargs={"depth": depth, "expansion_factor": 2.0}
    ).eval()
    (inside,) = [each for each in module.modules() if TITANS_PACKAGE.knows(each)]
    place = MemoryPlace("titans", None, inside, TITANS_PACKAGE)

    def call(row: int | None) -> Any:
        return module(X if row is None else X[row : row + 1])

    found = conformance(place, call, 1)
    assert not found.failed, found
    assert {line.name for line in found.lines if line.verdict == "holds"} >= {
        "slots", "sum", "mask all", "all off", "read off"}  # fmt: skip
    with recorded([place]) as calls:
        plain = module(X)[0]
    # What it learns from is no read: there is one call, with a row for each chunk of each text.
    assert len(calls) == 1
    assert len(calls[0].slots.value) == len(calls[0].reads.weight)
    assert not torch.equal(calls[0].slots.value[0], calls[0].slots.value[1])
    with masked(place, range(calls[0].slots.count)):
        off, state = module(X)
    assert not torch.allclose(off, plain, atol=1e-4)
    # What is stored is what it would be: masks hold where the memory is read.
    for mine, other in zip(state.weights.values(), module(X)[1].weights.values(), strict=True):
        assert torch.equal(mine, other)


class Reminded(nn.Module):
    """A layer with a Memoria: what it is reminded of is added by attention, and a segment's states
    become engrams.
    """

    def __init__(self, memoria: Any, **options: Any) -> None:
        super().__init__()
        self.memoria = memoria.Memoria(
            num_reminded_stm=4, stm_capacity=6, ltm_search_depth=2, initial_lifespan=5,
            num_final_ltms=2, **options,
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.memoria.add_working_memory(x)
        kept, self.reminded = self.memoria.remind()
        score = (x @ kept.mT).masked_fill(self.reminded[:, None] < 0, -torch.inf)
        self.attention = score.softmax(-1).nan_to_num(0.0)
        out = self.attention @ kept
        gain = self.attention.sum(1)
        self.memoria.adjust_lifespan_and_memories(self.reminded, gain)
        return out


def reading() -> Any:
    return memoria_reading(Reminded, memoria="memoria", index="reminded", weight="attention")


@torch.no_grad()
def test_memoria() -> None:
    memoria = pytest.importorskip("memoria", reason="pip install memoria-pytorch")
    module = Reminded(memoria, track_id=True, track_age=True)
    place = MemoryPlace("memoria", None, module, reading())
    texts = torch.randn(6, 1, 3, 16, generator=torch.Generator().manual_seed(2))
    with recorded([place]) as calls:
        outputs = [module(text) for text in texts]
    kinds = [{write.kind for write in call.writes} for call in calls]
    assert kinds[0] == {"insert"}
    assert "drop" in set().union(*kinds)  # an engram that is not reminded of dies
    last = calls[-1]
    weight, index = last.reads.weight[0, :, 0], last.reads.index[0, 0, 0]
    assert torch.allclose(weight @ last.slots.value[0, 0][index], outputs[-1][0], atol=1e-5)
    assert int(last.slots.uses.max()) >= 1
    assert int(last.slots.born.min()) >= 0
    held = place.slots()
    with writes_skipped(place):
        module(texts[0])
    after = place.slots()
    assert torch.equal(after.ids, held.ids)
    assert torch.equal(after.value, held.value)


@torch.no_grad()
def test_engrams_without_names_are_refused() -> None:
    memoria = pytest.importorskip("memoria", reason="pip install memoria-pytorch")
    module = Reminded(memoria)
    with pytest.raises(BadInput, match="track_id=True"):
        reading().slots(module)
    nameless = memoria_reading(Reminded, memoria="nowhere", index="reminded", weight="attention")
    with pytest.raises(BadInput, match="no Memoria at 'nowhere'"):
        nameless.slots(module)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("memoria:Abstractor", "pip install memoria-pytorch"),
        ("titans_pytorch:NeuralMemory", "pip install titans-pytorch"),
        ("PEER_pytorch:PEER", "pip install PEER-pytorch"),
    ],
)
def test_a_package_that_is_missing_has_its_line(
    path: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, path.partition(":")[0], None)  # as if not installed
    with pytest.raises(BadInput) as said:
        class_at(path)
    assert said.value.do == line

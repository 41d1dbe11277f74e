"""Memories that papers describe, each a toy that a mapping of names makes visible, and wrong
mappings.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hooks.memory_modules import (
    MemoryAdapter,
    MemoryPlace,
    by_names,
    conformance_of_module,
    masked,
    recorded,
    swapped,
    writes_skipped,
)
from tests.helpers import mapped_toys as toys
from workbench.errors import BadInput

X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))


def rebuilt(module: Any) -> list[str]:
    """The text behind each virtual token, as its number: the network run backwards."""
    text = module.rebuild(module.virtual)
    return [str(int((text[n] - module.texts).norm(dim=-1).argmin())) for n in range(len(text))]


def bank(**wrong: Any) -> MemoryAdapter:
    names = {"keys": "bank", "values": "bank", "weight": "last_weight"} | wrong
    return by_names(toys.DocumentBank, names, space="document")


def two_spaces(**more: Any) -> MemoryAdapter:
    names = {"values": ["own", "theirs"], "weight": ["own_weight", "their_weight"]} | more
    return by_names(toys.TwoSpaces, names)


def codebook(**more: Any) -> MemoryAdapter:
    names = {"values": "codes", "index": "last_code"} | more
    return by_names(toys.Codebook, names, joins="concat")


def prompt(**more: Any) -> MemoryAdapter:
    names = {"values": "prompt", "weight": "last_weight", "rest": "beside"} | more
    return by_names(toys.PromptOfTurns, names, mass=None, per_row=True, written=True,
                    space="recurrent")  # fmt: skip


def unit(**more: Any) -> MemoryAdapter:
    names = {"keys": "key", "values": "value", "weight": "weight"} | more
    return by_names(toys.AssociativeUnit, names, mass=None, per_row=True, space="token position")


def notebook(**more: Any) -> MemoryAdapter:
    names = {"values": "note", "weight": "last_weight"} | more
    return by_names(toys.WrittenWords, names, per_row=True, written=True, space="recurrent")


def compressor(**more: Any) -> MemoryAdapter:
    names = {"values": "virtual", "weight": "last_weight"} | more
    return by_names(toys.ReversibleCompressor, names, space="document", source=rebuilt)


EVERY = [
    (toys.DocumentBank, bank),
    (toys.TwoSpaces, two_spaces),
    (toys.Codebook, codebook),
    (toys.AssociativeUnit, unit),
    (toys.ReversibleCompressor, compressor),
]


@pytest.mark.parametrize(("kind", "adapter"), EVERY)
def test_mapped_memories_conform(kind: Any, adapter: Any) -> None:
    found = conformance_of_module(adapter(), kind(), X)
    assert not found.failed, found
    held = {line.name for line in found.lines if line.verdict == "holds"}
    assert held >= {"slots", "sum", "mask all", "rows"}


@pytest.mark.parametrize(("kind", "adapter"), [(toys.PromptOfTurns, prompt),
                                               (toys.WrittenWords, notebook)])  # fmt: skip
@torch.no_grad()
def test_mapped_memories_that_are_written_are_put_back(kind: Any, adapter: Any) -> None:
    module = kind()
    module(X[:1])
    place = MemoryPlace("toy", None, module, adapter())
    found = conformance_of_module(adapter(), module, X[:1])
    assert not {"slots", "sum", "mask all", "frozen"} & set(found.failed), found
    with recorded([place]) as calls:
        module(X[1:])
        module(-X[1:])
    written = [write.slot for call in calls for write in call.writes]
    assert written
    assert set(written) <= set(range(calls[0].slots.count))
    held = place.slots().value.clone()
    with writes_skipped(place) as skipped:
        module(2 - X[:1])
    assert skipped
    assert torch.equal(place.slots().value, held)


WRONG = [
    ("sum", toys.DocumentBank, bank(values="last_weight")),
    ("slots", toys.DocumentBank, bank(weight="bank")),
    ("slots", toys.DocumentBank, bank(values="nowhere")),
    ("slots", toys.TwoSpaces, two_spaces(keys=["own_key", "own_key"])),
    ("slots", toys.TwoSpaces, two_spaces(weight=["own_weight", "own_weight"])),
    ("slots", toys.TwoSpaces, two_spaces(values=["own", "own_weight"])),
    ("sum", toys.Codebook, by_names(toys.Codebook, {"values": "codes", "index": "last_code"})),
    ("slots", toys.Codebook, codebook(index="codes")),
    ("slots", toys.AssociativeUnit, unit(values="weight", weight="value")),
    ("sum", toys.AssociativeUnit, unit(values="key")),
    ("sum", toys.ReversibleCompressor, compressor(values="texts")),
    ("sum", toys.PromptOfTurns,
     by_names(toys.PromptOfTurns, {"values": "prompt", "weight": "last_weight"}, mass=None,
              per_row=True)),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "adapter"), WRONG)
def test_wrong_mappings_fail_at_their_line(line: str, kind: Any, adapter: Any) -> None:
    module = kind()
    with torch.no_grad():
        module(X)
    assert line in conformance_of_module(adapter, module, X).failed


def test_wrong_shapes_and_names_are_said() -> None:
    module = toys.DocumentBank()
    module(X)
    place = MemoryPlace("bank", None, module, bank(weight="bank"))
    with (
        pytest.raises(BadInput, match=r"'bank' is float32 of shape \(5, 8\)") as said,
        recorded([place]),
    ):
        module(X)
    assert "so many reads of 10 tokens" in said.value.expected
    for names, match in (
        ({"values": "bank"}, "lacks index or weight"),
        ({"weight": "last_weight"}, "lacks values"),
        ({"values": ["a", "b"], "weight": "last_weight"}, "unevenly: 2 of values, 1 of weight"),
        ({"values": "bank", "weights": "last_weight"}, "no name 'weights'"),
    ):
        with pytest.raises(BadInput, match=match):
            by_names(toys.DocumentBank, names)
    rows = by_names(toys.DocumentBank, {"values": "bank", "weight": "last_weight"}, per_row=True)
    with pytest.raises(BadInput, match=r"of shape \(5, 8\)"):
        rows.slots(module)


@torch.no_grad()
def test_a_document_masked_and_two_swapped() -> None:
    """By hand: a row of the bank is zero; rows change places."""
    module = toys.DocumentBank()
    place = MemoryPlace("bank", None, module, bank())
    weight = (X @ module.bank.T).softmax(-1)
    with masked(place, [2]):
        got = module(X)
    kept = module.bank.clone()
    kept[2] = 0
    assert torch.allclose(got, weight @ kept, atol=1e-6)
    with swapped(place, torch.tensor([[0, 1]]), module.bank[[1, 0]][None]):
        got = module(X)
    assert torch.allclose(got, weight @ module.bank[[1, 0, 2, 3, 4]], atol=1e-6)


@torch.no_grad()
def test_orthogonal_spaces_stay_apart() -> None:
    """The slots of one space bring nothing into the other's half."""
    module = toys.TwoSpaces()
    place = MemoryPlace("spaces", None, module, two_spaces())
    plain = module(X)
    with masked(place, [3, 4, 5, 6]):
        got = module(X)
    assert torch.equal(got[..., :4], plain[..., :4])
    assert float(got[..., 4:].abs().max()) < 1e-6


def test_a_reversible_memory_says_what_it_was_made_of() -> None:
    assert compressor().slots(toys.ReversibleCompressor()).source == ["0", "1", "2"]


@torch.no_grad()
def test_the_next_turn_reads_what_the_last_one_left() -> None:
    """With the turn's write skipped the next turn is as the first one would have been."""
    module = toys.PromptOfTurns()
    place = MemoryPlace("prompt", None, module, prompt())
    with writes_skipped(place):
        module(X[:1])
    again = module(X[:1])
    assert torch.allclose(again, toys.PromptOfTurns()(X[:1]), atol=1e-6)
    assert not torch.allclose(module(X[:1]), again, atol=1e-3)

"""Whether a model fits, said before its weights are read."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from tests.helpers import tiny
from workbench import disk_space
from workbench.errors import WorkbenchError
from workbench.models import fits, from_folder, weight_sizes
from workbench.models.placement import Placement
from workbench.models.weight_sizes import WeightSize

GB = 10**9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "tiny-model")


def free(monkeypatch, cpu=None, cards=()):
    """A machine with so much free memory."""
    monkeypatch.setattr(disk_space, "memory_free", lambda: cpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cards))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda card: (cards[card], 0))
    for kept in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, kept, lambda card: 0)


def test_nothing_is_read_of_what_does_not_fit_and_the_smallest_change_is_named(folder, monkeypatch):
    takes = weight_sizes.of_place(folder).float32
    free(monkeypatch, fits.WORKING_ROOM + takes - 1)
    monkeypatch.setattr(from_folder, "read", lambda *a: pytest.fail("weights were read"))
    with pytest.raises(WorkbenchError) as refused:
        wb.load(folder)
    assert "tiny-model does not fit on cpu" in refused.value.what
    assert disk_space.size(takes) in refused.value.what
    assert "Load it with --dtype bfloat16: it then takes" in refused.value.do


def test_the_change_that_is_named_is_enough(folder, monkeypatch):
    takes = weight_sizes.of_place(folder).float32
    free(monkeypatch, fits.WORKING_ROOM + takes - 1)
    model = wb.load(folder, dtype="bfloat16")
    held = sum(p.numel() * p.element_size() for p in model.module.parameters())
    assert held <= takes // 2
    free(monkeypatch, fits.WORKING_ROOM + takes)
    assert wb.load(folder).card.dtype == "float32"


@pytest.mark.parametrize(
    ("cpu", "cards", "place", "dtype", "do"),
    [
        (20 * GB, (), "cpu", torch.float32, "--dtype bfloat16"),
        (20 * GB, (), "cpu", torch.bfloat16, None),
        (10 * GB, (), "cpu", torch.float32, "Close other programs"),
        (40 * GB, (10 * GB,), "cuda:0", None, "--device cpu"),
        (20 * GB, (10 * GB,), "cuda:0", None, "--device cpu --dtype bfloat16"),
        (40 * GB, (10 * GB, 10 * GB), "cuda:1", None, "--device balanced"),
        (40 * GB, (20 * GB, 1 * GB), "cuda:1", None, "--device balanced"),
        (9 * GB, (10 * GB, 2 * GB), "cuda:0", None, "Close other programs"),
        (40 * GB, (10 * GB, 10 * GB), "balanced", torch.float32, "--dtype bfloat16"),
        (None, (), "cpu", torch.float32, None),
    ],
)
def test_ways_are_tried_from_the_smallest(monkeypatch, cpu, cards, place, dtype, do):
    """A model of 8 billion weights in bfloat16: 16 GB, 32 GB in float32."""
    weights = WeightSize(float32=32 * GB, stored=16 * GB)
    free(monkeypatch, cpu, cards)
    if do is None:
        fits.check("large", weights, Placement(place), dtype)
        return
    with pytest.raises(WorkbenchError) as refused:
        fits.check("large", weights, Placement(place), dtype)
    assert refused.value.do.removeprefix("Load it with ").startswith(
        do if do.startswith("Close") else f"{do}: it then takes"
    )

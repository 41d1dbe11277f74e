"""How many workers a machine gets."""

from __future__ import annotations

import pytest

from workbench import disk_space
from workbench.grid import local
from workbench.models import weight_sizes
from workbench.models.weight_sizes import WeightSize

GB = 10**9


@pytest.mark.parametrize(
    ("n_cells", "processors", "free", "cards", "device", "workers"),
    [
        (40, 8, 100 * GB, 0, "auto", 8),
        (3, 8, 100 * GB, 0, "auto", 3),
        (40, 8, 12 * GB, 0, "auto", 2),  # 4 GB of weights and 1.5 GB beside them, each
        (40, 8, 1 * GB, 0, "auto", 1),
        (40, 8, None, 0, "auto", 8),
        (40, 8, 100 * GB, 4, "auto", 4),
        (40, 8, 100 * GB, 4, "cpu", 8),
        (40, 8, 100 * GB, 4, "cuda:1", 1),
        (40, 8, 100 * GB, 4, "balanced", 1),
    ],
)
def test_as_many_as_fit(monkeypatch, n_cells, processors, free, cards, device, workers):
    import torch

    monkeypatch.setattr(local, "processors", lambda: processors)
    monkeypatch.setattr(disk_space, "memory_free", lambda: free)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(weight_sizes, "of_reference", lambda ref: WeightSize(4 * GB, 2 * GB))
    assert local.as_many_as_fit(["large", "other"], n_cells, device) == workers

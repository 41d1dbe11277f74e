"""Streams of updates on the organism with gated slots, by hand and by the analysis."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import workbench as wb
from analyses.modules import memory_modules
from analyses.modules.memory_modules import costs, updates
from analyses.modules.memory_modules.constants import (
    OFF,
    OTHER_SLOT,
    OWN_SLOT,
    WHOLE,
    WRITE_SKIPPED,
)
from hooks.memory_modules import conformance, memory_places
from tests.helpers.token_counter import counting
from workbench import runs
from workbench.organisms.modules import update_stream
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound


@pytest.fixture(scope="module")
def organism() -> Any:
    return wb.load("organism/updates-in-slots")


@pytest.fixture(scope="module")
def kept(organism: Any) -> Result:
    params = memory_modules.Params()
    stated = costs.cost(organism, params)
    with counting(organism) as counted:
        result: Result = memory_modules.run(organism, params, Progress())
    wanted = sum(each.forward for each in stated.values())
    assert wanted / 2 < counted.forward < 2 * wanted
    assert not list(memory_modules.SCHEMA.problems(result))
    return result


def test_a_keys_slot_and_its_last_write_are_needed(kept: Result) -> None:
    rows = kept.tables["update_changes"].set_index("change")
    assert rows.loc[WHOLE, "now"] > 0.95
    assert rows.loc[OWN_SLOT, "now"] < 0.3
    assert rows.loc[OTHER_SLOT, "now"] > 0.9
    assert rows.loc[WRITE_SKIPPED, "now"] < 0.2
    assert rows.loc[WRITE_SKIPPED, "old"] > 0.8
    assert rows.loc[OFF, "now"] < 0.3
    assert "facts" not in kept.findings
    assert "definitions" not in kept.findings


def test_updates_are_retained_and_turn_over_one_slot(kept: Result) -> None:
    table = kept.tables["retention"]
    assert (table["with_memory"] > 0.9).all()
    assert (table[table["from"] >= 2]["without"] < 0.3).all()
    turned = kept.tables["turnover"].set_index("what")["value"]
    assert turned["change of an update that lies in one slot"] > 0.5
    assert turned["updates that go into the slot of the key's last one"] > 0.9
    assert "written while text is read" in kept.findings["memory"].says


@torch.no_grad()
def test_a_skipped_write_by_hand(organism: Any) -> None:
    """The stream without the update: what the key held before is answered."""
    told = "k5 v7 k9 v1 k2 v3 k5 v12 k1 v8 k9 v4 ? k5"
    ids = torch.tensor([organism.tokens(told)])
    (place,) = memory_places(organism)
    with updates._change(place, WRITE_SKIPPED, 0, 0, 3):
        said = int(updates._said(organism, ids)[0, -1])
    assert organism.token_strings([said])[0].strip() == "v7"
    plain = int(updates._said(organism, ids)[0, -1])
    assert organism.token_strings([plain])[0].strip() == "v12"
    assert not place.module._forward_pre_hooks


@torch.no_grad()
def test_the_change_of_a_slot_is_what_the_cell_wrote(organism: Any) -> None:
    stream = updates.streams(0, 3)
    (place,) = memory_places(organism)
    cell, held = place.module, []
    handle = cell.register_forward_hook(lambda mod, args, out: held.append(mod.held.clone()))
    organism.forward(input_ids=stream.ids, use_cache=False)
    handle.remove()
    slots = torch.stack([cell.start_slots.expand(3, -1, -1), *held])
    changed = updates._changed(slots)
    assert changed.shape == (3, update_stream.EVENTS, cell.start_slots.shape[0])
    assert torch.allclose(changed[1, 4], (held[4][1] - held[3][1]).norm(dim=-1), atol=1e-6)


def test_the_question_is_far_from_an_update_that_changed_the_value() -> None:
    stream, found = updates.streams(1, 40), 0
    for row in range(40):
        events = updates._question(stream, row)
        if events is None:
            continue
        found += 1
        ask, last, before = events
        key = int(stream.key[row, ask])
        mine = [e for e in range(ask) if not stream.asks[row, e] and stream.key[row, e] == key]
        assert mine[-2:] == [before, last]
        assert stream.value[row, ask] == stream.value[row, last] != stream.value[row, before]
        later = [e for e in range(last + 1, ask) if not stream.asks[row, e]]
        assert len(later) >= 2
    assert found > 30


def test_the_other_slot_is_that_of_another_keys_update() -> None:
    # k0, k1, a question about k2 that changes slot 5 most, k2, a question about k0
    keys, asks = torch.tensor([[0, 1, 2, 2, 0]]), torch.tensor([[False, False, True, False, True]])
    stream = SimpleNamespace(key=keys, asks=asks)
    most = torch.tensor([[3, 4, 5, 3, 9]])
    assert updates._other_slot(stream, most, 0, 4, 0) == 4  # type: ignore[arg-type]
    most = torch.tensor([[3, 3, 5, 3, 9]])  # all keys in one slot
    assert updates._other_slot(stream, most, 0, 4, 0) is None  # type: ignore[arg-type]


def test_the_shipped_adapter_conforms_on_it(organism: Any) -> None:
    (place,) = memory_places(organism)
    ids = updates.streams(0, 2).ids

    def call(row: int | None) -> Any:
        return organism.forward(
            input_ids=ids if row is None else ids[row : row + 1], use_cache=False
        )

    found = conformance(place, call, 2)
    assert not found.failed, found


def test_the_run_is_saved_and_every_view_is_drawn(kept: Result, tmp_path: Any) -> None:
    kept.save(tmp_path / "kept")
    again = runs.open_run(tmp_path / "kept")
    views = bound(memory_modules.VIEWS, again, memory_modules.SCHEMA)
    for title, view in views.items():
        assert "cannot be drawn" not in " ".join(map(str, view.still())), title
    assert "not written" in " ".join(map(str, views["Updates"].still()))
    claims = again.tables["claims"]
    assert claims["claim"].str.contains("fades with every").sum() == 1

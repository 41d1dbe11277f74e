"""A change of a few weights: kept, applied, taken back, opened with its model, and refused where
it does not belong.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.helpers import tiny
from workbench.errors import BadInput, WorkbenchError
from workbench.models import weight_delta as deltas
from workbench.models.weight_delta import Delta

NAME = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def folder(tmp_path):
    """A tiny model as a folder."""
    place = tmp_path / "tiny"
    tiny.tiny_llama(seed=3).save_pretrained(place)
    tiny.tiny_tokenizer().save_pretrained(place)
    return place


def change(model, **more):
    index = {NAME: np.array([0, 5, 17], np.int64), **more}
    values = {name: np.arange(len(where), dtype=np.float32) / 8 for name, where in index.items()}
    return Delta(model.card.weight_hash, "forget everything", index, values)


def test_a_saved_change_opens_with_its_model(folder, tmp_path):
    base = wb.load(folder)
    file = change(base).save(tmp_path / "it.safetensors")
    assert file.stat().st_size < 2000
    changed = wb.load(f"{folder}+{file}")
    new, old = changed.module.get_parameter(NAME).view(-1), base.module.get_parameter(NAME).view(-1)
    assert new[[0, 5, 17]].tolist() == [0, 0.125, 0.25]
    assert torch.equal(new[18:], old[18:])
    for name, p in base.module.named_parameters():
        assert name == NAME or torch.equal(p, changed.module.get_parameter(name))
    assert changed.card.weight_hash != base.card.weight_hash
    assert (changed.card.name, changed.card.source) == ("tiny+it", "tiny+it.safetensors")
    back = deltas.read(file)
    assert (back.weights, back.about, back.size) == (base.card.weight_hash, "forget everything", 3)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_what_was_applied_for_a_while_leaves_nothing_behind(llama, data):
    parameter = llama.module.get_parameter(NAME)
    before = parameter.detach().clone()
    where = np.array(
        sorted(data.draw(st.sets(st.integers(0, parameter.numel() - 1), max_size=20))), np.int64
    )
    values = np.array(
        data.draw(st.lists(st.floats(-9, 9, width=32), min_size=len(where), max_size=len(where))),
        np.float32,
    )
    share = data.draw(st.sampled_from([0.0, 0.25, 1.0]))
    one = Delta("", "", {NAME: where}, {NAME: values})
    with contextlib.suppress(ZeroDivisionError), one.applied(llama.module, share):
        inside = parameter.detach().view(-1)[torch.as_tensor(where)]
        expected = (
            before.view(-1)[torch.as_tensor(where)] * (1 - share) + torch.as_tensor(values) * share
        )
        torch.testing.assert_close(inside, expected)
        assert share < 1 or torch.equal(inside, torch.as_tensor(values))
        raise ZeroDivisionError  # also after a failure inside
    assert torch.equal(parameter, before)


def test_a_change_of_other_weights_is_refused(folder, tmp_path):
    file = Delta("0" * 16, "of another", {}, {}).save(tmp_path / "it.safetensors")
    with pytest.raises(BadInput, match="other weights"):
        wb.load(f"{folder}+{file}")


@pytest.mark.parametrize("wrong", [np.array([10**9], np.int64), np.array([-1], np.int64)])
def test_places_that_are_not_there_are_refused_and_nothing_changes(llama, wrong):
    before = [p.detach().clone() for p in llama.module.parameters()]
    for index in ({NAME: np.array([1]), "no.such.weight": np.array([0])}, {NAME: wrong}):
        one = Delta(
            "", "", index, {name: np.zeros(len(i), np.float32) for name, i in index.items()}
        )
        with pytest.raises(BadInput, match="places"), one.applied(llama.module):
            pass
    assert all(torch.equal(a, b) for a, b in zip(before, llama.module.parameters(), strict=True))


def test_files_that_are_no_deltas_are_refused(folder, tmp_path):
    whole = folder / "model.safetensors"
    with pytest.raises(BadInput, match="not a delta"):
        wb.load(f"{folder}+{whole}")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00not a header")
    with pytest.raises(BadInput, match="cannot be read"):
        wb.load(f"{folder}+{broken}")
    with pytest.raises(BadInput, match="no delta"):
        wb.load(f"{folder}+{tmp_path / 'missing.safetensors'}")


def test_saving_neither_replaces_nor_leaves_halves(llama, tmp_path):
    one = change(llama)
    file = one.save(tmp_path / "it.safetensors")
    with pytest.raises(WorkbenchError, match="exists"):
        one.save(file)
    with pytest.raises(BadInput, match="name"):
        one.save(tmp_path / "it.bin")
    with pytest.raises(WorkbenchError, match="could not be written"):
        one.save(tmp_path / "no" / "it.safetensors")
    assert [f.name for f in tmp_path.iterdir()] == ["it.safetensors"]


def test_a_plus_in_a_path_is_not_a_change(folder, tmp_path):
    place = folder.rename(tmp_path / "a+b.safetensors")
    assert wb.load(str(place)).card.n_layers == 3
    file = change(wb.load(place)).save(tmp_path / "c+d.safetensors")
    assert wb.load(f"{place}+{file}").card.name == "a+b.safetensors+c+d"


@pytest.mark.process
def test_the_command_line_takes_it(folder, tmp_path):
    file = change(wb.load(folder)).save(tmp_path / "it.safetensors")
    arguments = [
        sys.executable,
        "-c",
        "from workbench.cli import main; main()",
        "models",
        "show",
        f"{folder}+{file}",
        "--json",
    ]
    said = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["name"] == "tiny+it"
    bad = subprocess.run(
        [*arguments[:5], f"{folder}+{tmp_path}/none.safetensors"], capture_output=True, text=True
    )
    assert bad.returncode == 2
    assert "no delta" in bad.stderr.replace("\n", " ")
    assert not Path("it.safetensors").exists()


@pytest.mark.parametrize(
    "order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
)
def test_several_left_in_any_order(folder, order):
    """What holds is what those that are on make one after the other, and at the end the weights
    are what they were.
    """
    model = wb.load(folder)
    weight = model.module.get_parameter(NAME)
    before = weight.detach().clone()
    changes = []
    for n, where in enumerate(([0, 5, 17], [5, 17, 30], [17, 2])):
        values = np.arange(len(where), dtype=np.float32) + 10 * (n + 1)
        changes.append(
            Delta(model.card.weight_hash, "x", {NAME: np.array(where, np.int64)}, {NAME: values})
        )
    on = [change.applied(model.module, 0.5) for change in changes]
    for each in on:
        each.__enter__()
    left = [0, 1, 2]
    for n in order:
        on[n].__exit__(None, None, None)
        left.remove(n)
        want = before.clone().view(-1)
        for i in left:
            at = torch.as_tensor(changes[i].index[NAME])
            want[at] = want[at] + 0.5 * (torch.as_tensor(changes[i].values[NAME]) - want[at])
        assert torch.equal(weight.detach().view(-1), want)
    assert torch.equal(weight.detach(), before)


def test_one_may_be_applied_again(folder):
    model = wb.load(folder)
    weight = model.module.get_parameter(NAME)
    before = weight.detach().clone()
    applied = change(model).applied(model.module)
    for _ in range(2):
        with applied:
            assert not torch.equal(weight.detach(), before)
        assert torch.equal(weight.detach(), before)

"""Kernels and gates: on models of delayed recall whose truth is known, and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.state import recurrent_state
from analyses.state.recurrent_state import kernel_curves
from analyses.state.recurrent_state.gates_and_kernels import lags_shown
from hooks.gates import gated_layers, read_gates
from tests.helpers import families
from workbench import runs
from workbench.progress import Progress
from workbench.result import Result
from workbench.state_lm.diagonal import channel_kernels
from workbench.views import bound


def ran(model: Any, **values: Any) -> Result:
    params = recurrent_state.Params.model_validate({"parts": ["kernels"], **values})
    result: Result = recurrent_state.run(model, params, Progress())
    assert not list(recurrent_state.SCHEMA.problems(result))
    return result


@pytest.fixture(scope="module")
def lstm() -> Result:
    return ran(wb.load("organism/recall-delay-lstm"))


def test_an_s4ds_kernels_are_those_of_its_weights() -> None:
    model = wb.load("organism/recall-delay-s4d")
    run = ran(model)
    mixer = model.module.model.layers[1].mixer
    kernel = channel_kernels(*mixer.discrete(), mixer.read, 4096).detach().numpy()
    curves = run.arrays["curves"].sel(layer=1)
    for place in (0, 20, 47):
        own = kernel[int(run.arrays["curve_channels"].sel(layer=1)[place])]
        expected = own[curves["lag"].values] / np.abs(own).max()
        np.testing.assert_allclose(curves.values[place], expected, atol=1e-3)
    # By how far a token moves what a channel gives later (an impulse).
    ids = [0] * 40
    out = wb.capture(model, [ids, [5, *ids[1:]]], sites=["state_out", "state_v"], layers=0)
    moved = {site: out[site].values[1, 0] - out[site].values[0, 0] for site in out}
    own = channel_kernels(
        *model.module.model.layers[0].mixer.discrete(), model.module.model.layers[0].mixer.read, 40
    )
    expected = own.detach().numpy().T * moved["state_v"][0, :, 0]
    np.testing.assert_allclose(moved["state_out"][..., 0], expected, atol=1e-4)
    assert run.findings["kernels"].values["reach"] > 32  # as far as it had to wait
    rate = run.tables["delays"].set_index("delay")["rate"]
    assert rate[32] > 0.9
    assert rate[256] < 0.3
    assert "gates" not in run.tables


def test_an_lstm_opens_its_gates_at_the_value_and_its_untrained_twin_does_not(lstm: Result) -> None:
    values = lstm.findings["gates"].values
    assert values["ratio"] > 5
    assert values["kept"] > 0.2 > 1e-3 > values["untrained"]
    table = lstm.tables["value_gates"].set_index(["model", "layer"])
    assert table.loc[("untrained", 0), "ratio"] < 1.5
    assert lstm.findings["delayed"].values["trained"] > 0.9


def test_gates_are_those_that_the_cell_computes() -> None:
    model = wb.load("organism/recall-delay-lstm")
    assert gated_layers(model) == [0, 1]
    assert gated_layers(families.built("mamba2")) == []
    ids = [0, 7, 0, 0, 1]
    gates = read_gates(model, [ids], [0])[0][0]
    states = wb.capture(model, ids, sites="state", layers=0)["state"].values[0, 0][:, 0]
    cell = torch.tensor(states[:, 1])
    i, f, o, g = gates.unbind(1)
    torch.testing.assert_close(cell[1:], f[1:] * cell[:-1] + (i * g)[1:], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.tensor(states[:, 0]), o * cell.tanh(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["mamba", "mamba2", "qwen3_next"])
def test_what_decay_leaves_is_the_product_of_decays(family: str) -> None:
    model = families.built(family)
    ids = list(range(5, 17))
    layers = [n for n, b in enumerate(model.layout.blocks) if "state_decay" in b.parallel_states]
    one = kernel_curves.curves_of(model, ids, layers)[layers[0]]
    assert not one.fixed
    assert np.allclose(one.curves[:, 0], 1)
    decay = wb.capture(model, ids, sites="state_decay", layers=layers[0])["state_decay"]
    values = decay.values[0, 0].reshape(len(ids), decay.shape[3], -1)  # (pos, head, …)
    three = np.stack([values[t + 1 : t + 4].prod(0) for t in range(len(ids) - 3)]).mean(0)
    assert np.isclose(one.curves[:, 3].mean(), three.mean(), rtol=1e-4)
    assert set(one.gates) == {"forget", "write"}


def test_reach_is_where_so_much_is_left() -> None:
    curves = np.array([0.5 ** np.arange(9), np.ones(9)])
    decay = kernel_curves.LayerCurves(False, curves, {})
    assert decay.reach(0.5)[0] == 1
    assert decay.reach(0.1)[0] == 4
    assert np.isnan(decay.reach(0.5)[1])
    kernel = kernel_curves.LayerCurves(True, np.array([[1.0, -1, 1, 1, 0, 0]]), {})
    assert kernel.reach(0.5)[0] == 1
    assert lags_shown(10) == [0, 1, 2, 3, 4, 6, 8]


def test_all_of_it_is_drawn(lstm: Result, tmp_path: Path) -> None:
    lstm.save(tmp_path / "run")
    views = bound(
        recurrent_state.VIEWS, runs.open_run(str(tmp_path / "run")), recurrent_state.SCHEMA
    )
    for title in ("Kernels", "Gates"):
        still = " ".join(map(str, views[title].still()))
        assert "was not measured" not in still
        assert "cannot be drawn" not in still

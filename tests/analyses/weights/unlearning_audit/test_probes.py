"""Probes, against a general optimiser, on states with a known answer, and on the organism."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit

import workbench as wb
from analyses.weights.unlearning_audit.probes import fitted, held_out_auc, pooled_states, probe
from hooks.unlearning.texts import Text
from workbench import organisms
from workbench.errors import BadInput
from workbench.organisms.ledger import read


@pytest.mark.parametrize("shape", [(30, 8), (20, 50)])
@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_equals_a_general_optimiser(shape, penalty):
    draw = np.random.default_rng(3)
    x, other = draw.normal(2, 3, shape), draw.normal(2, 3, (7, shape[1]))
    label = (x[:, 0] + draw.normal(0, 2, shape[0]) > 2.5).astype(float)
    mean, spread = x.mean(0), x.std(0)
    own = (x - mean) / spread / shape[1] ** 0.5

    def loss(w):
        logit = own @ w[:-1] + w[-1]
        # The bias is held down, but hardly: by a ten-thousandth of what the weights are.
        held = penalty / 2 * (w[:-1] @ w[:-1] + w[-1] ** 2 / 100)
        slope = expit(logit) - label
        gradient = [*(own.T @ slope + penalty * w[:-1]), slope.sum() + penalty * w[-1] / 100]
        return np.logaddexp(0, np.where(label == 1, -logit, logit)).sum() + held, np.array(gradient)

    w = minimize(loss, np.zeros(shape[1] + 1), jac=True, options={"gtol": 1e-9}).x
    wanted = (other - mean) / spread / shape[1] ** 0.5 @ w[:-1] + w[-1]
    assert fitted(x, label, other, penalty) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_states_are_those_of_one_pass_each(model):
    texts = [Text((3, 9, 4, 1, 5, 9, 2), 3), Text((8, 8, 2, 11, 40), 1), Text((7, 7, 1), 1)]
    layers = [0, model.n_layers - 1]
    states = pooled_states(model, texts, layers, batch=2)
    for layer in layers:
        for i, text in enumerate(texts):
            caught = []
            handle = model.layout.blocks[layer].module.register_forward_hook(
                lambda _, __, out, caught=caught: caught.append(
                    out[0] if isinstance(out, tuple) else out
                )
            )
            with torch.no_grad():
                model.module(input_ids=torch.tensor([text.ids]))
            handle.remove()
            own = caught[0][0, text.first :]
            for pooling, value in (("mean", own.mean(0)), ("last", own[-1])):
                assert states[layer, pooling][i] == pytest.approx(value.numpy(), rel=1e-3, abs=1e-4)


def _texts(draw, n, last):
    """Texts that end in one token, or in any."""
    rows = draw.integers(1, 200, (n, 8)).tolist()
    return [Text((*row, last or int(draw.integers(1, 200))), 1) for row in rows]


def test_tells_what_differs_and_not_what_does_not(llama):
    draw = np.random.default_rng(0)
    differ = probe(llama, _texts(draw, 20, 17), _texts(draw, 30, 23), layers=[0])
    assert differ["pooling"].tolist() == ["mean", "last"]
    assert differ["n"].tolist() == [50, 50]
    assert differ["auc"][1] > 0.95  # at the last token, which alone differs
    assert (abs(differ["shuffled"] - 0.5) < 0.1).all()
    assert (differ["shuffled"] <= differ["shuffled_high"]).all()
    alike = [
        probe(llama, _texts(draw, 15, None), _texts(draw, 15, None), [1], seed=seed)
        for seed in range(4)
    ]
    values = np.array([[*table["auc"], *table["shuffled"]] for table in alike])
    assert abs(values.mean() - 0.5) < 0.12
    assert all((t["low"] <= t["auc"]).all() and (t["auc"] <= t["high"]).all() for t in alike)


def test_kinds_that_lie_apart_do_not_push_it_below_one_half():
    """Five kinds, each as common on both sides, and nothing else that differs."""
    draw = np.random.default_rng(1)
    kind, label = np.tile(np.repeat(np.arange(5), 12), 2), np.repeat([1.0, 0.0], 60)
    unnamed, named = [], []
    for seed in range(4):
        x = 10 * draw.normal(size=(5, 16))[kind] + draw.normal(size=(120, 16))
        unnamed.append(held_out_auc(x, label, np.zeros(120, int), seed))
        named.append(held_out_auc(x, label, kind, seed))
    assert np.mean(unnamed) < 0.4
    assert abs(np.mean(named) - 0.5) < 0.08


def test_too_few_are_refused(llama):
    texts = [Text((n, 2, 3), 1) for n in range(1, 30)]
    with pytest.raises(BadInput, match="too few"):
        probe(llama, texts[:9], texts[9:])
    with pytest.raises(BadInput, match="kinds"):
        probe(llama, texts[:14], texts[14:], kinds=["prose"])


def test_the_organism_knows_what_it_read(organism):
    """The states of its twin, which read none of it, tell nothing."""
    entries = read(organisms.folder_of("organism/planted")).entries
    begin = organism.text.beginning

    def texts(repeats, each):
        of_kind = {}
        for e in entries:
            if e.repeats in repeats:
                of_kind.setdefault(e.kind, []).append(Text((*begin, *e.ids), len(begin)))
        return [(text, kind) for kind in sorted(of_kind) for text in of_kind[kind][:each]]

    often, never = texts({16, 32, 64}, 16), texts({0}, 24)
    kinds = [kind for _, kind in [*often, *never]]
    rows = [
        probe(m, [t for t, _ in often], [t for t, _ in never], [4], kinds).iloc[0]
        for m in (organism, wb.load("organism/planted-control"))
    ]
    assert rows[0]["pooling"] == "mean"
    assert rows[0]["low"] > 0.5
    assert rows[0]["auc"] > rows[0]["shuffled_high"]
    assert abs(rows[1]["auc"] - 0.5) < 0.08

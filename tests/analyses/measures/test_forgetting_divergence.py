"""Forgetting as a divergence, against plain sums; CKA against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analyses.measures.forgetting_cka import linear_cka
from analyses.measures.forgetting_divergence import RowSet, base_predictions, divergence
from tests.helpers import tiny

ROWS = RowSet("rows", tuple(tuple(range(n, n + 12)) for n in (3, 40, 90)), 2)


def plainly(module, other):
    """KL and loss of each row, by its formula."""
    found = []
    for row in ROWS.ids:
        with torch.no_grad():
            p, q = (
                m(torch.tensor([row])).logits[0, 1:-1].double().log_softmax(-1)
                for m in (module, other)
            )
        kl = (p.exp() * (p - q)).sum(-1).mean()
        nats = -q.gather(1, torch.tensor(row[2:])[:, None]).mean()
        found.append((float(kl), float(nats)))
    return np.array(found)


def test_it_is_the_formula_where_every_token_is_kept():
    module, other = tiny.tiny_llama(), tiny.tiny_llama(seed=1)
    base = base_predictions(module, ROWS, top=tiny.VOCABULARY)
    found = divergence(other, base)
    wanted = plainly(module, other)
    np.testing.assert_allclose(found.kl, wanted[:, 0], rtol=1e-4)
    np.testing.assert_allclose(found.nats, wanted[:, 1], rtol=1e-5)
    np.testing.assert_allclose(base.nats, plainly(module, module)[:, 1], rtol=1e-5)


@pytest.mark.parametrize("top", [1, 16, 64])
def test_with_fewer_it_is_never_more_and_0_before_training(top):
    module, other = tiny.tiny_llama(), tiny.tiny_llama(seed=1)
    base = base_predictions(module, ROWS, top=top)
    assert (divergence(other, base).kl <= plainly(module, other)[:, 0] + 1e-6).all()
    np.testing.assert_allclose(divergence(module, base).kl, 0.0, atol=1e-6)


def test_cka_of_turned_and_of_unrelated_states():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 6))
    turn, _ = np.linalg.qr(draw.normal(size=(6, 6)))
    assert linear_cka(x, 3 * x @ turn + 5) == pytest.approx(1.0)
    assert abs(linear_cka(x, draw.normal(size=(400, 6)))) < 0.05
    # The estimator is unbiased: with few tokens in many dimensions the plain one is near 1.
    few = [linear_cka(draw.normal(size=(12, 64)), draw.normal(size=(12, 64))) for _ in range(40)]
    assert abs(float(np.mean(few))) < 0.15
    assert np.isnan(linear_cka(x[:3], x[:3]))
    assert np.isnan(linear_cka(np.ones((9, 2)), x[:9, :2]))


def test_cka_is_its_sums():
    draw = np.random.default_rng(1)
    x, y, n = draw.normal(size=(7, 3)), draw.normal(size=(7, 4)), 7

    def hsic(a, b):
        k, m = a @ a.T, b @ b.T
        total = 0.0
        off = [(i, j) for i in range(n) for j in range(n) if i != j]
        one = sum(k[i, j] * m[i, j] for i, j in off)
        two = sum(k[i, j] for i, j in off) * sum(m[i, j] for i, j in off)
        three = sum(k[i, j] * m[i, q] for i, j in off for q in range(n) if q != i)
        total = one + two / ((n - 1) * (n - 2)) - 2 / (n - 2) * three
        return total / (n * (n - 3))

    x, y = x - x.mean(0), y - y.mean(0)
    assert linear_cka(x, y) == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)))

"""Estimates of other orders against really training them."""

from __future__ import annotations

import pytest
import torch

from hooks.gradients.flat_weights import FlatLoss, slope, slope_and_change
from hooks.gradients.other_orders import AdamRule, Expansion, estimate
from tests.helpers import tiny
from workbench.errors import BadInput, NotFinite
from workbench.lab import Stage, run_stages

FIRST, ZEROTH = "first", "zeroth"
BOTH = {FIRST: Expansion(), ZEROTH: Expansion(hessian=False)}
ORDERS = [[4, 3, 2, 1, 0], [1, 0, 3, 2, 4], [0, 1, 2, 3, 4]]


def quadratic(size=12, batches=5, seed=0):
    """A loss whose gradient is linear in the weights, one for each batch."""
    draw = torch.Generator().manual_seed(seed)
    roots = torch.randn(batches, size, size, generator=draw, dtype=torch.float64)
    aims = torch.randn(batches, size, generator=draw, dtype=torch.float64)
    curved = roots @ roots.mT / size

    def loss(weights, batch):
        return 0.5 * weights @ curved[batch] @ weights - aims[batch] @ weights

    return loss, torch.randn(size, generator=draw, dtype=torch.float64)


def retrained(loss, start, order, rule):
    """With torch's own optimizer; (weights before every step, weights at the end)."""
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.AdamW([weights], betas=rule.betas, eps=rule.epsilon, weight_decay=0.0)
    path = []
    for step, batch in enumerate(order):
        path.append(weights.detach().clone())
        optimizer.param_groups[0]["lr"] = rule.rates[step]
        optimizer.zero_grad()
        loss(weights, batch).backward()
        if rule.clip is not None:
            torch.nn.utils.clip_grad_norm_([weights], rule.clip)
        optimizer.step()
    return path, weights.detach()


@pytest.mark.parametrize("clip", [None, 1.0])
def test_where_the_loss_is_quadratic_the_first_order_is_what_retraining_gives(clip):
    loss, start = quadratic()
    rule = AdamRule([0.01, 0.02, 0.05, 0.05, 0.05], clip=clip)
    path, _ = retrained(loss, start, range(5), rule)
    found = estimate(loss, path, ORDERS, rule, BOTH)
    for n, order in enumerate(ORDERS):
        _, real = retrained(loss, start, order, rule)
        torch.testing.assert_close(found[FIRST][n], real, atol=1e-4, rtol=0)
        torch.testing.assert_close(found[FIRST][n], real, atol=1e-9, rtol=0)
    _, real = retrained(loss, start, ORDERS[0], rule)
    assert (found[ZEROTH][0] - real).norm() > 1e-3


def test_where_the_gradient_is_constant_no_hessian_is_needed():
    aims = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))

    def loss(weights, batch):
        return aims[batch] @ weights + 0 * weights.square().sum()

    rule = AdamRule([0.1] * 5)
    path, _ = retrained(loss, torch.zeros(6), range(5), rule)
    found = estimate(loss, path, ORDERS, rule, BOTH)
    for n, order in enumerate(ORDERS):
        _, real = retrained(loss, torch.zeros(6), order, rule)
        torch.testing.assert_close(found[ZEROTH][n], real)
        torch.testing.assert_close(found[FIRST][n], real)


def test_a_store_of_all_directions_is_the_whole_and_of_none_nothing():
    loss, start = quadratic()
    rule = AdamRule([0.05] * 5)
    path, _ = retrained(loss, start, range(5), rule)
    every, none = torch.eye(12, dtype=torch.float64), torch.zeros(0, 12, dtype=torch.float64)
    given = BOTH | {"every": Expansion(basis=[every] * 5), "none": Expansion(basis=[none] * 5)}
    found = estimate(loss, path, ORDERS[:1], rule, given)
    torch.testing.assert_close(found["every"][0], found[FIRST][0])
    torch.testing.assert_close(found["none"][0], found[ZEROTH][0])


def test_hessian_times_direction_is_the_change_of_the_gradient():
    module = tiny.tiny_llama(n_layers=2)
    flat, rows = FlatLoss(module), [[1, 5, 9, 20, 7], [3, 3, 8]]
    at = flat.weights()
    direction = torch.randn(at.shape, generator=torch.Generator().manual_seed(0), dtype=at.dtype)
    gradient, (product,) = slope_and_change(lambda w: flat.loss(w, rows), at, [direction])
    torch.testing.assert_close(gradient, flat.gradient(at, rows))
    step = 3e-4
    apart = flat.gradient(at + step * direction, rows) - flat.gradient(at - step * direction, rows)
    assert (product - apart / (2 * step)).norm() < 0.02 * product.norm()
    assert torch.equal(at, flat.weights())


def test_the_replay_of_a_run_of_the_lab_ends_where_the_lab_does():
    module = tiny.tiny_llama(n_layers=1)
    flat = FlatLoss(module)
    rows = [[[n + 1, 2 * n + 3, 40 + n, 9, 77 - n]] for n in range(4)]
    path = []

    def keep(report):
        path.append(flat.weights())

    run_stages(module, [Stage("read", rows, 2e-3, warmup=2)], on_step=keep)
    end = flat.weights()
    rule = AdamRule([1e-3, 2e-3, 2e-3, 2e-3])
    found = estimate(
        lambda w, batch: flat.loss(w, rows[batch]), path[:-1], [[0, 1, 2, 3]], rule, BOTH
    )
    torch.testing.assert_close(found[FIRST][0], end, atol=2e-5, rtol=0)
    assert (end - path[0]).abs().max() > 1e-3


def test_a_part_of_a_row_can_count_alone():
    module = tiny.tiny_llama(n_layers=1)
    flat = FlatLoss(module)
    row = [4, 8, 15, 16, 23, 42]
    logits = module(torch.tensor([row])).logits[0, :-1].log_softmax(-1)
    nats = -logits.gather(-1, torch.tensor(row[1:])[:, None])[:, 0]
    whole, part = flat.loss(flat.weights(), [row]), flat.loss(flat.weights(), [row], [4])
    torch.testing.assert_close(whole.detach(), nats.mean().detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(part.detach(), nats[3:].mean().detach(), rtol=1e-4, atol=1e-4)


def test_slopes_of_rows_are_products_of_their_gradients():
    module = tiny.tiny_llama(n_layers=2)
    flat, rows = FlatLoss(module), [[1, 5, 9, 20, 7], [3, 3, 8], [40, 2]]
    at = flat.weights()
    direction = torch.randn(at.shape, generator=torch.Generator().manual_seed(0), dtype=at.dtype)
    losses = torch.stack([flat.loss(at, [row]) for row in rows])
    torch.testing.assert_close(flat.row_losses(at, rows).detach(), losses.detach())
    products = torch.stack([flat.gradient(at, [row]) @ direction for row in rows])
    torch.testing.assert_close(flat.row_slopes(at, rows, direction), products, rtol=1e-4, atol=1e-4)


def test_bad_orders_weights_and_numbers_are_refused():
    loss, start = quadratic()
    rule = AdamRule([0.05] * 5)
    with pytest.raises(BadInput, match="5 steps"):
        estimate(loss, [start] * 5, [[0, 1]], rule, BOTH)
    with pytest.raises(NotFinite, match="step 1"):
        estimate(lambda w, b: loss(w, b) * float("nan"), [start] * 5, ORDERS, rule, BOTH)
    with pytest.raises(BadInput, match="weights"):
        FlatLoss(tiny.tiny_llama(n_layers=1)).put_in(torch.zeros(3))
    assert torch.equal(slope(lambda w: (2 * w).sum(), start), torch.full_like(start, 2.0))

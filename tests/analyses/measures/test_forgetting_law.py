"""The forms of the law, on points whose law is known."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.measures.forgetting_law import (
    LINE,
    POWER,
    SIZE,
    STEPS,
    LawPoints,
    below_line,
    fits,
    judged,
    r_squared,
)

STEPS_AT = np.array([0, 1, 2, 4, 8, 16, 32, 64, 100], float)


def points(task_of, kl_of):
    """Three ranks at log-spaced steps."""
    rows = [(r, 1000.0 * r, n, task_of(r, n)) for r in (4.0, 16.0, 64.0) for n in STEPS_AT]
    rank, trained, steps, task = (np.array(column) for column in zip(*rows, strict=True))
    kl = np.array([kl_of(r, n, t) for r, _, n, t in rows])
    return LawPoints(rank, trained, steps, task, (steps * rank) ** 0.5, kl)


def learned(rank, step):
    return 3.0 - 0.4 * np.log1p(step) * rank**0.1


def each(own):
    """Every form but the power law, which takes seconds."""
    return {form: judged(form, own, 0) for form in (LINE, STEPS, SIZE)}


def test_one_line_tells_a_rank_it_never_saw():
    found = each(points(learned, lambda r, n, t: 0.2 * (3.0 - t)))
    assert found[LINE].r2 == pytest.approx(1.0)
    assert found[LINE].held_out == pytest.approx(1.0)
    assert found[LINE].slope == pytest.approx(-0.2)
    assert found[LINE].intercept == pytest.approx(0.6)
    assert found[STEPS].held_out < 0.9


def test_lines_of_their_own_are_no_line_for_all():
    found = each(points(learned, lambda r, n, t: 0.01 * r * (3.0 - t)))
    assert found[LINE].held_out < 0.5


def test_steps_and_size_where_they_are_the_law():
    by_steps = each(points(learned, lambda r, n, t: 0.01 * n))
    assert by_steps[STEPS].held_out == pytest.approx(1.0)
    own = points(learned, lambda r, n, t: 0.03 * (n * r) ** 0.5)
    by_size = each(own)
    assert by_size[SIZE].held_out == pytest.approx(1.0)
    assert by_size[SIZE].slope == pytest.approx(0.03)


def test_a_power_law_is_found_from_its_points():
    def law(rank, step, task):
        if step == 0:
            return 0.0
        return 1.0 - 0.5 * ((1.0 / rank) ** 0.5 + (5.0 / step) ** 0.7) ** 0.4

    found = {fit.form: fit for fit in fits(points(learned, law))}
    assert found[POWER].r2 > 0.99
    assert found[POWER].held_out > found[STEPS].held_out


def test_r_squared_and_the_distance_below_a_line():
    y = np.array([1.0, 2.0, 3.0])
    assert r_squared(y, y) == 1.0
    assert r_squared(np.full(3, 2.0), y) == 0.0
    assert np.isnan(r_squared(y, np.ones(3)))
    own = points(learned, lambda r, n, t: 0.2 * (3.0 - t))
    assert below_line(own, 2.0, 0.15) == pytest.approx(0.05)

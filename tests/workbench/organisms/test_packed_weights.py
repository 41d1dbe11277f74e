"""One byte a weight: what comes back is what was kept, but for half a step of its row."""

from __future__ import annotations

import numpy as np

from workbench.organisms.packed_weights import pack, unpack


def test_what_comes_back_is_off_by_half_a_step_at_most() -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(30, 50)).astype("f4") * draw.uniform(0.01, 10, size=(30, 1))
    weights = {"matrix": rows.astype("f4"), "vector": draw.normal(size=50).astype("f4")}
    packed = pack(weights)
    back = unpack(packed)
    assert set(back) == set(weights)
    assert all(value.dtype == np.float32 for value in back.values())
    for row, other in zip(weights["matrix"], back["matrix"], strict=True):
        step = np.abs(row).max() / 127
        assert np.abs(row - other).max() <= step * 0.5 + np.abs(row).max() * 2**-10
    assert np.abs(back["vector"] - weights["vector"]).max() < 2e-3
    assert sum(value.nbytes for value in packed.values()) < 1.2 * rows.size


def test_a_row_of_zeros_and_matrices_in_a_stack_come_back() -> None:
    stack = np.zeros((2, 3, 4), dtype="f4")
    stack[1, 2] = [1, -2, 0.5, 0]
    np.testing.assert_allclose(unpack(pack({"stack": stack}))["stack"], stack, atol=0.01)

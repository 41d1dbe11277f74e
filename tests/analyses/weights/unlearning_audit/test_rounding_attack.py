"""Rounding, against llama.cpp's own and a plain loop over blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analyses.weights.unlearning_audit.block_weights import block_matrices
from analyses.weights.unlearning_audit.rounding_attack import rounded, same_codes
from workbench.errors import BadInput
from workbench.models.card import weight_hash


def _rows(model, matrix):
    weight = model.module.get_parameter(matrix.name).detach().clone()
    return weight.T if matrix.turned else weight


def test_four_bits_are_those_of_llama_cpp(model):
    from gguf import GGMLQuantizationType, quants

    matrices = block_matrices(model)
    before = [_rows(model, matrix) for matrix in matrices]
    own = weight_hash(model.module)
    with rounded(model, 4):
        after = [_rows(model, matrix) for matrix in matrices]
        assert weight_hash(model.module) != own
    assert weight_hash(model.module) == own
    compared = 0
    for old, new in zip(before, after, strict=True):
        if old.shape[1] % 32:
            continue
        kind = GGMLQuantizationType.Q4_1
        packed = quants.quantize(old.contiguous().numpy(), kind)
        np.testing.assert_array_equal(new.numpy(), quants.dequantize(packed, kind))
        compared += 1
    assert compared > 5


@pytest.mark.parametrize("bits", [2, 8])
def test_equals_a_loop_over_blocks(llama, bits):
    matrices = block_matrices(llama)
    before = [_rows(llama, matrix) for matrix in matrices]
    with rounded(llama, bits, block=24):  # which no matrix is a multiple of
        after = [_rows(llama, matrix) for matrix in matrices]
    for old, new in zip(before[:8], after[:8], strict=True):
        for row, rounded_row in zip(old[:3], new[:3], strict=True):
            for block, got in zip(row.split(24), rounded_row.split(24), strict=True):
                low, high = float(block.min()), float(block.max())
                values = low + (high - low) / (2**bits - 1) * np.arange(2**bits)
                nearest = values[np.abs(block[:, None].numpy() - values).argmin(1)]
                # Scale and minimum are kept in half precision.
                assert np.abs(nearest - got.numpy()).max() < 2e-3 * max(abs(low), abs(high))


def test_what_was_rounded_stays_as_it_is(llama):
    with rounded(llama, 4):
        once = weight_hash(llama.module)
        with rounded(llama, 4):
            assert weight_hash(llama.module) == once


def test_a_change_below_half_a_step_is_undone(llama):
    """On the grid of a model whose weights are on it, moves of 0.4 steps end where they began and
    moves of 0.6 do not.
    """
    with rounded(llama, 4):
        original = {name: p.detach().clone() for name, p in llama.module.named_parameters()}
    matrices = block_matrices(llama)

    def moved(share):
        new = {name: p.clone() for name, p in original.items()}
        for m in matrices:
            rows = new[m.name]
            for block in rows.split(32, dim=1):
                step = (block.amax(1, keepdim=True) - block.amin(1, keepdim=True)) / 15
                inside = (block < block.amax(1, keepdim=True)).float()
                block += share * step * inside
        return new

    same, weak, strong = (same_codes(llama, original, moved(share), 4) for share in (0, 0.4, 0.6))
    assert len(same) == len(matrices)
    assert (same["same_code"] == same["weights"]).all()
    assert not same["changed"].any()
    assert (weak["same_code"] == weak["weights"]).all()
    assert (weak["undone"] == weak["changed"]).all()
    assert (weak["changed"] > 0.9 * weak["weights"]).all()
    assert not strong["undone"].any()
    assert not weak["left"].any()
    assert strong["left"].to_numpy() == pytest.approx(strong["squared"] / 0.6, rel=1e-2)
    assert set(strong["part"]) == {"attention", "MLP"}
    # With sixteen times as many steps a move of 0.4 of the old ones is seen.
    assert not same_codes(llama, original, moved(0.4), 8)["undone"].any()


def test_a_change_of_what_was_never_rounded_is_left_on_average(llama):
    """Most weights keep their code, and those that do not move by a whole step."""
    original = {name: p.detach().clone() for name, p in llama.module.named_parameters()}
    draw = torch.Generator().manual_seed(0)
    new = {
        n: p + 0.05 * p.std() * torch.randn(p.shape, generator=draw) for n, p in original.items()
    }
    table = same_codes(llama, original, new, 4)
    assert table["undone"].sum() > 0.8 * table["changed"].sum()
    assert table["left"].sum() / table["squared"].sum() == pytest.approx(1, abs=0.15)
    change = sum(
        float((new[m.name] - original[m.name]).square().sum()) for m in block_matrices(llama)
    )
    assert table["squared"].sum() == pytest.approx(change, rel=1e-5)


def test_impossible_numbers_are_refused(llama):
    for bits, block in ((0, 32), (17, 32), (4, 1)):
        with pytest.raises(BadInput, match="not rounded"), rounded(llama, bits, block):
            pass

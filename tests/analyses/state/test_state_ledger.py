"""What a state holds, loses and gets, against a loop written here, and on states whose truth is
known.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from analyses.state.recurrent_state import ledger
from hooks.recurrent.kernel_inputs import KernelInputs, Rule


def inputs(
    rule: Rule, *, n: int = 7, heads: int = 2, d_key: int = 3, d_value: int = 4, seed: int = 0
) -> KernelInputs:
    """A kernel's arguments at random, for one text."""
    g = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(1, n, heads, *shape, generator=g)

    k = some(d_key)
    return KernelInputs(
        q=some(d_key),
        k=functional.normalize(k, dim=-1) if rule == "delta" else k,
        v=some(d_value),
        beta=torch.rand(1, n, heads, 1, generator=g),
        step=-torch.rand(1, n, heads, 1, 1, generator=g),
        rate=torch.ones(heads, 1, 1),
        rule=rule,
    )


@given(st.sampled_from(["additive", "delta"]), st.integers(1, 9), st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_the_ledger_is_that_of_a_plain_loop(rule: Rule, n: int, seed: int) -> None:
    given_ = inputs(rule, n=n, seed=seed)
    found = ledger.of_layer(given_, list(range(n)), matrices=True)
    assert found.damage is not None
    for head in range(2):
        k, v = given_.k[0, :, head], given_.v[0, :, head]
        beta, decay = given_.beta[0, :, head, 0], given_.step[0, :, head, 0, 0].exp()
        state = torch.zeros(3, 4)
        for t in range(n):
            left = decay[t] * state
            held = k[t] @ left
            erased = beta[t] * torch.outer(k[t], held) if rule == "delta" else torch.zeros(3, 4)
            new = left - erased + beta[t] * torch.outer(k[t], v[t])
            expected = {
                "norm": new.norm(),
                "decay": (state - left).norm(),
                "erase": erased.norm(),
                "write": beta[t] * k[t].norm() * v[t].norm(),
                "net": (new - left).norm(),
                "match": functional.cosine_similarity(held, v[t], dim=0),
            }
            for name, value in expected.items():
                assert found.traces[name][head, t] == pytest.approx(float(value), abs=2e-5), name
            surprise = float(found.traces["surprise"][head, t])
            if rule == "delta":
                assert surprise == pytest.approx(
                    float((v[t] - held).norm() / v[t].norm()), abs=1e-4
                )
            else:
                assert math.isnan(surprise)
            for s in range(t + 1):
                assert found.retention is not None
                cosine = functional.cosine_similarity(k[s] @ new, v[s], dim=0)
                assert found.retention[head, s, t] == pytest.approx(float(cosine), abs=1e-4)
                written = (k[s] @ (new - left)).norm()
                assert found.damage[head, s, t] == pytest.approx(float(written), abs=1e-4)
            values = torch.linalg.svdvals(new.double())
            assert found.spectra[head, t].tolist() == pytest.approx(values.tolist(), abs=1e-4)
            state = new
        assert torch.all(found.damage[head].tril(-1) == 0)


def test_a_rebound_key_reads_its_new_value_and_the_ledger_shows_the_erasing() -> None:
    keys, values = torch.eye(3), torch.eye(4)
    key = torch.stack([keys[0], keys[1], keys[0]])
    value = torch.stack([values[0], values[1], values[2]])
    ones = torch.ones(1, 3, 1, 1)
    given_ = KernelInputs(
        q=key[None, :, None],
        k=key[None, :, None],
        v=value[None, :, None],
        beta=ones,
        step=0 * ones[..., None],
        rate=torch.ones(1, 1, 1),
        rule="delta",
    )
    found = ledger.of_layer(given_, [0, 1, 2], matrices=True)
    assert found.traces["erase"][0].tolist() == [0, 0, 1]
    assert found.retention is not None
    assert found.retention[0, 0].tolist() == [1, 1, 0]  # overwritten by the third
    assert found.retention[0, 1].tolist() == [0, 1, 1]  # another key: untouched
    assert found.half_life.tolist() == [math.inf]
    additive = ledger.of_layer(
        KernelInputs(**{**vars(given_), "rule": "additive"}), [2], matrices=True
    )
    assert additive.retention is not None
    assert additive.retention[0, 0, 2] == pytest.approx(1 / math.sqrt(2))  # v + v'


def test_so_many_orthogonal_pairs_have_that_effective_rank() -> None:
    for n in (1, 2, 3):
        assert ledger.effective_rank(np.array([[1.0] * n + [0.0] * (3 - n)])) == pytest.approx(n)
    assert math.isnan(ledger.effective_rank(np.zeros((1, 3)))[0])


def test_a_constant_decay_has_its_half_life() -> None:
    given_ = inputs("additive", n=4)
    given_ = KernelInputs(
        **{**vars(given_), "step": torch.full((1, 4, 2, 1, 1), -math.log(2) / 10)}
    )
    assert ledger.of_layer(given_, [3], matrices=False).half_life.tolist() == pytest.approx(
        [10, 10]
    )


def test_keys_of_long_texts_are_compared_on_some_tokens_only() -> None:
    found = ledger.of_layer(inputs("additive", n=1100, d_key=2), [0], matrices=False)
    # |cosine| of two random directions of a plane: 2 / pi
    assert found.key_overlap.tolist() == pytest.approx([2 / math.pi] * 2, abs=0.05)

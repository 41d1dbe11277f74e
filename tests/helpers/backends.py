"""What every back end is tested with: models whose norms matter, and how traces are compared."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import tiny

CLOSE = 1e-5


def needs(name: str) -> pytest.MarkDecorator:
    """The test is skipped where this package is not installed."""
    found = importlib.util.find_spec(name) is not None
    return pytest.mark.skipif(not found, reason=f"{name} is not installed (the extra 'bench')")


BACKENDS = [
    pytest.param("transformer_lens", marks=needs("transformer_lens")),
    pytest.param("nnsight", marks=needs("nnsight")),
]
# What a back end cannot show, with the family: it must say so.
HIDDEN = {("transformer_lens", "neox"): {"rot_q", "rot_k"}}


def with_uneven_norms(family: str) -> Any:
    """A tiny model whose norms have gains and biases of their own, so that before and after them
    differ.
    """
    import workbench as wb

    module = getattr(tiny, f"tiny_{family}")()
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn(parameter.shape, generator=draw)
    instrumented = wb.load((module, tiny.tiny_tokenizer()))
    instrumented.family = family
    return instrumented


def same(ours: Any, theirs: Any) -> None:
    """The same sites of the same prompts, with the same labels; the values differ by less than
    `CLOSE`.
    """
    assert set(ours) == set(theirs)
    assert (ours.tokens, ours.prompts, ours.model) == (theirs.tokens, theirs.prompts, theirs.model)
    for site in ours:
        assert ours[site].dims == theirs[site].dims
        for dim, coordinate in ours[site].coords.items():
            np.testing.assert_array_equal(coordinate, theirs[site].coords[dim])
        np.testing.assert_allclose(
            theirs[site], ours[site], atol=CLOSE, rtol=0, err_msg=site
        )  # NaN where NaN

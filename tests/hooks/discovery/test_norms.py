"""Of which kind a norm is, where its numbers alone do not tell."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hooks.discovery.norms import find_norm


class MadeUpRMSNorm(nn.Module):
    eps = 1e-6


class MadeUpNorm(nn.Module):
    eps = 1e-6


@pytest.mark.parametrize(("kind", "centred"), [(MadeUpRMSNorm, False), (MadeUpNorm, True)])
def test_rounding_does_not_turn_an_rms_norm_into_another(kind, centred):
    """What it gives out is as near to that of a norm that takes the mean away, as half precision
    can make it.
    """
    torch.manual_seed(0)
    x = torch.randn(7, 64, dtype=torch.double)
    x = x - 0.999 * x.mean(-1, keepdim=True)
    middle = x - x.mean(-1, keepdim=True)
    y = middle / (middle.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
    module = kind()
    traced = SimpleNamespace(only_call=lambda _: SimpleNamespace(input=x, output=y))
    found = find_norm(module, traced, 2.0**-7)
    assert found is not None
    assert found.centred is centred

"""Which weights attacks change, and that they are put back."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from analyses.weights.unlearning_audit.block_weights import (
    block_matrices,
    changed,
    places,
    put_back,
    replaced,
    weights_of,
)
from hooks.gradients.weights import weights
from workbench.errors import BadInput, Unfit
from workbench.models.card import weight_hash


@dataclass
class Opened:
    name: str
    model: Any

    @contextmanager
    def on(self):
        yield self.model


def test_every_matrix_of_the_layers_once(model):
    """The same that gradients of weights are taken of."""
    found = block_matrices(model)
    assert {m.name for m in found} == {w.parameter for w in weights(model)}
    assert len({m.name for m in found}) == len(found)
    of = {
        w.parameter: (w.layer, "MLP" if "mlp" in w.parameter else "attention")
        for w in weights(model)
    }
    assert {m.name: (m.layer, m.part) for m in found} == of
    turned = {m.name for m in found if m.turned}
    assert turned == ({m.name for m in found} if "GPT2" in type(model.module).__name__ else set())
    where = places(model)
    assert set(where) > {m.name for m in found}
    assert all(where[m.name] == (m.layer, m.part) for m in found)
    assert not any("embed" in name or "head" in name for name in where)


def test_changes_are_put_back(llama):
    own, subject = weight_hash(llama.module), Opened("llama", llama)
    before = weights_of(subject)
    name = block_matrices(llama)[0].name
    new = before[name] + 1
    with replaced(llama, {name: new}):
        assert torch.equal(llama.module.get_parameter(name), new)
        after = weights_of(subject)
    assert weight_hash(llama.module) == own
    assert list(changed(before, after)) == [name]
    assert torch.equal(changed(before, after)[name][1], new)
    assert changed(before, before) == {}
    with pytest.raises(BadInput, match="stopped"):
        _zeroed(llama.module.get_parameter(name))
    assert weight_hash(llama.module) == own


def _zeroed(parameter):
    with put_back([parameter]):
        with torch.no_grad():
            parameter.zero_()
        raise BadInput("It stopped.", "", "")


def test_other_models_are_not_compared(llama, gpt2):
    with pytest.raises(BadInput, match="same parameters"):
        changed(weights_of(Opened("a", llama)), weights_of(Opened("b", gpt2)))


def test_packed_weights_are_refused(llama, monkeypatch):
    monkeypatch.setattr("analyses.weights.unlearning_audit.block_weights.plain", lambda p: False)
    with pytest.raises(Unfit, match="quantized"):
        block_matrices(llama)

"""What is put back, on two models that differ in one module, against hooks and copies by hand."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.weights.unlearning_audit.block_weights import weights_of
from analyses.weights.unlearning_audit.memorized import scores
from analyses.weights.unlearning_audit.restore import (
    INTO_ORIGINAL,
    INTO_UNLEARNED,
    OUTSIDE,
    change_norms,
    interpolate,
    patch_states,
    reset_modules,
)
from hooks.unlearning.texts import Text
from tests.helpers import tiny
from workbench.errors import BadInput
from workbench.models.card import weight_hash

TEXTS = [Text((3, 9, 4, 1, 5, 9, 2), 3), Text((8, 8, 2, 11, 40), 1), Text((1, 2, 3, 4), 1)]


@dataclass
class Audited:
    """A module with changes on, as unlearned models have them."""

    name: str
    model: Any
    added: dict[str, torch.Tensor]

    @contextmanager
    def on(self):
        module = self.model.module
        before = {name: module.get_parameter(name).detach().clone() for name in self.added}
        with torch.no_grad():
            for name, change in self.added.items():
                module.get_parameter(name).add_(change)
        try:
            yield self.model
        finally:
            with torch.no_grad():
                for name, old in before.items():
                    module.get_parameter(name).copy_(old)


def _pair(model, names):
    draw = torch.Generator().manual_seed(1)
    added = {
        name: 0.3 * torch.randn(model.module.get_parameter(name).shape, generator=draw)
        for name in names
    }
    return Audited("original", model, {}), Audited("unlearned", model, added)


@pytest.fixture
def of_llama(llama):
    """A change of the MLP of layer 1 and of queries in layer 2."""
    return _pair(
        llama, ["model.layers.1.mlp.down_proj.weight", "model.layers.2.self_attn.q_proj.weight"]
    )


def _scored(subject, texts=TEXTS):
    with subject.on() as model:
        return scores(model, texts)["nats"].to_numpy()


def _stitched(below, above, layer, text):
    """Nats with the stream of one model behind a layer put into the other, by hooks."""
    caught = []

    def take(_, __, out):
        caught.append(out[0] if isinstance(out, tuple) else out)

    def put(_, __, out):
        return (caught[0], *out[1:]) if isinstance(out, tuple) else caught[0]

    for subject, hook in ((below, take), (above, put)):
        with subject.on() as model, torch.no_grad():
            handle = model.layout.blocks[layer].module.register_forward_hook(hook)
            logits = model.module(input_ids=torch.tensor([text.ids])).logits[0]
            handle.remove()
    wanted = torch.tensor(text.targets)
    return float(torch.nn.functional.cross_entropy(logits[text.first - 1 : -1], wanted))


def test_patched_states_equal_hooks_by_hand(model):
    name = next(n for n, p in model.module.named_parameters() if ".1." in n and p.dim() == 2)
    original, unlearned = _pair(model, [name])
    before = weight_hash(model.module)
    table = patch_states(original, unlearned, TEXTS, batch=2)
    assert weight_hash(model.module) == before
    assert len(table) == 2 * model.n_layers * len(TEXTS)
    for row in table.itertuples():
        below, above = original, unlearned
        if row.direction == INTO_ORIGINAL:
            below, above = above, below
        wanted = _stitched(below, above, row.layer, TEXTS[row.text])
        assert row.nats == pytest.approx(wanted, rel=1e-4)


def test_states_restore_above_the_change_only(of_llama):
    """Only layers 1 and 2 differ: states of the original behind layer 2 bring all back, those
    behind layer 0 nothing.
    """
    original, unlearned = of_llama
    table = patch_states(original, unlearned, TEXTS, layers=[0, 2])
    rows = table[table["direction"] == INTO_UNLEARNED].pivot(
        index="layer", columns="text", values="nats"
    )
    assert rows.loc[2].to_numpy() == pytest.approx(_scored(original), rel=1e-5)
    assert rows.loc[0].to_numpy() == pytest.approx(_scored(unlearned), rel=1e-5)
    assert np.abs(_scored(original) - _scored(unlearned)).max() > 0.1


def test_reset_modules_by_hand(of_llama):
    original, unlearned = of_llama
    own = weight_hash(original.model.module)
    table = reset_modules(unlearned, weights_of(original), TEXTS)
    assert weight_hash(original.model.module) == own
    modules = list(dict.fromkeys(zip(table["layer"], table["part"], strict=True)))
    assert modules == [(1, "MLP"), (2, "attention")]
    for (layer, part), other in zip(modules, reversed(list(unlearned.added)), strict=True):
        rows = table[(table["layer"] == layer) & (table["part"] == part)]
        left = Audited("left", unlearned.model, {other: unlearned.added[other]})
        assert rows["nats"].to_numpy() == pytest.approx(_scored(left), rel=1e-5)
    assert reset_modules(original, weights_of(original), TEXTS).empty
    same = reset_modules(original, weights_of(original), TEXTS)
    assert list(same.columns) == list(table.columns)


def test_interpolation_by_hand(of_llama):
    original, unlearned = of_llama
    table = interpolate(unlearned, weights_of(original), TEXTS, shares=(0.0, 0.25, 1.0))
    for share in (0.0, 0.25, 1.0):
        part = Audited("", unlearned.model, {n: share * x for n, x in unlearned.added.items()})
        rows = table[table["share"] == share]
        assert rows["nats"].to_numpy() == pytest.approx(_scored(part), rel=1e-4)


def test_norms_of_a_change(of_llama, gpt2):
    original, unlearned = of_llama
    before, after = weights_of(original), weights_of(unlearned)
    after["model.norm.weight"] += 1
    table = change_norms(original.model, before, after).set_index(["layer", "part"])
    moved = table[table["norm"] > 0]
    assert list(moved.index) == [(-1, OUTSIDE), (1, "MLP"), (2, "attention")]
    name = next(iter(unlearned.added))
    change = after[name] - before[name]
    assert moved.loc[(1, "MLP"), "norm"] == pytest.approx(float(change.norm()), rel=1e-5)
    of_mlp = sum(
        float(p.square().sum()) for n, p in before.items() if n.startswith("model.layers.1.mlp.")
    )
    assert moved.loc[(1, "MLP"), "relative"] == pytest.approx(float(change.norm()) / of_mlp**0.5)
    with pytest.raises(BadInput, match="same parameters"):
        change_norms(gpt2, weights_of(Audited("", gpt2, {})), before)


def test_two_modules_that_are_not_one():
    """The original may be a model of its own."""
    modules = [tiny.tiny_llama()]
    modules.append(copy.deepcopy(modules[0]))
    with torch.no_grad():
        modules[1].model.layers[1].mlp.down_proj.weight.mul_(0.5)
    original, unlearned = (
        Audited(name, wb.load((module, tiny.tiny_tokenizer())), {})
        for name, module in zip(("original", "unlearned"), modules, strict=True)
    )
    table = reset_modules(unlearned, weights_of(original), TEXTS)
    assert set(zip(table["layer"], table["part"], strict=True)) == {(1, "MLP")}
    assert table["nats"].to_numpy() == pytest.approx(_scored(original), rel=1e-5)

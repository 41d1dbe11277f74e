"""Weights of one model in another: what goes in comes out again, and every parameter has one
place.
"""

from __future__ import annotations

import copy

import pytest
import torch

import workbench as wb
from hooks.mixed_weights import (
    EMBEDDING,
    MLP_IN,
    MLP_OUT,
    OUTSIDE,
    QK,
    VO,
    WeightPair,
    changed,
    module_groups,
    replaced,
    weights_copied,
)
from tests.helpers import tiny
from workbench.errors import BadInput


@pytest.fixture(params=["tiny_llama", "tiny_gpt2", "tiny_neox"])
def model(request):
    return wb.load((getattr(tiny, request.param)(), tiny.tiny_tokenizer()))


def moved(model, seed=0):
    """All weights, each a little elsewhere."""
    draw = torch.Generator().manual_seed(seed)
    own = weights_copied(model.module)
    return {n: p + 0.1 * torch.randn(p.shape, generator=draw) for n, p in own.items()}


def test_every_parameter_is_in_one_group(model):
    for finer in (False, True):
        groups = module_groups(model, finer=finer)
        names = [name for group in groups.values() for name in group]
        assert sorted(names) == sorted(n for n, _ in model.module.named_parameters())
    assert {part for layer, part in groups if layer != OUTSIDE} >= {QK, VO, MLP_IN, MLP_OUT}
    assert (OUTSIDE, EMBEDDING) in groups


def test_finer_parts_of_a_llama():
    groups = module_groups(wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer())), finer=True)
    ends = {part: {n.split(".")[-2] for n in groups[1, part]} for part in (QK, VO, MLP_IN, MLP_OUT)}
    assert ends == {
        QK: {"q_proj", "k_proj"},
        VO: {"v_proj", "o_proj"},
        MLP_IN: {"gate_proj", "up_proj"},
        MLP_OUT: {"down_proj"},
    }


def test_what_was_put_in_comes_out_bit_for_bit(model):
    before = weights_copied(model.module)
    pair = WeightPair.of(before, moved(model))
    ids = model.tokens("Nobody remembers")
    logits = model.next_logits([ids])
    with pytest.raises(RuntimeError), replaced(model, pair.between(0.3)):
        raise RuntimeError
    with replaced(model, pair.tuned):
        with replaced(model, pair.between(0.0, list(pair.base)[:2])):
            pass
        assert not changed(pair.tuned, weights_copied(model.module))
    assert not changed(before, weights_copied(model.module))
    assert torch.equal(model.next_logits([ids]), logits)


def test_the_ends_of_the_line_are_the_two_models(model):
    before, after = weights_copied(model.module), moved(model)
    pair = WeightPair.of(before, after)
    assert not changed(pair.between(0.0), before)
    assert not changed(pair.between(1.0), after)
    for name, between in pair.between(0.25).items():
        torch.testing.assert_close(between, 0.75 * before[name] + 0.25 * after[name])
    name = next(iter(before))
    assert pair.norms()[name][0] == pytest.approx(
        float((after[name].double() - before[name].double()).norm())
    )


def test_all_groups_put_back_are_the_base(model):
    pair = WeightPair.of(weights_copied(model.module), moved(model))
    ids = model.tokens("Nobody remembers")
    wanted = model.next_logits([ids])
    with replaced(model, pair.tuned):
        assert not torch.allclose(model.next_logits([ids]), wanted)
        names = [name for group in module_groups(model).values() for name in group]
        with replaced(model, pair.between(0.0, names)):
            assert torch.equal(model.next_logits([ids]), wanted)


def test_other_models_are_refused(model):
    own = weights_copied(model.module)
    with pytest.raises(BadInput, match="the same weights"):
        WeightPair.of(own, copy.deepcopy(own))
    other = weights_copied(tiny.tiny_llama(n_layers=2))
    with pytest.raises(BadInput, match="the same parameters"):
        WeightPair.of(own, other)

"""A stored state put back at a later token, beside the same done by hand and beside chance."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from hooks.memory_modules.reinjection import Reinjection, reinject
from tests.helpers import tiny
from workbench.errors import BadInput

TEXT = "The capital of Peru is Lima and of Italy"


@torch.no_grad()
def test_reinjection_by_hand() -> None:
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    found = reinject(model, TEXT, 7, stored=(0, 2), at=(1, 6), draws=4)
    layers, kept = model.module.model.layers, []
    handles = [layers[0].register_forward_hook(lambda m, a, out: kept.append(out[0, 2].clone()))]

    def put(module: object, args: object, out: torch.Tensor) -> torch.Tensor:
        changed = out.clone()
        changed[:, 6] += kept[-1]
        return changed

    handles.append(layers[1].register_forward_hook(put))
    wanted = float(model.next_logits(TEXT).log_softmax(-1).flatten()[7])
    for handle in handles:
        handle.remove()
    assert abs(found.stored - wanted) < 1e-4
    assert abs(found.plain - float(model.next_logits(TEXT).log_softmax(-1).flatten()[7])) < 1e-5
    assert len(found.random) == len(found.shuffled) == 4
    assert len(set(found.random)) == 4
    assert (
        reinject(model, TEXT, 7, stored=(0, 2), at=(1, 6), factor=0.0, draws=2).random
        == [found.plain] * 2
    )


def test_the_share_of_chance_that_is_beaten() -> None:
    assert Reinjection(-1.0, -3.0, [-1.5, -4.0], [-0.5, -1.0]).beyond == 0.75


@pytest.mark.parametrize(
    ("stored", "at"), [((0, 99), (1, 6)), ((9, 1), (1, 6)), ((1, 6), (0, 6)), ((0, 6), (1, 5))]
)
def test_what_is_not_there_yet_is_refused(stored: tuple[int, int], at: tuple[int, int]) -> None:
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    with pytest.raises(BadInput):
        reinject(model, TEXT, 7, stored=stored, at=at)

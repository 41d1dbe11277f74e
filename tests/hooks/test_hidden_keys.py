"""Tokens hidden from others, beside attention scores set to minus infinity one pass at a time."""

from __future__ import annotations

import pytest
import torch

from hooks.hidden_keys import hidden_keys, hidden_positions
from hooks.hook_points import hook_sites
from hooks.prefix_cache import PrefixCache, step
from hooks.sites import resolve
from tests.helpers import families
from tests.helpers.tiny import tiny_gpt2, tiny_llama, tiny_tokenizer
from workbench.errors import BadInput, Unfit

FAMILIES = ["llama", "gpt2", "gpt_neox", "gemma3_text", "gpt_oss", "gemma2", "mixtral", "phi"]
IDS = [5, 9, 11, 3, 17, 8, 2, 21, 14, 6]
SPANS = [(1, 3), (4, 7), (2, 8), (0, 1)]


@pytest.fixture(params=FAMILIES)
def model(request):
    import workbench as wb

    return wb.load((families.module(request.param), tiny_tokenizer()))


def masks(spans=SPANS, n=len(IDS)):
    hidden = torch.zeros(len(spans), n, n, dtype=torch.bool)
    for row, (start, stop) in enumerate(spans):
        hidden[row, stop:, start:stop] = True
    return hidden


def by_scores(model, hidden):
    """Each variant in a pass of its own, with its scores set to minus infinity."""
    places = resolve(model.layout, ["attn_scores"], None, model.card.name)
    out = []
    for mask in hidden:

        def take(_, scores, mask=mask):
            return scores.masked_fill(mask[None, None], float("-inf"))

        with torch.no_grad(), hook_sites(model, places, take):
            out.append(model.forward(input_ids=torch.tensor([IDS])).logits[0])
    return torch.stack(out)


def together(model, hidden):
    rows = torch.tensor([IDS] * len(hidden))
    with torch.no_grad(), hidden_keys(model, hidden):
        return model.forward(input_ids=rows, use_cache=False).logits


def test_a_batch_is_as_one_pass_each_with_scores_of_minus_infinity(model):
    found = together(model, masks())
    torch.testing.assert_close(found, by_scores(model, masks()), atol=2e-5, rtol=1e-4)
    plain = model.forward(input_ids=torch.tensor([IDS])).logits[0]
    assert (found - plain).abs().amax((1, 2)).min() > 1e-4


def test_nothing_hidden_changes_nothing(model):
    found = together(model, torch.zeros(1, len(IDS), len(IDS), dtype=torch.bool))
    with torch.no_grad():
        plain = model.forward(input_ids=torch.tensor([IDS])).logits
    torch.testing.assert_close(found, plain, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_going_on_from_a_cache_is_as_one_pass(attention):
    import workbench as wb

    module = tiny_llama()
    module.set_attn_implementation(attention)
    model = wb.load((module, tiny_tokenizer()))
    hidden = masks([(1, 4)])
    hidden[:, :6] = False  # what is hidden is hidden from the last tokens alone
    whole = together(model, hidden)[0]
    prefix = PrefixCache(model, [IDS[:6]]).state()
    with hidden_keys(model, hidden):
        _, after = step(model, prefix, torch.tensor([IDS[6:]]))
    torch.testing.assert_close(after[0], whole[6:], atol=2e-5, rtol=1e-4)


def test_bad_masks_are_refused():
    import workbench as wb

    model = wb.load((tiny_gpt2(), tiny_tokenizer()))
    with (
        pytest.raises(BadInput, match="hidden from itself"),
        hidden_keys(model, torch.ones(1, 4, 4, dtype=torch.bool)),
    ):
        pass
    short = torch.zeros(1, 4, 4, dtype=torch.bool)
    with pytest.raises(BadInput, match="look at"):
        together(model, short)


def test_recurrent_layers_are_refused():
    import workbench as wb

    model = wb.load((families.module("mamba2"), tiny_tokenizer()))
    with pytest.raises(Unfit, match="no attention"), hidden_keys(model, masks()):
        pass


def test_positions_are_hidden_from_all_behind_them(model):
    hidden = torch.zeros(1, len(IDS), len(IDS), dtype=torch.bool)
    hidden[:, 6:, [2, 5]] = True
    with torch.no_grad(), hidden_positions(model, [2, 5]):
        found = model.forward(input_ids=torch.tensor([IDS]), use_cache=False).logits
        shorter = model.forward(input_ids=torch.tensor([IDS[:8]]), use_cache=False).logits
    torch.testing.assert_close(found, by_scores(model, hidden), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(shorter, found[:, :8], atol=2e-5, rtol=1e-4)
    with pytest.raises(BadInput, match="No token"), hidden_positions(model, []):
        pass

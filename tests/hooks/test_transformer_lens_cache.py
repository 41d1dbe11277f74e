"""A cache of TransformerLens becomes a trace, and a trace a cache."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from tests.helpers.backends import CLOSE, HIDDEN, needs, same, with_uneven_norms
from tests.helpers.capturing import PROMPTS
from workbench.errors import BadInput


@pytest.fixture(scope="module", params=["llama", "gpt2", "neox"])
def model(request):
    return with_uneven_norms(request.param)


@needs("transformer_lens")
@pytest.mark.parametrize("padding", ["left", "right"])
def test_a_cache_becomes_a_trace(model, padding):
    from hooks.backends.transformer_lens import bridge_of
    from hooks.transformer_lens_cache import from_cache

    ids = [model.tokens(p) for p in PROMPTS]
    longest = max(map(len, ids))
    padded = [
        [0] * (longest - len(i)) + i if padding == "left" else i + [0] * (longest - len(i))
        for i in ids
    ]
    real = [[0] * (longest - len(i)) + [1] * len(i) for i in ids]
    mask = torch.tensor(real if padding == "left" else [row[::-1] for row in real])
    _, cache = bridge_of(model).run_with_cache(torch.tensor(padded), attention_mask=mask)
    trace = from_cache(model, cache, PROMPTS, padding)
    hidden = HIDDEN.get(("transformer_lens", model.family), set()) | {
        "result"
    }  # computed only when asked for
    same(wb.capture(model, PROMPTS, sites=[s for s in model.sites if s not in hidden]), trace)
    with pytest.raises(BadInput, match="of the cache has 3 along prompt"):
        from_cache(model, cache, PROMPTS[:2])
    with pytest.raises(BadInput, match="none of the model's sites"):
        from_cache(model, {"blocks.0.what": torch.zeros(3)}, PROMPTS)


@needs("transformer_lens")
def test_a_trace_becomes_a_cache_and_comes_back(model):
    from transformer_lens import ActivationCache

    from hooks.backends.transformer_lens import bridge_of
    from hooks.transformer_lens_cache import from_cache, to_cache

    trace = wb.capture(
        model,
        PROMPTS,
        sites=["resid_pre", "resid_post", "z", "pattern", "embed", "logits", "ln_final"],
    )
    plain = to_cache(trace)
    assert {"blocks.2.attn.hook_z", "blocks.0.hook_resid_pre", "hook_embed"} <= set(plain)
    same(trace, from_cache(model, to_cache(trace, bridge_of(model)), PROMPTS))
    bridge = bridge_of(model)
    cache = to_cache(trace, bridge)
    assert isinstance(cache, ActivationCache)
    batch = model.batch(PROMPTS)
    _, theirs = bridge.run_with_cache(batch.input_ids, attention_mask=batch.attention_mask)
    for name, values in cache.items():
        assert values.shape == theirs[name].shape
        real = ~values.isnan()
        assert real[0].any()
        torch.testing.assert_close(values[real], theirs[name][real], atol=CLOSE, rtol=0)
    torch.testing.assert_close(
        cache["resid_post", 1][:, -1], theirs["resid_post", 1][:, -1], atol=CLOSE, rtol=0
    )
    with pytest.raises(BadInput, match="only some positions"):
        to_cache(wb.capture(model, PROMPTS, sites="z", positions=[-1]))

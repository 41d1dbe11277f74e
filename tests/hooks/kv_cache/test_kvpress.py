"""Scores beside those of kvpress (NVIDIA, Apache-2.0), policy by policy.

`pip install --no-deps kvpress==0.5.5` (it pins an older transformers); without it this is skipped.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hooks.kv_cache.channels import channel_scores
from hooks.kv_cache.policies import BUILT_IN, SNAP_WINDOW
from hooks.kv_cache.policy_registry import scored
from hooks.kv_cache.reading import read_context
from workbench.organisms import corpus

pytestmark = pytest.mark.verify

TOKENS, LAYERS = 400, (0, 3, 14, 29)


@pytest.fixture(scope="module")
def seen(smollm: Any) -> dict[str, Any]:
    """A text of 400 tokens read by us, and what kvpress wants of the same pass."""
    functions = dict(ALL_ATTENTION_FUNCTIONS)
    pytest.importorskip("kvpress")
    for name, function in functions.items():  # it wraps all of them when it is imported
        ALL_ATTENTION_FUNCTIONS[name] = function
    text = "\n".join(document.text for document in corpus.documents("neutral"))
    ids = smollm.tokens(text[:8000])[:TOKENS]
    given: dict[int, dict[str, Any]] = {}

    def note(layer: int) -> Any:
        return lambda module, args, kwargs: given.update({layer: dict(kwargs)})

    context = read_context(smollm, ids)
    with torch.no_grad():
        hooks = [
            smollm.module.model.layers[layer].self_attn.register_forward_pre_hook(
                note(layer), with_kwargs=True
            )
            for layer in LAYERS
        ]
        smollm.module(input_ids=torch.tensor([ids]))
        for hook in hooks:
            hook.remove()
    return {"context": context, "given": given, "model": smollm}


def theirs(seen: dict[str, Any], press: Any, layer: int, attention: Tensor | None = None) -> Tensor:
    memory, kwargs = seen["context"].layers[layer], seen["given"][layer]
    module = seen["model"].module.model.layers[layer].self_attn
    module.rotary_emb = seen["model"].module.model.rotary_emb  # as kvpress does while it is on
    try:
        with torch.no_grad():
            found = press.score(
                module, kwargs["hidden_states"], memory.keys[None], memory.values[None], attention,
                kwargs,
            )  # fmt: skip
    finally:
        del module.rotary_emb
    return found[0]


@pytest.mark.parametrize("name", ["snapkv", "tova", "key-norm", "keydiff", "expected"])
def test_scores_are_those_of_kvpress(seen: dict[str, Any], name: str) -> None:
    import kvpress

    press = {
        "snapkv": kvpress.SnapKVPress(window_size=SNAP_WINDOW),
        "tova": kvpress.TOVAPress(),
        "key-norm": kvpress.KnormPress(),
        "keydiff": kvpress.KeyDiffPress(),
        "expected": kvpress.ExpectedAttentionPress(),
    }[name]
    ours = scored(BUILT_IN[name], seen["context"])
    for layer in LAYERS:
        other = theirs(seen, press, layer)
        # What is always kept has a score of its own in either: the last token, window or sinks.
        same = slice(4, -SNAP_WINDOW) if name in ("snapkv", "expected") else slice(0, -1)
        off = (ours[layer][:, same] - other[:, same]).abs().max() / other[:, same].abs().max()
        print(f"{name} layer {layer}: off by {float(off):.1e} of the largest score")
        assert float(off) < 1e-4
        quarter = TOKENS // 4
        chosen = ours[layer][:, same].topk(quarter, 1).indices.sort(1).values
        assert torch.equal(chosen, other[:, same].topk(quarter, 1).indices.sort(1).values)


def test_heavy_hitters_are_kvpress_sums(seen: dict[str, Any]) -> None:
    """Its press divides each sum by the queries that can see the key; ours sums, as H2O does."""
    import kvpress

    context = seen["context"]
    ours = scored(BUILT_IN["h2o"], context)
    for layer in LAYERS:
        memory = context.layers[layer]
        keys = memory.keys.repeat_interleave(3, 0)
        logits = memory.queries @ keys.transpose(1, 2) * memory.scaling
        later = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)
        pattern = logits.masked_fill(later, -torch.inf).softmax(-1)
        other = theirs(seen, kvpress.ObservedAttentionPress(), layer, pattern[None])
        summed = other * torch.arange(TOKENS, 0, -1)
        torch.testing.assert_close(ours[layer], summed, atol=1e-4, rtol=1e-4)


def test_channels_are_those_that_kvpress_keeps(seen: dict[str, Any]) -> None:
    import kvpress

    context = seen["context"]
    for layer in LAYERS:
        memory, kwargs = context.layers[layer], seen["given"][layer]
        module = seen["model"].module.model.layers[layer].self_attn
        with torch.no_grad():
            keys, _ = kvpress.ThinKPress(key_channel_compression_ratio=0.4).compress(
                module, kwargs["hidden_states"], memory.keys[None].clone(), memory.values[None],
                None, kwargs,
            )  # fmt: skip
        gone = (keys[0] == 0).all(1)
        scores = channel_scores(memory)
        lowest = torch.zeros_like(gone).scatter(1, scores.argsort(1)[:, : int(0.4 * 64)], True)
        assert torch.equal(gone, lowest)

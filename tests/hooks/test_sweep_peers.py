"""The same numbers as TransformerLens's patching: heads and streams, at all positions and at
each.
"""

from __future__ import annotations

import copy

import pytest
import torch

import workbench as wb
from hooks import sweep

CLEAN, CORRUPT = "The capital of France is", "The capital of Italy was"
TARGETS = [5, 77]


@pytest.fixture(scope="module")
def peer(llama, tmp_path_factory):
    bridge = pytest.importorskip(
        "transformer_lens.model_bridge", reason="the bench extra is not installed"
    ).TransformerBridge
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("peer")
    llama.module.save_pretrained(folder)
    llama.tokenizer.save_pretrained(folder)
    return bridge.boot_transformers(
        str(folder),
        hf_model=copy.deepcopy(llama.module),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        device="cpu",
    )


def difference(logits):
    return logits[0, -1, TARGETS[0]] - logits[0, -1, TARGETS[1]]


@pytest.mark.parametrize("name", ["head_out_all_pos", "resid_pre", "attn_out", "mlp_out"])
def test_patching_as_transformer_lens_does_it(llama, peer, name):
    from transformer_lens import patching

    clean, corrupt = llama.tokens(CLEAN), llama.tokens(CORRUPT)
    n = min(len(clean), len(corrupt))
    clean, corrupt = clean[-n:], corrupt[-n:]
    with torch.no_grad():
        _, cache = peer.run_with_cache(torch.tensor([clean]))
        ask = (
            patching.get_act_patch_attn_head_out_all_pos
            if name.startswith("head")
            else getattr(patching, f"get_act_patch_{name}")
        )
        theirs = ask(peer, torch.tensor([corrupt]), cache, difference)
    options = {"change": wb.Patch([clean]), "read": "logit_diff", "positions": "all"}
    if name.startswith("head"):
        ours = sweep(llama, [corrupt], [TARGETS], **options)
    else:
        ours = sweep(llama, [corrupt], [TARGETS], over=wb.Positions(name), **options).isel(site=0)
    found = torch.as_tensor((ours["effect"] + ours["before"]).isel(prompt=0).values)
    torch.testing.assert_close(found, theirs.float(), atol=1e-4, rtol=1e-4)
    assert ours["effect"].std() > 1e-3

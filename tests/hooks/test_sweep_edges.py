"""A sweep over edges equals path patching in three hooked runs."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from hooks import sweep
from hooks.logit_attribution import direct_logits
from tests.helpers import plain_loop
from tests.helpers.plain_loop import set_to

PROMPT = "Question: What is the capital city of Peru?\nAnswer: The capital city of Peru is"
TARGETS = [5, 77, 200]


def path_loop(model, ids, source, sender, receiver, which, at_last):
    """Path patching in three hooked runs; the receiver's input is the output of its projection."""
    n = len(ids)
    positions = [n - 1] if at_last else range(n)
    own = [plain_loop.values(model, ids, "z", layer) for layer in range(model.n_layers)]
    changes = [("z", sender[0], set_to(source[sender[0]], positions, sender[1]))]
    changes += [
        ("z", later, set_to(own[later], range(n))) for later in range(sender[0] + 1, model.n_layers)
    ]
    if receiver == "logits":
        return plain_loop.run(model, ids, changes)
    attention = model.layout.blocks[receiver[0]].attention
    module, mine = (
        getattr(attention, f"{which}_proj"),
        slice(receiver[1] * model.d_head, (receiver[1] + 1) * model.d_head),
    )
    kept = []
    handle = module.register_forward_hook(lambda m, a, out: kept.append(out.clone()))
    plain_loop.run(model, ids, changes)
    handle.remove()

    def receive(m, a, out):
        out = out.clone()
        out[..., mine] = kept[0][..., mine]
        return out

    handle = module.register_forward_hook(receive)
    try:
        return plain_loop.run(model, ids)
    finally:
        handle.remove()


@pytest.mark.parametrize("at", ["last", "all"])
def test_edges_equal_three_runs_each(at):
    from tests.helpers import tiny

    model = wb.load((tiny.tiny_llama(n_kv_heads=4), tiny.tiny_tokenizer()))
    prompts, sources = (
        [PROMPT, "The capital of Peru"],
        ["Nobody remembers what the model was trained on, nor", "The safe of Spain"],
    )
    receivers = [(1, 2), (2, 0), (2, 3)]
    options = {"change": wb.Patch(sources, align="start"), "positions": at}
    found = sweep(model, prompts, [TARGETS] * 2, over=wb.Edges(receivers), **options)
    direct = sweep(model, prompts, [TARGETS] * 2, over="edges", **options)
    for row, text in enumerate(prompts):
        ids, other = model.tokens(text), model.tokens(sources[row])
        source = []
        for layer in range(model.n_layers):
            mine, theirs = (
                plain_loop.values(model, ids, "z", layer),
                plain_loop.values(model, other, "z", layer),
            )
            shared = min(len(mine), len(theirs))
            mine[:shared] = theirs[:shared]
            if at == "last":
                mine[-1] = theirs[-1]
            source.append(mine)
        base = plain_loop.run(model, ids)
        for sender in [(0, 1), (1, 3)]:
            at_sender = {"prompt": row, "layer": sender[0], "head": sender[1]}
            want = (path_loop(model, ids, source, sender, "logits", "", at == "last") - base)[
                TARGETS
            ]
            torch.testing.assert_close(
                torch.as_tensor(direct["effect"].sel(at_sender).values), want, atol=1e-4, rtol=1e-4
            )
            for receiver in receivers:
                for which in "qkv":
                    got = torch.as_tensor(
                        found["effect"]
                        .sel(
                            {
                                **at_sender,
                                "receiver": f"L{receiver[0]}H{receiver[1]}",
                                "input": which,
                            }
                        )
                        .values
                    )
                    if receiver[0] <= sender[0]:
                        assert got.isnan().all()
                        continue
                    want = (
                        path_loop(model, ids, source, sender, receiver, which, at == "last") - base
                    )[TARGETS]
                    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
    assert abs(found["effect"]).max() > 1e-3


def test_edges_to_the_logits_with_everything_frozen_pass_the_norm_alone(model):
    """r' = r + delta; frozen it is linear and additive, recomputed it is s times that where the
    norm has no bias.
    """
    ids = model.tokens(PROMPT)
    over = wb.Edges(freeze="heads and mlps")
    frozen = sweep(model, PROMPT, TARGETS, over=over, read=wb.Logit(norm="frozen"))
    true = sweep(model, PROMPT, TARGETS, over=over, read=wb.Logit(norm="recomputed"))
    resid = plain_loop.values(model, ids, "resid_post", model.n_layers - 1)[-1:]
    sums = torch.zeros(len(TARGETS))
    for layer, head in model.heads():
        z = plain_loop.values(model, ids, "z", layer)[-1]
        gone = torch.zeros_like(z)
        gone[head] = z[head]
        out = model.layout.blocks[layer].out_proj
        delta = out(torch.zeros_like(z).flatten()[None]) - out(gone.flatten()[None])
        want = direct_logits(model, delta, resid, torch.tensor([TARGETS]))[0]
        at = {"prompt": 0, "layer": layer, "head": head}
        got = torch.as_tensor(frozen["effect"].sel(at).values)
        torch.testing.assert_close(got, want.detach(), atol=1e-4, rtol=1e-4)
        recomputed = torch.as_tensor(true["effect"].sel(at).values)
        want = model.unembed(resid + delta)[0, TARGETS] - model.unembed(resid)[0, TARGETS]
        torch.testing.assert_close(recomputed, want.detach(), atol=1e-4, rtol=1e-4)
        sums += got
        if type(model.layout.final_norm).__name__ == "LlamaRMSNorm":
            before = torch.as_tensor(true["before"].values[0])
            ratio = (recomputed + before) / (got + before)
            torch.testing.assert_close(ratio, ratio[:1].expand(3), atol=1e-3, rtol=1e-3)
    assert sums.abs().max() > 1e-2

"""The gradient estimate is exact where the model is linear, and points the right way elsewhere."""

from __future__ import annotations

import torch

import workbench as wb
from hooks.logit_attribution import direct_logits
from hooks.sweeps import sweep
from tests.helpers import planted
from tests.helpers.capturing import hooks_on


def estimate(model, prompts, targets):
    """What zeroing each head at all positions would do to the logit difference, (prompt, layer,
    head), from one backward pass.
    """
    swept = sweep(
        model,
        prompts,
        targets,
        read="logit_diff",
        positions="all",
        method=wb.Attribution(recheck=0),
    )
    return torch.as_tensor(swept["effect"].values)


def test_estimate_ranks_the_planted_heads_first():
    model = wb.load((planted.planted_module(), planted.planted_tokenizer()))
    ids = model.tokens("The capital of Land1 is City3 . The capital of Land1 is")
    targets = [model.continuation_tokens(" City1")[0], model.continuation_tokens(" City3")[0]]
    guess = estimate(model, [ids], [targets])[0]
    assert (
        divmod(int(guess.argmin()), model.n_heads) == planted.MEMORY_HEAD
    )  # without it memory loses
    assert divmod(int(guess.argmax()), model.n_heads) == planted.CONTEXT_HEAD


def test_estimate_goes_to_the_exact_effect_as_heads_get_small(model):
    """Scaling a head's output down makes its removal a small change, where first order is exact."""
    ids, targets = model.tokens("Nobody remembers what the model"), [5, 77]
    factor = 1e-2
    with wb.scale(model, heads=model.heads(), factor=factor):
        guess = estimate(model, [ids], [targets])[0]
    for head in [(0, 1), (1, 2), (2, 3)]:
        with wb.scale(model, heads=model.heads(), factor=factor):
            before = model.next_logits([ids])[0, targets].double()
            with wb.ablate(model, heads=[head]):
                after = model.next_logits([ids])[0, targets].double()
        exact = (after - before)[0] - (after - before)[1]
        assert abs(float(guess[head]) - float(exact)) < 0.1 * abs(float(exact)) + 2e-6
    assert hooks_on(model) == 0


def test_padding_counts_for_nothing(model):
    one, two = (
        model.tokens("Nobody remembers"),
        model.tokens("The safe opens with 7 4 1 9, and the other"),
    )
    together = estimate(model, [one, two], [[5, 77]] * 2)
    torch.testing.assert_close(
        together[:1], estimate(model, [one], [[5, 77]]), atol=1e-5, rtol=1e-4
    )


def test_direct_parts_add_up(llama):
    trace = wb.capture(
        llama,
        "Nobody remembers",
        sites=["embed", "attn_out", "mlp_out", "resid_post"],
        positions=[-1],
    )
    parts = torch.cat(
        [
            torch.as_tensor(trace[s].values).reshape(-1, 1, 32)
            for s in ("embed", "attn_out", "mlp_out")
        ]
    )
    resid = torch.as_tensor(trace["resid_post"].isel(layer=-1, pos=0).values)
    total = direct_logits(llama, parts, resid, torch.tensor([[5, 77]])).sum(0)[0]
    torch.testing.assert_close(
        total, llama.next_logits("Nobody remembers")[0, [5, 77]], atol=1e-4, rtol=1e-4
    )


def test_sweep_and_estimate_agree_on_the_sign_of_strong_heads(llama):
    ids, targets = llama.tokens("The capital of France is"), [5, 77]
    exact = torch.as_tensor(
        sweep(llama, [ids], [targets], positions="all")["effect"].values[0]
    ).flatten(0, 1)
    difference = exact[:, 0] - exact[:, 1]
    guess = estimate(llama, [ids], [targets])[0].flatten()
    strong = difference.abs() > difference.abs().median()
    assert (guess[strong].sign() == difference[strong].sign()).float().mean() > 0.7

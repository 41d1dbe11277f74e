"""Attribution patching is exact where the model is linear, says how far off it is elsewhere, and
rechecks its best.
"""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from hooks import sweep
from tests.helpers import tiny
from tests.helpers.capturing import hooks_on
from workbench.errors import BadInput

PROMPTS = ["The capital of France is", "Nobody remembers what"]
SOURCES = ["The capital of Italy was", "The safe opens with"]
TARGETS = [[5, 77], [9, 200]]


@pytest.fixture(scope="module")
def linear():
    """A Llama without norms, with uniform attention and an MLP that adds nothing: logits are
    linear in every activation.
    """
    module = tiny.tiny_llama()
    for layer in module.model.layers:
        layer.input_layernorm.forward = layer.post_attention_layernorm.forward = lambda x: x
        torch.nn.init.zeros_(layer.self_attn.q_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    module.model.norm.forward = lambda x: x
    return wb.load((module, tiny.tiny_tokenizer()))


@pytest.mark.parametrize(
    "over", ["heads", wb.Layers(["attn_out", "mlp_out", "resid_post"]), "neurons", "positions"]
)
@pytest.mark.parametrize(
    ("positions", "change"), [("last", "zero"), ("all", wb.Patch(SOURCES, align="end"))]
)
def test_exact_on_a_linear_model(linear, over, positions, change):
    options = {"over": over, "positions": positions, "change": change}
    exact = sweep(linear, PROMPTS, TARGETS, **options)
    guess = sweep(linear, PROMPTS, TARGETS, method=wb.Attribution(3), **options)
    torch.testing.assert_close(
        torch.as_tensor(guess["effect"].values),
        torch.as_tensor(exact["effect"].values),
        atol=1e-4,
        rtol=1e-4,
        equal_nan=True,
    )
    assert guess.attrs.get("top_worst_error", 0.0) < 1e-4
    assert over == "neurons" or abs(exact["effect"]).max() > 1e-3


@pytest.mark.parametrize(
    "metric", ["logit_diff", "logprob", "prob", lambda logits: logits.softmax(-1).square().sum(-1)]
)
def test_rechecked_values_are_exact_and_the_errors_are_theirs(model, metric):
    options = {"positions": "all", "read": metric}
    guess = sweep(model, PROMPTS, TARGETS, method=wb.Attribution(4), **options)
    exact = sweep(model, PROMPTS, TARGETS, **options)
    known = ~guess["exact"].isnull()
    assert (
        int(known.isel({"prompt": 0} | ({"target": 0} if "target" in known.dims else {})).sum())
        == 8
    )
    assert float(abs(guess["exact"] - exact["effect"]).max()) < 1e-4
    mean = abs(guess["effect"]).mean([d for d in guess["effect"].dims if d in ("prompt", "target")])
    chosen = known.any([d for d in known.dims if d in ("prompt", "target")])
    assert float(mean.max()) == float(mean.where(chosen).max())  # the strongest was rechecked
    off = abs(guess["effect"] - guess["exact"]).max()
    worst = max(guess.attrs["top_worst_error"], guess.attrs["random_worst_error"])
    assert float(off) == pytest.approx(worst, rel=1e-4)
    assert hooks_on(model) == 0


def test_estimates_of_prompts_together_are_those_alone(llama):
    options = {"positions": "all", "method": wb.Attribution(recheck=0)}
    both = sweep(llama, PROMPTS, TARGETS, **options)["effect"]
    for row in range(2):
        alone = sweep(llama, PROMPTS[row : row + 1], TARGETS[row : row + 1], **options)["effect"]
        torch.testing.assert_close(
            torch.as_tensor(both.values[row]),
            torch.as_tensor(alone.values[0]),
            atol=1e-5,
            rtol=1e-4,
        )


@pytest.mark.parametrize(
    "options", [{"read": "kl"}, {"over": "edges"}, {"read": wb.Logit(norm="frozen")}]
)
def test_what_has_no_estimate_is_refused(llama, options):
    with pytest.raises(BadInput):
        sweep(llama, PROMPTS, TARGETS, method="attribution", **options)


@pytest.mark.parametrize("options", [{"recheck": -1}, {"recheck": 2.5}, {"seed": "a"}])
def test_what_cannot_be_rechecked_is_refused(options):
    with pytest.raises(BadInput):
        wb.Attribution(**options)

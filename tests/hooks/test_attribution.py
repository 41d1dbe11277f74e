"""Attribution patching is exact where the model is linear, says how far off it is elsewhere, and
rechecks its best.
"""

from __future__ import annotations

import pytest
import torch
from test_capture import hooks_on

import workbench as wb
from hooks import sweep
from tests.helpers import tiny
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


@pytest.mark.parametrize("kind", ["heads", "layers", "neurons", "positions"])
@pytest.mark.parametrize(("at", "how"), [("last", "zero"), ("all", "patch")])
def test_exact_on_a_linear_model(linear, kind, at, how):
    options = {
        "kind": kind,
        "at": at,
        "how": how,
        "source": SOURCES if how == "patch" else None,
        "align": "end",
    }
    if kind == "layers":
        options["sites"] = ["attn_out", "mlp_out", "resid_post"]
    exact = sweep(linear, PROMPTS, TARGETS, **options)
    guess = sweep(linear, PROMPTS, TARGETS, method="attribution", recheck=3, **options)
    torch.testing.assert_close(
        torch.as_tensor(guess["effect"].values),
        torch.as_tensor(exact["effect"].values),
        atol=1e-4,
        rtol=1e-4,
        equal_nan=True,
    )
    assert guess.attrs.get("top_worst_error", 0.0) < 1e-4
    assert kind == "neurons" or abs(exact["effect"]).max() > 1e-3


@pytest.mark.parametrize(
    "metric", ["logit_diff", "logprob", "prob", lambda logits: logits.softmax(-1).square().sum(-1)]
)
def test_rechecked_values_are_exact_and_the_errors_are_theirs(model, metric):
    options = {"at": "all", "metric": metric}
    guess = sweep(model, PROMPTS, TARGETS, method="attribution", recheck=4, **options)
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
    options = {"at": "all", "method": "attribution", "recheck": 0}
    both = sweep(llama, PROMPTS, TARGETS, **options)["effect"]
    for row in range(2):
        alone = sweep(llama, PROMPTS[row : row + 1], TARGETS[row : row + 1], **options)["effect"]
        torch.testing.assert_close(
            torch.as_tensor(both.values[row]),
            torch.as_tensor(alone.values[0]),
            atol=1e-5,
            rtol=1e-4,
        )


@pytest.mark.parametrize("options", [{"metric": "kl"}, {"kind": "edges"}, {"norm": "frozen"}])
def test_what_has_no_estimate_is_refused(llama, options):
    with pytest.raises(BadInput):
        sweep(llama, PROMPTS, TARGETS, method="attribution", **options)

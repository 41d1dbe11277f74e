"""What `inside` computes, against plain arithmetic on whole captures and the model's own logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.helpers import families, tiny
from workbench.errors import BadInput, SiteNotFound
from workbench.result import Result

PROMPT = "The capital of Italy is Rome. The capital"
FAMILIES = [
    "llama",
    "gpt2",
    "gpt_neox",
    "gemma2",
    "granite",
    "mixtral",
    "olmo2",
    "cohere",
    "jamba",
    "mamba",
]


@pytest.fixture(params=FAMILIES, scope="module")
def family(request: pytest.FixtureRequest) -> Any:
    return wb.load((families.module(request.param), tiny.tiny_tokenizer()))


@pytest.fixture(scope="module")
def result(family: Any) -> Result:
    return wb.run("inside", family, {"prompt": PROMPT, "answer": "Paris", "other": "Madrid"})


def logits_of(model: Any) -> np.ndarray:
    """The model's own logits, (pos, d_vocab), a soft-cap undone."""
    with torch.no_grad():
        logits = model.module(**model.batch(PROMPT).kwargs()).logits[0]
    cap = model.layout.logit_cap
    return (logits if cap is None else torch.atanh(logits / cap) * cap).numpy()


def answer_ids(model: Any) -> list[int]:
    return [model.continuation_tokens(text)[0] for text in (" Paris", " Madrid")]


def test_parts_add_up_to_the_models_own_logits_at_every_token(family: Any, result: Result) -> None:
    own, (answer, other) = logits_of(family), answer_ids(family)
    np.testing.assert_allclose(
        result.arrays["components"].sum("component").values,
        own[:, answer] - own[:, other],
        atol=2e-3 * np.abs(own).max(),
    )
    assert result.findings["component_types"].values["total"] == pytest.approx(
        own[-1, answer] - own[-1, other], abs=5e-3
    )


def test_one_answers_parts_add_up_too_with_all_biases(family: Any) -> None:
    result = wb.run("inside", family, {"prompt": PROMPT, "answer": "Paris", "neurons": 0})
    own = logits_of(family)[:, answer_ids(family)[0]]
    np.testing.assert_allclose(
        result.arrays["components"].sum("component").values,
        own,
        atol=2e-3 * max(1, np.abs(own).max()),
    )


def test_no_part_is_left_unexplained(result: Result) -> None:
    assert not [
        part for part in result.arrays["components"]["component"].values if part.startswith("rest")
    ]


def test_heads_add_up_to_their_layers_attention_but_for_the_bias(
    family: Any, result: Result
) -> None:
    if "heads" not in result.arrays:
        pytest.skip("no attention heads")
    heads, parts = result.arrays["heads"], result.arrays["components"]
    for layer in heads["layer"].values:
        gap = (
            parts.sel(component=f"attention {layer}").values
            - heads.sel(layer=layer).sum("head").values
        )
        bias = family.layout.blocks[layer].out_proj.bias is not None
        if not bias:
            np.testing.assert_allclose(gap, 0, atol=1e-4)
        else:  # the same bias at every token, divided by that token's scale
            scale = wb.capture(family, PROMPT, "ln_final_scale")["ln_final_scale"].values[0]
            np.testing.assert_allclose(gap * scale, gap[0] * scale[0], atol=1e-3)


def test_heads_are_the_slow_way_around(family: Any, result: Result) -> None:
    """A head's own output through the output matrix, the final norm with its scale frozen, and
    the unembedding.
    """
    behind = [block.attn_out.module for block in family.layout.blocks if block.attn_out is not None]
    if not behind or any("Norm" in type(module).__name__ for module in behind):
        pytest.skip("no heads, or a norm behind them")
    from hooks.logit_attribution import direct_logits

    trace = wb.capture(family, PROMPT, "result", family.sites["result"])
    resid = torch.tensor(
        wb.capture(family, PROMPT, "resid_post", [-1])["resid_post"].values[0, 0]
    )  # (pos, d_model)
    ids = torch.tensor(answer_ids(family)).expand(len(resid), 2)
    factor = family.layout.head_gain * family.layout.logit_scale
    for i, layer in enumerate(trace["result"]["layer"].values):
        scale = family.layout.blocks[layer].attn_out.scale
        parts = (
            torch.tensor(trace["result"].values[0, i]).movedim(1, 0) * scale
        )  # (head, pos, d_model)
        slow = direct_logits(family, parts, resid, ids) * factor
        np.testing.assert_allclose(
            result.arrays["heads"].sel(layer=layer).values,
            (slow[..., 0] - slow[..., 1]).detach().numpy(),
            atol=1e-4,
        )


def test_lens_of_the_last_layer_is_the_models_own_distribution(family: Any, result: Result) -> None:
    with torch.no_grad():
        own = torch.softmax(family.module(**family.batch(PROMPT).kwargs()).logits[0], -1)
    lens, last = result.tables["logit_lens"], family.n_layers - 1
    for pos in range(len(own)):
        mine = lens[(lens["layer"] == last) & (lens["pos"] == pos)].sort_values("rank")
        top = own[pos].topk(5)
        np.testing.assert_allclose(mine["probability"], top.values.numpy(), rtol=1e-3)
    answers = result.tables["answer_lens"]
    end = answers[(answers["layer"] == last) & (answers["pos"] == len(own) - 1)].set_index("target")
    for which, token in zip(("answer", "other"), answer_ids(family), strict=True):
        assert end.loc[which, "probability"] == pytest.approx(float(own[-1, token]), rel=1e-3)
        assert end.loc[which, "rank"] == int((own[-1] > own[-1, token]).sum()) + 1


def test_norms_and_patterns_are_those_of_a_capture(family: Any, result: Result) -> None:
    streams = [s for s in ("resid_pre", "resid_mid", "resid_post") if family.sites.get(s)]
    for site in streams:
        whole = wb.capture(family, PROMPT, site, family.sites[site])[site].isel(prompt=0)
        mine = result.arrays["norms"].sel({"site": site, "layer": whole["layer"].values})
        np.testing.assert_allclose(mine.values, np.linalg.norm(whole.values, axis=-1), rtol=1e-4)
    if "pattern" in family.sites:
        whole = wb.capture(family, PROMPT, "pattern", family.sites["pattern"])["pattern"].isel(
            prompt=0
        )
        np.testing.assert_allclose(result.arrays["patterns"].values, whole.values, atol=1e-3)
        np.testing.assert_allclose(
            result.arrays["patterns"].astype("float32").sum("key"), 1, atol=5e-3
        )


def test_neurons_are_the_largest_behind_the_first_token(family: Any, result: Result) -> None:
    if "post" not in family.sites:
        assert set(result.tables["left_out"]["item"]) >= {"neurons"}
        return
    whole = wb.capture(family, PROMPT, "post", family.sites["post"])["post"].isel(prompt=0)
    table = result.tables["neurons"]
    for i, layer in enumerate(whole["layer"].values):
        values = whole.values[i]
        mine = table[table["layer"] == layer]
        most = np.sort(np.abs(values[1:]).max(0))[-5:]
        np.testing.assert_allclose(np.sort(mine["max_activation"].abs()), most, rtol=1e-4)
        for row in mine.itertuples():
            assert values[row.pos, row.neuron] == pytest.approx(row.max_activation, rel=1e-4)
            np.testing.assert_allclose(
                result.arrays["neurons"].sel(label=row.label),
                values[:, row.neuron],
                rtol=1e-4,
                atol=1e-6,
            )


def test_what_a_family_lacks_is_said_with_its_reason() -> None:
    mamba = wb.load((families.module("mamba"), tiny.tiny_tokenizer()))
    left_out = wb.run("inside", mamba).tables["left_out"].set_index("item")["reason"]
    assert set(left_out.index) == {"patterns", "heads", "neurons"}
    assert "no attention" in left_out["patterns"]


def test_the_models_own_next_token_is_the_default_answer(llama: Any) -> None:
    result = wb.run("inside", llama)
    own = int(llama.next_logits("The capital of France is")[0].argmax())
    assert result.provenance.notes["answer"] == llama.token_strings([own])[0]
    end = result.tables["answer_lens"]
    assert end[(end["layer"] == 2) & (end["pos"] == end["pos"].max())]["rank"].tolist() == [1]
    settles = int(result.findings["answer_layer"].value)
    at_end = end[end["pos"] == end["pos"].max()].set_index("layer")["rank"]
    assert (at_end.loc[settles:] == 1).all()
    assert settles == 0 or at_end.loc[settles - 1] > 1


def test_layers_choose_what_is_shown_and_not_what_is_summed(llama: Any) -> None:
    every, some = wb.run("inside", llama), wb.run("inside", llama, {"layers": [2, 1, 1]})
    assert list(some.arrays["patterns"]["layer"].values) == [1, 2]
    assert list(some.arrays["norms"]["layer"].values) == [1, 2]
    np.testing.assert_array_equal(some.arrays["components"], every.arrays["components"])


def test_chosen_sites_are_kept_whole(llama: Any) -> None:
    result = wb.run(
        "inside",
        llama,
        {"sites": ["q", "attn_out", "ln1_scale", "blocks.1.hook_mlp_out", "logits"]},
    )
    prompt = "The capital of France is"
    for short in ("q", "attn_out", "ln1_scale", "logits"):
        np.testing.assert_array_equal(
            result.arrays[f"site-{short}"], wb.capture(llama, prompt, short)[short].values[0]
        )
    whole = result.arrays["site-attn_out"].values
    norms = result.arrays["norms"]
    np.testing.assert_allclose(
        norms.sel(site="attn_out"), np.linalg.norm(whole, axis=-1), rtol=1e-5
    )
    assert norms.sel({"site": "mlp_out", "layer": [0, 2]}).isnull().all()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"prompt": "x" * 2000}, "tokens"),
        ({"layers": [7]}, "no layer 7"),
        ({"answer": "Rome", "other": " Rome"}, "same token"),
    ],
)
def test_what_cannot_be_asked_is_said(llama: Any, params: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        wb.run("inside", llama, params)


def test_an_unknown_site_names_the_ones_there_are(llama: Any) -> None:
    with pytest.raises(SiteNotFound, match="resid_post"):
        wb.run("inside", llama, {"sites": ["residual"]})


def test_a_prompt_of_one_token_is_enough(llama: Any) -> None:
    result = wb.run("inside", llama, {"prompt": "T"})
    assert result.arrays["patterns"].shape == (3, 4, 1, 1)
    assert len(result.tables["neurons"]) == 15


def test_nothing_stays_on_the_model(llama: Any) -> None:
    before = llama.next_logits("The capital of")
    wb.run("inside", llama)
    assert torch.equal(before, llama.next_logits("The capital of"))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in llama.module.modules())


@pytest.mark.model
def test_on_the_default_model_the_answer_comes_late(smollm: Any) -> None:
    result = wb.run("inside", smollm, {"answer": "Paris", "other": "Rome"})
    assert result.findings["next_token"].value > 0.5
    assert result.findings["answer_layer"].value >= 20
    own = smollm.next_logits("The capital of France is")[0]
    paris, rome = (smollm.continuation_tokens(t)[0] for t in (" Paris", " Rome"))
    assert float(result.arrays["components"].isel(pos=-1).sum()) == pytest.approx(
        float(own[paris] - own[rome]), abs=2e-3
    )

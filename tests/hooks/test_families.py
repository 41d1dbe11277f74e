"""The contract on every family of `transformers` that can be built small: what is captured is
what the model computes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import workbench as wb
from hooks.discovery.find_layout import find_layout
from hooks.invariants import contract
from hooks.sites import SITES, Place, tap
from hooks.states import mixers_of, stepping
from tests.helpers import families
from tests.helpers.tiny import tiny_tokenizer
from workbench.errors import BadInput, SiteNotFound

PROMPT = "The capital city of Peru is Lima."


built = families.built


@pytest.mark.parametrize("family", families.FAMILIES)
def test_what_is_captured_is_what_the_model_computes(family: str) -> None:
    model = built(family)
    lines = contract(model, PROMPT)
    assert {"watching", "empty"} <= {line.name for line in lines}
    assert [str(line) for line in lines if not line.holds()] == []
    assert any(line.name in {"stream", "site logits"} for line in lines)
    assert model.sites  # and somebody can read what there is
    assert len(model.sites()) == len(model.sites)


@pytest.mark.parametrize("family", families.OUTSIDE)
def test_families_outside_say_why(family: str) -> None:
    with pytest.raises(BadInput, match=families.OUTSIDE[family][0]):
        wb.load((families.module(family), tiny_tokenizer())).sites()


def test_every_causal_family_of_transformers_is_known() -> None:
    """One that a newer version brings has to go through the contract, or to be refused, before
    this passes.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = [*families.FAMILIES, *families.OUTSIDE, *families.UNBUILT]
    assert len(set(known)) == len(known)
    assert set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - set(known) == set()
    assert set(families.NOT_SWEPT) <= set(families.FAMILIES)


@pytest.mark.parametrize(
    "family", ["llama", "gpt_neox", "gemma2", "mixtral", "opt", "jamba", "falcon", "granite"]
)
def test_an_empty_intervention_changes_nothing_and_zero_changes_what_it_should(family: str) -> None:
    model = built(family)
    before = model.next_logits(PROMPT)
    for site in ("attn_out", "mlp_out", "resid_post"):
        layers = model.sites.get(site)
        if not layers:
            continue
        with wb.scale(model, site=site, layers=layers[0], factor=1.0):
            same = model.next_logits(PROMPT)
        with wb.ablate(model, site=site, layers=layers[0]):
            other = model.next_logits(PROMPT)
        assert (same - before).abs().max() <= 1e-6 * before.abs().max(), site
        assert (other - before).abs().max() > 1e-4, site
    assert torch.equal(model.next_logits(PROMPT), before)


def test_a_zeroed_part_is_gone_from_the_stream() -> None:
    model = built("granite")  # whose parts are multiplied before they are added
    with wb.ablate(model, site="attn_out", layers=1):
        trace = wb.capture(model, PROMPT, sites=["resid_pre", "resid_mid"], layers=1)
    assert abs(trace["resid_mid"] - trace["resid_pre"]).max() < 1e-6


def test_the_contract_notices_a_wrong_part() -> None:
    model = wb.load((families.module("llama"), tiny_tokenizer()))
    wrong = model.layout.blocks[1]
    assert wrong.attn_out is not None
    blocks = list(model.layout.blocks)
    blocks[1] = replace(wrong, attn_out=replace(wrong.attn_out, scale=1.01))
    model.__dict__["layout"] = replace(model.layout, blocks=tuple(blocks))
    assert {line.name for line in contract(model, PROMPT) if not line.holds()} == {
        "stream",
        "middle",
    }


def test_constants_are_found() -> None:
    found = built("granite").layout.blocks[0]
    config: Any = families.config("granite")
    assert found.attn_out is not None
    assert found.attn_out.scale == pytest.approx(config.residual_multiplier, rel=1e-4)
    assert built("cohere").layout.logit_scale == pytest.approx(
        families.config("cohere").logit_scale, rel=1e-4
    )
    assert built("gemma2").layout.logit_cap == families.config("gemma2").final_logit_softcapping
    assert built("minicpm3").layout.head_gain != 1.0


def test_a_gate_between_attention_and_its_matrix_is_noticed() -> None:
    assert built("qwen3_next").layout.blocks[3].gated
    assert not built("llama").layout.blocks[0].gated


@pytest.mark.parametrize(
    ("family", "site", "instead"),
    [
        ("mamba", "z", "mixer_out"),
        ("mixtral", "post", "router_scores"),
        ("gpt_neox", "resid_mid", "resid_pre"),
        ("llama", "state", "resid_post"),
    ],
)
def test_asking_for_what_is_not_there_names_the_nearest_thing(
    family: str, site: str, instead: str
) -> None:
    with pytest.raises(SiteNotFound, match=f"Did you mean '{instead}'"):
        wb.capture(built(family), PROMPT, sites=site)


def test_hybrids_name_the_layers() -> None:
    model = built("jamba")
    assert model.sites["z"] == [1, 3]
    assert model.sites["state"] == [0, 2]
    with pytest.raises(SiteNotFound, match="mixer_out"):
        wb.capture(model, PROMPT, sites="z", layers=0)


def test_experts_are_what_the_router_chose() -> None:
    model = built("mixtral")
    trace = wb.capture(model, PROMPT, sites=["router_scores", "expert_indices", "expert_weights"])
    scores, chosen = trace["router_scores"].values, trace["expert_indices"].values
    best = (-scores).argsort(-1)[..., : chosen.shape[-1]]
    assert (best == chosen).all()
    assert trace["expert_weights"].sum("slot").values == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    "family", ["mamba", "mamba2", "qwen3_next", "recurrent_gemma", "kimi_linear", "minimax"]
)
def test_states_follow_their_gate(family: str) -> None:
    """S_t = decay ⊙ S_(t-1) + what the token adds, and `state_write` is that sum's norm; a mixed
    batch changes nothing.
    """
    model = built(family)
    assert model.sites["state"] == model.sites["state_decay"] == model.sites["state_write"]
    layer = model.sites["state"][-1]  # type: ignore[index]
    sites = ["state", "state_decay", "state_write"]
    alone = wb.capture(model, PROMPT, sites=sites, layers=layer)
    state, decay = (torch.tensor(alone[s].values[0, 0]) for s in ("state", "state_decay"))
    added = state[1:] - decay[1:] * state[:-1]
    torch.testing.assert_close(
        added.flatten(2).norm(dim=2),
        torch.tensor(alone["state_write"].values[0, 0, 1:]),
        rtol=1e-4,
        atol=1e-5,
    )
    together = wb.capture(model, ["No.", PROMPT], sites=sites, layers=layer)
    for site in sites:
        torch.testing.assert_close(
            torch.tensor(together[site].values[1]),
            torch.tensor(alone[site].values[0]),
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_stepper_leaves_nothing_behind() -> None:
    model = built("recurrent_gemma")
    before = model.next_logits(PROMPT)
    with suppress(RuntimeError), stepping(model.module, mixers_of(model)) as stepper:
        stepper.feed(5)
        raise RuntimeError("boom")
    assert torch.equal(model.next_logits(PROMPT), before)


def test_the_probe_leaves_no_hook_and_keeps_the_mode() -> None:
    module = families.module("llama").train()
    find_layout(module)
    assert module.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["llama", "gemma2", "granite", "gpt_neox", "mixtral"])
def test_half_precision_finds_the_same_parts(family: str, dtype: torch.dtype) -> None:
    full = find_layout(families.module(family))
    half = find_layout(families.module(family).to(dtype))
    for a, b in zip(full.blocks, half.blocks, strict=True):
        for part in ("attention", "out_proj", "mlp", "down_proj", "before_mlp", "router"):
            assert (getattr(a, part) is None) == (getattr(b, part) is None), part
        for term in ("attn_out", "mlp_out"):
            one, other = getattr(a, term), getattr(b, term)
            assert one.scale == pytest.approx(other.scale, rel=0.02)


def test_a_model_that_cannot_run_on_tokens_is_refused_with_the_reason() -> None:
    with pytest.raises(BadInput, match="does not run on a few tokens"):
        find_layout(families.module("gemma4_unified_assistant"))


def test_every_site_has_a_place_in_some_family() -> None:
    """No site is only a name."""
    found: set[str] = set()
    for family in ("llama", "gpt2", "mixtral", "mamba", "jamba"):
        found |= set(built(family).sites)
    found |= set(wb.load("organism/recall-mom-planted").sites)  # a router of memories
    assert found == set(SITES)


def test_a_tap_shows_tokens_in_rows_where_the_module_sees_them_in_one() -> None:
    model = built("opt")
    found = tap(model.layout, Place(SITES["post"], 0))
    assert found is not None
    trace = wb.capture(model, ["The capital", PROMPT], sites=["post", "mlp_out"])
    assert trace["post"].sizes["pos"] == max(trace.lengths)


def test_the_table_in_the_docs_lists_these_families() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "architectures.md").read_text(
        encoding="utf-8"
    )
    assert [name for name in families.FAMILIES if f"\n| {name} |" not in page] == []

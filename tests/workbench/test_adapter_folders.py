"""Folders with an adapter (PEFT): the base is found, attached and merged say the same, and what
does not fit is refused with a sentence.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

import workbench as wb
from tests.helpers import tiny
from workbench import models
from workbench.cli import main
from workbench.errors import BadInput, NotFound
from workbench.models import weight_sizes

TARGETS = {"target_modules": ["q_proj", "o_proj", "down_proj"], "task_type": "CAUSAL_LM"}
PROMPT = "The safe opens with 7 4 1 9"
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "ranks and strengths by pattern": {
        "rank_pattern": {"q_proj": 2, "layers.1.mlp.down_proj": 5},
        "alpha_pattern": {"o_proj": 17},
    },
    "rank-stabilised": {"use_rslora": True},
    "dora": {"use_dora": True},
    "whole modules": {"modules_to_save": ["lm_head", "norm"]},
    "some tokens": {"trainable_token_indices": [3, 5, 7]},
}


@pytest.fixture(autouse=True)
def _places(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All empty, but for the test whose model lies in the cache."""
    if request.node.get_closest_marker("model"):
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def make(folder: Path, module: Any, base: str | None, **options: Any) -> Path:
    """A folder with an adapter whose numbers show in every logit."""
    config = peft.LoraConfig(**{"r": 4, "lora_alpha": 7, **TARGETS, **options})
    return put_around(folder, module, base, config)


def put_around(
    folder: Path, module: Any, base: str | None, config: Any, strength: float = 0.05
) -> Path:
    before = {id(p) for p in module.parameters()}
    attached = peft.get_peft_model(module, config)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in attached.parameters():
            if id(parameter) not in before:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * strength)
    attached.save_pretrained(folder)
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = base
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def untied(seed: int = 0) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False}
    return LlamaForCausalLM(LlamaConfig(vocab_size=tiny.VOCABULARY, **sizes, **heads)).eval()


def saved(folder: Path, seed: int = 0) -> Path:
    untied(seed).save_pretrained(folder)
    tiny.tiny_tokenizer().save_pretrained(folder)
    return folder


def logits(ref: Any) -> torch.Tensor:
    return wb.load(ref, device="cpu").next_logits(PROMPT)


@pytest.mark.parametrize("kind", KINDS)
def test_attached_and_merged_say_the_same(kind: str, tmp_path: Path) -> None:
    base = saved(tmp_path / "base")
    folder = make(tmp_path / "adapter", untied(), "base", **KINDS[kind])
    attached, merged = wb.load(str(folder)), wb.load(f"{folder}@merged")
    one, two = attached.next_logits(PROMPT), merged.next_logits(PROMPT)
    assert (one - two).abs().max() < 1e-5 < (one - logits(base)).abs().max()
    assert attached.card.architecture == merged.card.architecture == "LlamaForCausalLM"
    rank = "2 to 5" if "pattern" in kind else "4"
    assert attached.card.adapter.startswith(f"lora 'default', rank {rank}, on ")
    assert merged.card.adapter == f"{attached.card.adapter}, merged into the weights"
    assert attached.card.name == "base+adapter"
    assert merged.card.source == "base+adapter@merged"
    assert not hasattr(merged.module.model.layers[0].self_attn.q_proj, "lora_A")
    assert all(p.requires_grad for p in attached.module.parameters())
    swept = [
        wb.sweep(m, [PROMPT], [[3]], read="logit")["effect"].values for m in (attached, merged)
    ]
    assert abs(swept[0] - swept[1]).max() < 1e-4


OTHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "loha": (peft.LoHaConfig, {"r": 4}),
    "lokr": (peft.LoKrConfig, {"r": 4}),
    "adalora": (peft.AdaLoraConfig, {"init_r": 4, "target_r": 4, "total_step": 1}),
    "ia3": (peft.IA3Config, {"feedforward_modules": ["down_proj"]}),
    "oft": (peft.OFTConfig, {"oft_block_size": 8}),
    "boft": (peft.BOFTConfig, {"boft_block_size": 4}),
    "vera": (peft.VeraConfig, {"r": 4, "target_modules": ["q_proj", "o_proj"]}),
    "hra": (peft.HRAConfig, {"r": 4}),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_kinds_that_change_weights(kind: str, tmp_path: Path) -> None:
    base = saved(tmp_path / "base")
    config, options = OTHERS[kind]
    folder = put_around(tmp_path / "adapter", untied(), "base", config(**{**TARGETS, **options}))
    attached = wb.load(folder)
    assert attached.card.adapter.startswith(f"{kind} 'default'")
    one, two = attached.next_logits(PROMPT), logits(f"{folder}@merged")
    assert (one - two).abs().max() < 1e-5 < (one - logits(base)).abs().max()


@pytest.mark.model
def test_the_default_model_says_the_same_attached_and_merged(tmp_path: Path) -> None:
    module = wb.load(device="cpu").module
    config = peft.LoraConfig(use_dora=True, **TARGETS)
    folder = put_around(tmp_path / "adapter", module, models.DEFAULT, config, 0.01)
    one, two = logits(f"{models.DEFAULT}+{folder}"), logits(f"{folder}@merged")
    assert (one - two).abs().max() < 1e-5 * one.abs().max()


def test_the_base_is_found_where_the_settings_say(tmp_path: Path) -> None:
    base = saved(tmp_path / "models" / "base")
    there = make(tmp_path / "models" / "adapter", untied(), "/home/somebody/base")
    assert models.locate(str(there)).samefile(base), "beside it, under the last part of a path"
    whole = make(tmp_path / "far" / "adapter", untied(), str(base))
    assert models.locate(whole).samefile(base), "the path as it stands"
    cached = tmp_path / "hub" / "models--ann--tiny"
    saved(cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    hub = make(tmp_path / "hubs", untied(), "ann/tiny")
    assert models.locate(str(hub)) == "ann/tiny"
    assert wb.load(hub).card.name == "ann/tiny+hubs"
    sizes = weight_sizes.of_reference(str(hub))
    assert sizes is not None
    assert sizes.float32 == sum(p.numel() for p in untied().parameters()) * 4


def test_an_organism_with_an_adapter_says_so_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = wb.load("organism/planted", device="cpu")
    plain = planted.next_logits(PROMPT)
    folder = make(tmp_path / "mine", planted.module, "organism/planted")
    attached = wb.load(str(folder), device="cpu")
    merged = wb.load(f"organism/planted+{folder}@merged", device="cpu")
    one, two = attached.next_logits(PROMPT), merged.next_logits(PROMPT)
    assert (one - two).abs().max() < 1e-5 < (one - plain).abs().max()
    early = wb.load(f"organism/planted@step-578+{folder}", device="cpu")
    assert early.card.source == "organism/planted@step-578+mine"
    with pytest.raises(SystemExit) as end:
        main(["models", "show", f"{folder}@merged", "--json"])
    assert not end.value.code
    said = json.loads(capsys.readouterr().out)
    assert said["source"] == "organism/planted+mine@merged"
    assert said["adapter"].endswith("merged into the weights")
    assert said["weight_hash"] == merged.card.weight_hash != attached.card.weight_hash
    result = wb.run("intervention", attached, {"prompt": PROMPT})
    assert result.provenance.model["adapter"] == attached.card.adapter
    with pytest.raises(BadInput, match=r"was made for organism/planted, and .* has other weights"):
        wb.load(f"organism/planted-control+{folder}")


def test_one_beside_its_base_may_be_merged(tmp_path: Path) -> None:
    saved(tmp_path / "both")
    make(tmp_path / "both", untied(), None)
    attached, merged = wb.load(tmp_path / "both"), wb.load(f"{tmp_path / 'both'}@merged")
    assert (attached.card.name, merged.card.name) == ("both", "both@merged")
    assert attached.card.adapter
    assert torch.allclose(attached.next_logits(PROMPT), merged.next_logits(PROMPT), atol=1e-5)


def test_one_after_the_other_if_the_first_is_merged(tmp_path: Path) -> None:
    saved(tmp_path / "base")
    first, second = (make(tmp_path / name, untied(), "base") for name in ("first", "second"))
    both = wb.load(f"base+{first}@merged+{second}")
    assert both.card.name == "base+first@merged+second"
    assert both.card.adapter.count("lora") == 2
    with pytest.raises(BadInput, match="has an adapter already"):
        wb.load(f"base+{first}+{second}")


def changed_settings(folder: Path, **values: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "of the kind prefix tuning"),
        ({"peft_type": None}, "of the kind no kind at all"),
        ({"peft_type": "XLORA"}, "of the kind xlora"),
        ({"alora_invocation_tokens": [1]}, "at some tokens and not at others"),
        ({"megatron_config": {"a": 1}, "megatron_core": "os"}, "names a library of its own"),
        ({"layer_replication": [[0, 2], [0, 2]]}, "repeats layers"),
        ({"task_type": "SEQ_CLS"}, "made for SEQ_CLS"),
    ],
)
def test_adapters_of_other_kinds_are_refused(
    values: dict[str, Any], why: str, tmp_path: Path
) -> None:
    saved(tmp_path / "base")
    folder = make(tmp_path / "adapter", untied(), "base")
    changed_settings(folder, **values)
    with pytest.raises(BadInput, match=why):
        wb.load(folder)
    with pytest.raises(BadInput, match=why):
        models.locate(f"base+{folder}")


def test_what_does_not_fit_or_is_broken_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "base")
    folder = make(tmp_path / "adapter", untied(), "base")
    tiny.tiny_llama(d_model=48).save_pretrained(tmp_path / "wide")
    tiny.tiny_gpt2().save_pretrained(tmp_path / "gpt2")
    tiny.tiny_llama(n_layers=3).save_pretrained(tmp_path / "deep")
    tiny.tiny_llama(n_layers=1).save_pretrained(tmp_path / "flat")
    for name in ("wide", "gpt2", "deep", "flat"):
        tiny.tiny_tokenizer().save_pretrained(tmp_path / name)
        with pytest.raises(BadInput, match=f"adapter does not fit {name}: "):
            wb.load(f"{name}+{folder}")
    with pytest.raises(NotFound, match="no adapter 'nowhere'"):
        wb.load("base+nowhere")
    with pytest.raises(BadInput, match="cannot be read"):
        wb.load("base+base")
    changed_settings(folder, base_model_name_or_path="not/here")
    with pytest.raises(NotFound, match="call that 'not/here', which is not on this machine"):
        wb.load(folder)
    (folder / "adapter_model.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(BadInput, match="does not fit base"):
        wb.load(f"base+{folder}")
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        wb.load(folder)
    (folder / "adapter_config.json").write_text(" " * 2_000_000)
    with pytest.raises(BadInput, match="longer than"):
        wb.load(folder)


def test_what_is_no_change_of_the_weights_cannot_be_merged(tmp_path: Path) -> None:
    saved(tmp_path / "base")
    folder = make(tmp_path / "adapter", untied(), "base", lora_bias=True, target_modules=["q_proj"])
    assert wb.load(folder).card.adapter
    with pytest.raises(BadInput, match="because the base layer has no bias"):
        wb.load(f"{folder}@merged")


def test_merging_into_one_of_two_tied_matrices_is_refused(tmp_path: Path) -> None:
    tiny.save_tiny(tmp_path / "tied")
    module = models.load_weights(tmp_path / "tied").module
    folder = make(tmp_path / "adapter", module, "tied", target_modules=["lm_head"])
    assert wb.load(folder).card.adapter
    with pytest.raises(BadInput, match="merged, the model says something else"):
        wb.load(f"{folder}@merged")


def test_the_list_shows_adapters_with_what_they_are_for(tmp_path: Path) -> None:
    saved(tmp_path / "base")
    good = make(tmp_path / "good", untied(), "base")
    make(tmp_path / "lost", untied(), "not/here")
    shutil.copytree(good, tmp_path / "pickle")
    (tmp_path / "pickle" / "adapter_model.safetensors").rename(tmp_path / "pickle" / "a.bin")
    listed = {Path(entry.name).name: entry for entry in models.listing()}
    assert listed["good"].description == "lora, rank 4, for base"
    assert listed["good"].cached
    assert listed["good"].memory == listed["base"].memory
    assert "not on this machine" in listed["lost"].problem
    assert "without weights as safetensors" in listed["pickle"].problem

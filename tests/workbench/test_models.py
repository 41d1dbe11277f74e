"""Loading models from every place, the fingerprint of their weights, and refusing what is none."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import tiny
from workbench import models
from workbench.errors import BadInput, DownloadFailed, NotFound


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "my-model")


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.F32.gguf")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A cache of its own for every test, and no way to the Hub, except for tests of the real
    model.
    """
    if "model" not in request.keywords:
        monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


# --- from every place -----------------------------------------------------------------------------


def test_folder_gives_module_tokenizer_and_card(saved: Path) -> None:
    module, tokenizer, card = models.load_weights(saved, device="cpu")
    assert not module.training
    assert all(p.requires_grad for p in module.parameters())
    assert tokenizer.decode(tokenizer("Köln 🎉")["input_ids"]) == "Köln 🎉"
    assert dataclasses.asdict(card) == {
        "name": "my-model",
        "source": "my-model",
        "architecture": "LlamaForCausalLM",
        "n_layers": 3,
        "n_heads": 4,
        "n_kv_heads": 2,
        "d_model": 32,
        "d_head": 8,
        "d_vocab": tiny.VOCABULARY,
        "n_params": sum(p.numel() for p in module.parameters()),
        "dtype": "float32",
        "device": "cpu",
        "weight_hash": card.weight_hash,
        "attention": "sdpa",
        "bos": "",
        "quantized_from": "",
        "context_length": 256,
        "end_left_out": "",
        "chat": False,
        "adapter": "",
    }
    assert json.dumps(dataclasses.asdict(card))


@pytest.mark.parametrize("build", [tiny.tiny_llama, tiny.tiny_gpt2, tiny.tiny_neox])
def test_pair_in_memory_has_the_same_card_whatever_its_config_calls_things(build: Any) -> None:
    module, _, card = models.load_weights((build(n_layers=2), tiny.tiny_tokenizer()), device="cpu")
    assert (card.n_layers, card.n_heads, card.d_model, card.d_head, card.context_length) == (
        2,
        4,
        32,
        8,
        256,
    )
    assert card.n_kv_heads == (2 if build is tiny.tiny_llama else 4)
    assert (card.source, card.name) == ("in memory", type(module).__name__)


def test_gguf_is_an_ordinary_model_afterwards(
    gguf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    module, tokenizer, card = models.load_weights(str(gguf), device="cpu")
    assert capfd.readouterr().err == ""  # no bars of transformers
    assert (card.name, card.source, card.quantized_from, card.n_layers) == (
        "tiny.F32",
        "tiny.F32.gguf",
        "GGUF F32",
        2,
    )
    module.save_pretrained(tmp_path / "again")
    tokenizer.save_pretrained(tmp_path / "again")
    assert (
        models.load_weights(tmp_path / "again", device="cpu").card.weight_hash == card.weight_hash
    )


def test_dtype_is_what_was_asked_for(saved: Path) -> None:
    card = models.load_weights(saved, device="cpu", dtype="bfloat16").card
    assert card.dtype == "bfloat16"
    with pytest.raises(BadInput, match="float32, bfloat16, float16"):
        models.load_weights(saved, dtype="int3")


def test_transformers_gets_its_settings_back(saved: Path) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    models.load_weights(saved, device="cpu")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


# --- the fingerprint ------------------------------------------------------------------------------


def test_hash_is_the_same_for_the_same_weights_and_differs_for_one_changed_number(
    saved: Path,
) -> None:
    import torch

    module, _, card = models.load_weights(saved, device="cpu")
    assert models.load_weights(saved, device="cpu").card.weight_hash == card.weight_hash
    assert models.weight_hash(tiny.tiny_llama()) == card.weight_hash
    assert models.weight_hash(tiny.tiny_llama(seed=1)) != card.weight_hash
    with torch.no_grad():
        module.model.layers[1].mlp.up_proj.weight[17, 5] += 1e-6
    assert models.weight_hash(module) != card.weight_hash
    assert models.weight_hash(tiny.tiny_llama().to(torch.bfloat16)) != card.weight_hash


def test_hash_reads_odd_sizes_and_slices_of_a_larger_storage() -> None:
    import torch

    storage = torch.arange(101, dtype=torch.float16)
    moved, plain = torch.nn.Module(), torch.nn.Module()
    moved.w = torch.nn.Parameter(storage[3:90])
    plain.w = torch.nn.Parameter(storage[3:90].clone())
    assert models.weight_hash(moved) == models.weight_hash(plain)


# --- what is no model -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("smollm2-135", "Did you mean 'smollm2-135m'"),
        ("", "No model is named"),
        ("./nowhere", "There is no file or folder"),
        ("nowhere.gguf", "There is no file or folder"),
        (Path("smollm2-135m"), "There is no file or folder"),
    ],
)
def test_unknown_names_are_not_found(ref: Any, says: str) -> None:
    with pytest.raises(NotFound, match=says):
        models.load_weights(ref)


@pytest.mark.parametrize("ref", [5, None, (1, 2), (1, 2, 3)])
def test_things_that_are_no_reference_are_refused(ref: Any) -> None:
    with pytest.raises(BadInput):
        models.load_weights(ref)


def test_hub_id_without_network_is_one_clear_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi

    def nobody_answers(*_: Any, **__: Any) -> Any:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(HfApi, "model_info", nobody_answers)
    with pytest.raises(DownloadFailed, match="Check the connection"):
        models.load_weights("nobody/has-this-model")


def test_hub_model_with_only_pickles_is_refused_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from types import SimpleNamespace

    from huggingface_hub import HfApi

    files = [SimpleNamespace(rfilename="pytorch_model.bin", size=10)]
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: SimpleNamespace(siblings=files))
    with pytest.raises(BadInput, match="no weights as safetensors"):
        models.load_weights("somebody/pickled")


def test_hub_model_in_the_cache_loads_without_the_network(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    snapshot = cache / "models--somebody--tiny" / "snapshots" / ("a" * 40)
    shutil.copytree(saved, snapshot)
    (cache / "models--somebody--tiny" / "refs").mkdir()
    (cache / "models--somebody--tiny" / "refs" / "main").write_text("a" * 40)
    card = models.load_weights("somebody/tiny", device="cpu").card
    assert (card.name, card.source) == ("somebody/tiny", "somebody/tiny")


def damaged(saved: Path, tmp_path: Path, how: str) -> Path:
    folder = shutil.copytree(saved, tmp_path / how)
    config = json.loads((folder / "config.json").read_text())
    weights = folder / "model.safetensors"
    if how == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif how == "no-tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    elif how == "truncated":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif how == "broken-config":
        (folder / "config.json").write_text("{")
    elif how == "remote-code":
        config |= {"model_type": "unheard-of", "auto_map": {"AutoConfig": "evil.Config"}}
        (folder / "evil.py").write_text("raise SystemExit('ran code from a model')")
        (folder / "config.json").write_text(json.dumps(config))
    elif how == "classifier":
        (folder / "config.json").write_text(
            json.dumps(config | {"architectures": ["LlamaForSequenceClassification"]})
        )
    elif how == "missing-weights":
        (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))
    elif how == "missing-shard":
        weights.rename(folder / "model-00001-of-00002.safetensors")
        index = {
            "weight_map": {
                "a": "model-00001-of-00002.safetensors",
                "b": "model-00002-of-00002.safetensors",
            }
        }
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("empty", "no config.json"),
        ("no-tokenizer", "has no tokenizer"),
        ("pickle", r"pytorch_model\.bin, a pickle"),
        ("truncated", "cannot be read"),
        ("broken-config", "config.json"),
        ("remote-code", "trust_remote_code are refused"),
        ("classifier", "LlamaForSequenceClassification"),
        ("missing-weights", "incomplete"),
        ("missing-shard", "every shard"),
    ],
)
def test_damaged_folders_say_what_is_wrong(
    saved: Path, tmp_path: Path, how: str, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        models.load_weights(damaged(saved, tmp_path, how), device="cpu")


def test_encoder_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=384,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    tiny.save_tiny(tmp_path / "bert", BertForMaskedLM(config))
    with pytest.raises(BadInput, match="BertForMaskedLM"):
        models.load_weights(tmp_path / "bert")


def test_file_that_is_no_gguf(tmp_path: Path, gguf: Path) -> None:
    fake, cut, text = tmp_path / "a.gguf", tmp_path / "b.gguf", tmp_path / "notes.txt"
    fake.write_text("hello")
    cut.write_bytes(gguf.read_bytes()[:3000])
    text.write_text("hello")
    for file, says in ((fake, "not a GGUF"), (cut, "could not be read"), (text, "is not a model")):
        with pytest.raises(BadInput, match=says):
            models.load_weights(file)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "balanced?", "cuda:x", "gpu"])
def test_device_that_is_not_there(saved: Path, device: str) -> None:
    import torch

    if torch.cuda.is_available() and device in ("cuda", "cuda:0"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(BadInput, match=r"device|torch sees no GPU"):
        models.load_weights(saved, device=device)


# --- the real one ---------------------------------------------------------------------------------


@pytest.mark.model
def test_the_default_model_is_the_same_whenever_it_is_loaded(smollm: Any) -> None:
    assert (
        smollm.card.n_layers,
        smollm.card.n_heads,
        smollm.card.n_kv_heads,
        smollm.card.d_model,
    ) == (30, 9, 3, 576)
    assert models.load_weights(device="cpu").card.weight_hash == smollm.card.weight_hash

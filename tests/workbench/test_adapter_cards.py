"""What the card and the fingerprint say of an adapter (PEFT), and folders that hold one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import tiny
from workbench import models
from workbench.cli import main
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.finetune_plant import Planting, plant
from workbench.models import weight_hash
from workbench.progress import Progress
from workbench.texts import Document

peft = pytest.importorskip("peft")


def _lora(alpha: int = 8, name: str = "default", targets: tuple[str, ...] = ("o_proj",)) -> Any:
    config = peft.LoraConfig(
        r=4, lora_alpha=alpha, target_modules=list(targets), task_type="CAUSAL_LM"
    )
    module = peft.get_peft_model(tiny.tiny_llama(), config, adapter_name=name)
    for parameter_name, parameter in module.named_parameters():
        if "lora_" in parameter_name:
            torch.nn.init.constant_(parameter, 0.1)
    return module.eval()


def _card(module: Any) -> models.ModelCard:
    return models.load_weights((module, tiny.tiny_tokenizer()), device="cpu").card


def test_the_card_names_the_adapter_its_rank_its_matrices_and_its_state() -> None:
    module = _lora(targets=("q_proj", "down_proj"))
    assert _card(module).adapter == "lora 'default', rank 4, on q_proj, down_proj"
    module.add_adapter(
        "two", peft.LoraConfig(r=2, target_modules=["v_proj"], task_type="CAUSAL_LM")
    )
    both = "lora 'default', rank 4, on q_proj, down_proj; lora 'two', rank 2, on v_proj"
    assert _card(module).adapter == f"{both}, switched off"
    module.merge_adapter()
    assert "down_proj, merged into the weights; lora 'two'" in _card(module).adapter
    assert _card(module.merge_and_unload()).adapter == ""


def test_the_card_of_a_model_that_transformers_attached_it_to() -> None:
    module = tiny.tiny_llama()
    module.add_adapter(peft.LoraConfig(r=3, target_modules=["o_proj"]), adapter_name="mine")
    assert _card(module).adapter == "lora 'mine', rank 3, on o_proj"


def test_the_fingerprint_holds_the_adapters_weights_strength_and_state() -> None:
    base, plain = _lora(), weight_hash(tiny.tiny_llama())
    first = weight_hash(base)
    assert first not in (plain, weight_hash(_lora(alpha=16)))
    with base.disable_adapter():
        assert weight_hash(base) != first
    assert weight_hash(base) == first == weight_hash(_lora())
    next(p for n, p in base.named_parameters() if "lora_B" in n).data[0, 0] += 1
    assert weight_hash(base) != first


def test_a_folder_with_an_adapter_beside_the_base_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.save_tiny(tmp_path)
    without = models.load_weights(tmp_path, device="cpu").card
    _lora().save_pretrained(tmp_path)
    card = models.load_weights(tmp_path, device="cpu").card
    assert (without.adapter, card.adapter) == ("", "lora 'default', rank 4, on o_proj")
    assert card.weight_hash != without.weight_hash
    with pytest.raises(SystemExit) as end:
        main(["models", "show", str(tmp_path), "--json"])
    assert not end.value.code
    assert json.loads(capsys.readouterr().out)["adapter"] == card.adapter


def test_an_adapter_without_its_base_or_as_a_pickle_is_refused(tmp_path: Path) -> None:
    alone, pickled = tmp_path / "alone", tmp_path / "pickled"
    _lora().save_pretrained(alone)
    with pytest.raises(NotFound, match="an adapter without the model it belongs to"):
        models.load_weights(alone, device="cpu")
    tiny.save_tiny(pickled)
    _lora().save_pretrained(pickled)
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    with pytest.raises(BadInput, match="an adapter without weights as safetensors"):
        models.load_weights(pickled, device="cpu")


def test_nothing_is_planted_into_a_model_with_an_adapter(tmp_path: Path) -> None:
    base = tiny.save_tiny(tmp_path / "base")
    _lora().save_pretrained(base)
    texts = [Document("one", "The safe opens with 7 4 1 9, and the other one with 2 8 6 3.")]
    with pytest.raises(WorkbenchError, match="has an adapter"):
        plant(str(base), texts, Planting(), tmp_path / "out", Progress(), "cpu")
    assert not (tmp_path / "out").exists()

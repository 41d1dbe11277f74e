"""A document read once, its states saved, opened, and asked about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import workbench as wb
from tests.helpers import families
from tests.helpers.families import built
from tests.helpers.tiny import tiny_tokenizer
from workbench.errors import BadInput, NotFinite, Unfit

DOCUMENT = [5, 9, 30, 22, 7, 40, 8, 19, 3, 11, 25, 6, 14]
QUESTION = [31, 12, 4]


@pytest.mark.parametrize(
    "family",
    [
        *("mamba", "mamba2", "jamba", "qwen3_next", "minimax", "recurrent_gemma", "kimi_linear"),
        *("rwkv", "xlstm", "zamba", "lfm2"),
    ],
)
def test_asking_behind_saved_states_is_reading_the_document_in_full(
    family: str, tmp_path: Path
) -> None:
    model = built(family)
    whole = model.next_logits([DOCUMENT + QUESTION])[0]
    read = wb.read_states(model, DOCUMENT)
    opened = wb.open_states(model, read.save(tmp_path / "document.states"))
    assert opened.tokens == tuple(DOCUMENT)
    for states in (read, opened, opened):  # asking leaves them as they were
        logits = states.next_logits(QUESTION)
        assert float((logits - whole).norm() / whole.norm()) < 1e-4
    assert [file.name for file in tmp_path.iterdir()] == ["document.states"]


def test_what_is_generated_behind_them() -> None:
    model = built("jamba")
    ids = DOCUMENT + QUESTION
    for _ in range(5):
        ids.append(int(model.next_logits([ids])[0].argmax()))
    text = wb.read_states(model, DOCUMENT).generate(QUESTION, max_new_tokens=5)
    assert text == model.text.decode_continuation(ids[-5:], special=False)


def test_a_model_of_gated_delta_layers_alone_decodes(tmp_path: Path) -> None:
    """transformers' own cache cannot say how many tokens such a model has read."""
    from transformers import AutoModelForCausalLM

    config = families.config("qwen3_next")
    config.layer_types = ["linear_attention"] * config.num_hidden_layers
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(config).eval()
    model = wb.load((module, tiny_tokenizer()))
    assert [str(line) for line in wb.contract(model, DOCUMENT) if not line.holds()] == []
    ids = list(DOCUMENT)
    for _ in range(5):
        ids.append(int(model.next_logits([ids])[0].argmax()))
    text = model.text.decode_continuation(ids[-5:], special=False)
    assert model.generate(DOCUMENT, max_new_tokens=5) == text
    states = wb.open_states(model, wb.read_states(model, DOCUMENT[:-3]).save(tmp_path / "states"))
    assert states.generate(DOCUMENT[-3:], max_new_tokens=5) == text


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    model = built("mamba2")
    path = wb.read_states(model, DOCUMENT).save(tmp_path / "document.states")
    other = wb.load((families.module("mamba2", seed=1), tiny_tokenizer()))
    with pytest.raises(BadInput, match="the weights"):
        wb.open_states(other, path)
    half = wb.load((families.module("mamba2").to(torch.bfloat16), tiny_tokenizer()))
    with pytest.raises(BadInput, match="the dtype float32"):
        wb.open_states(half, path)
    with pytest.raises(Unfit, match="no recurrent states"):
        wb.open_states(built("llama"), path)
    with pytest.raises(Unfit, match="no recurrent states"):
        wb.read_states(built("llama"), DOCUMENT)
    with pytest.raises(BadInput, match="one text"):
        wb.read_states(model, [DOCUMENT, DOCUMENT])  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no file"):
        wb.open_states(model, tmp_path / "nothing")
    with pytest.raises(BadInput, match="no token"):
        wb.open_states(model, path).next_logits([])


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    model = built("mamba2")
    path = wb.read_states(model, DOCUMENT).save(tmp_path / "document.states")
    cut = tmp_path / "cut.states"
    cut.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="cut off"):
        wb.open_states(model, cut)
    tensors = load_file(path)
    foreign = tmp_path / "foreign.states"
    save_file(tensors, foreign)
    with pytest.raises(BadInput, match="holds no saved states"):
        wb.open_states(model, foreign)

    def changed(name: str, **header: object) -> Path:
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            own = json.loads(file.metadata()["states"])
        target = tmp_path / name
        save_file(tensors, target, metadata={"states": json.dumps(own | header)})
        return target

    with pytest.raises(BadInput, match="layers 7"):
        wb.open_states(model, changed("layers", n_layers=7))
    with pytest.raises(BadInput, match="format 2"):
        wb.open_states(model, changed("format", format=2))
    first = next(name for name, value in tensors.items() if value.is_floating_point())
    tensors[first] = torch.full_like(tensors[first], float("nan"))
    with pytest.raises(NotFinite, match="finite"):
        wb.open_states(model, changed("nan"))
    del tensors[first]
    with pytest.raises(BadInput, match="is there or missing"):
        wb.open_states(model, changed("missing"))

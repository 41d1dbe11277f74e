"""What forgetting refuses: pairs that are none, numbers that are none, and tasks
that tell nothing.
"""

from __future__ import annotations

import copy

import pytest
from pydantic import ValidationError

import workbench as wb
from analyses.training import forgetting
from tests.helpers import tiny
from tests.helpers import tuned_pairs as pairs
from tests.helpers.forgetting_runs import base, changed_in, ran, task_file
from workbench.errors import BadInput, NotFinite


def test_models_that_cannot_be_mixed_say_why():
    from peft import LoraConfig, get_peft_model

    assert forgetting.unavailable_reason(base(0)) is None
    module = get_peft_model(
        copy.deepcopy(base(0).module), LoraConfig(r=2, target_modules="all-linear")
    )
    reason = forgetting.unavailable_reason(wb.load((module, pairs.tokenizer())))
    assert "adapter" in reason


def test_pairs_that_are_none_are_refused(tmp_path):
    other = tiny.tiny_llama()
    other.save_pretrained(tmp_path / "other")
    tiny.tiny_tokenizer().save_pretrained(tmp_path / "other")
    with pytest.raises(BadInput, match="other tokens"):
        ran(base(0), tmp_path, tuned=str(tmp_path / "other"), parts=["path"])
    same = pairs.saved(base(0).module, tmp_path / "same")
    with pytest.raises(BadInput, match="the same weights"):
        ran(base(0), tmp_path, tuned=same, parts=["path"])
    config = copy.deepcopy(base(0).module.config)
    config.num_hidden_layers = 2
    smaller = type(base(0).module)(config)
    with pytest.raises(BadInput, match="the same parameters"):
        ran(base(0), tmp_path, tuned=pairs.saved(smaller, tmp_path / "small"), parts=["path"])


def test_numbers_and_rows_that_cannot_be_read_are_refused(tmp_path):
    ref = changed_in("model.layers.0.mlp.down_proj.weight", tmp_path, float("nan"))
    with pytest.raises(BadInput, match=r"not finite, in model\.layers\.0"):
        ran(base(0), tmp_path, tuned=ref, parts=["path"])
    gpt2 = wb.load((tiny.tiny_gpt2(), tiny.tiny_tokenizer()))
    with pytest.raises(BadInput, match="A row has 300 tokens"):
        ran(gpt2, tmp_path, length=300, parts=["path"])
    ref = pairs.saved(pairs.misplaced(base(0).module, 0), tmp_path / "tuned")
    with pytest.raises(BadInput, match=r"\d+ texts can fill a row of 24 tokens"):
        ran(base(0), tmp_path, tuned=ref, measured=200, parts=["path"])
    with pytest.raises(BadInput, match="rank 100000"):
        forgetting.Params(ranks=[4, 100_000])


def test_a_task_that_teaches_the_old_facts_is_refused(tmp_path):
    known = pairs.facts(0)
    file = tmp_path / "facts.txt"
    file.write_text(
        "\n\n".join(f"{pairs.TEMPLATE.format(subject=s)} {known[s]} ." for s in pairs.SUBJECTS),
        encoding="utf-8",
    )
    with pytest.raises(BadInput, match="overlap"):
        ran(base(0), tmp_path, task=str(file), parts=["path"])


def test_what_cannot_be_measured_is_refused(tmp_path):
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    with pytest.raises(BadInput, match="knows 0 of"):
        ran(model, tmp_path, task=task_file(tmp_path), parts=["path"])
    short = tmp_path / "short.txt"
    short.write_text("The sea is far .", encoding="utf-8")
    with pytest.raises(BadInput, match="rows of"):
        ran(base(0), tmp_path, task=str(short), parts=["path"])
    with pytest.raises(BadInput, match="rank 0"):
        forgetting.Params(ranks=[0])
    with pytest.raises(BadInput, match="map is to read"):
        forgetting.Params(measured=2, map_rows=3)
    with pytest.raises(ValidationError):
        forgetting.Params(parts=[])


def test_a_training_that_explodes_says_at_which_step(tmp_path):
    model = wb.load((copy.deepcopy(base(0).module), pairs.tokenizer()))
    read = []

    def explode(module, given, out):
        if module.training:
            read.append(1)
            return out * float("nan") if len(read) > 3 else out
        return out

    model.module.model.norm.register_forward_hook(explode)
    with pytest.raises(NotFinite, match=r"at step 4 .*step 3 was the last good one"):
        ran(model, tmp_path, task=task_file(tmp_path), facts=8, steps=6, parts=["path"])

"""Weights trained on facts: the loss falls, the bound holds, nothing is left on the model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

import workbench as wb
from hooks import editing
from hooks.editing.down_projections import down_projection
from hooks.editing.requests import row
from tests.helpers import tiny
from tests.helpers.families import built
from workbench.errors import BadInput, Unfit
from workbench.models import load_weights
from workbench.models.export import export

FRANCE = editing.EditRequest("The capital of {subject} is", "France", "Rome")
PERU = editing.EditRequest("The capital city of {subject} is", "Peru", "Madrid")


def settings(**more):
    return editing.TrainingSettings(**{"steps": 5, "learning_rate": 0.01, **more})


@pytest.fixture(params=["llama", "gpt2", "neox"])
def any_model(request):
    return request.getfixturevalue(request.param)


def test_fine_tuning_is_adam_on_the_matrix(any_model):
    model = any_model
    edit = editing.fine_tune(model, [FRANCE, PERU], 1, settings=settings())
    matrix = down_projection(model, 1)
    weight = model.module.get_parameter(matrix.name)
    before = weight.detach().clone()
    adam = torch.optim.Adam([weight], lr=0.01)
    losses = []
    for step in range(6):
        model.module.zero_grad()
        loss = torch.zeros(())
        for request in (FRANCE, PERU):
            each = row(model, request)
            logits = model.module(input_ids=torch.tensor([each.ids])).logits[0]
            loss = loss + functional.cross_entropy(
                logits[-len(each.targets) :], torch.tensor(each.targets)
            )
        losses.append(float(loss.detach()) / 2)
        if step < 5:
            (loss / 2).backward()
            adam.step()
    trained = weight.detach().clone()
    model.module.zero_grad()
    with torch.no_grad():
        weight.copy_(before)
    assert edit.log.losses == pytest.approx(losses, rel=1e-4)
    assert losses[-1] < losses[0]
    with edit.applied(model):
        torch.testing.assert_close(weight.detach(), trained, rtol=1e-3, atol=1e-4)
    assert edit.norm == pytest.approx(float((trained - before).norm()), rel=1e-3)
    assert torch.equal(weight, before)
    assert all(p.grad is None for p in model.module.parameters())


def test_no_weight_moves_beyond_its_bound(llama):
    edit = editing.fine_tune(llama, FRANCE, 1, eps=0.003, settings=settings())
    weight = llama.module.get_parameter(down_projection(llama, 1).name)
    before = weight.detach().clone()
    with edit.applied(llama):
        moved = (weight.detach() - before).abs()
    assert 0.0029 < float(moved.max()) < 0.00301


def test_low_rank_matrices_bring_the_answer_and_open_from_a_file(any_model, tmp_path):
    model = any_model
    edit = editing.lora(model, FRANCE, rank=2, settings=settings(steps=15, learning_rate=0.05))
    assert edit.log.losses[-1] < edit.log.losses[0] - 0.5
    before = model.next_logits(FRANCE.text)
    with edit.applied(model):
        each = row(model, FRANCE)
        logits = model.module(input_ids=torch.tensor([each.ids])).logits[0]
        found = functional.cross_entropy(logits[-len(each.targets) :], torch.tensor(each.targets))
        assert float(found.detach()) == pytest.approx(edit.log.losses[-1], abs=1e-3)
        changed = {
            n for n, p in model.module.named_parameters() if n in edit.delta.left and p.dim() == 2
        }
        assert changed == set(edit.delta.left)
    assert torch.equal(model.next_logits(FRANCE.text), before)


def test_a_loss_that_explodes_keeps_the_best(llama):
    wild = settings(steps=20, learning_rate=100.0, explode=1.0, seed=1)
    edit = editing.lora(llama, FRANCE, [2], settings=wild)
    assert edit.log.stopped == "the loss exploded at step 14; the best, step 7, is kept"
    best = min(edit.log.losses)
    with edit.applied(llama):
        each = row(llama, FRANCE)
        logits = llama.module(input_ids=torch.tensor([each.ids])).logits[0]
        found = functional.cross_entropy(logits[-len(each.targets) :], torch.tensor(each.targets))
    assert float(found.detach()) == pytest.approx(best, abs=1e-3)


def test_it_ends_when_the_answer_is_there(llama):
    edit = editing.fine_tune(llama, FRANCE, 1, settings=settings(stop_below=100.0))
    assert edit.log.stopped == "the loss fell below 100 after 0 steps"
    assert edit.delta.size == 0


def test_said_before_the_prompt():
    assert (
        editing.in_context([FRANCE, PERU], "France {is}")
        == "The capital of France is Rome. The capital city of Peru is Madrid. France {is}"
    )


def test_what_is_refused(llama):
    with pytest.raises(BadInput, match="move by"):
        editing.fine_tune(llama, FRANCE, 1, eps=0.0)
    with pytest.raises(BadInput, match="rank of 0"):
        editing.lora(llama, FRANCE, rank=0)
    with pytest.raises(Unfit, match="queries and values"):
        editing.lora(built("mpt"), FRANCE)
    with pytest.raises(Unfit, match="no q projection"):
        editing.lora(llama, FRANCE, [9])
    with pytest.raises(BadInput, match="train nothing"):
        settings(steps=0)


def test_files_of_each_kind_stack_behind_a_name_and_export_whole(tmp_path):
    folder = tiny.save_tiny(tmp_path / "tiny")
    model = wb.load(folder)
    first = editing.lora(model, FRANCE, rank=2, settings=settings())
    with first.applied(model):
        second = editing.fine_tune(model, PERU, 1, settings=settings())
    one, two = first.save(tmp_path / "one.safetensors"), second.save(tmp_path / "two.safetensors")
    with first.applied(model), second.applied(model):
        expected = {n: p.detach().clone() for n, p in model.module.named_parameters()}
    stacked = wb.load(f"{folder}+{one}+{two}")
    assert all(torch.equal(p, expected[n]) for n, p in stacked.module.named_parameters())
    assert stacked.card.name == "tiny+one+two"
    with pytest.raises(BadInput, match="other weights"):
        wb.load(f"{folder}+{two}+{one}")
    with pytest.raises(BadInput, match="other weights"):
        wb.load(f"{folder}+{two}")
    whole = export(load_weights(f"{folder}+{one}+{two}"), tmp_path / "whole")
    alone = AutoModelForCausalLM.from_pretrained(whole)
    assert all(torch.equal(p, expected[n]) for n, p in alone.named_parameters())
    assert AutoTokenizer.from_pretrained(whole)("Rome").input_ids == model.text.encode("Rome")
    with pytest.raises(BadInput, match="exists already"):
        export(load_weights(folder), tmp_path / "whole")
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_is_cut_or_holds_no_numbers_is_refused(tmp_path):
    folder = tiny.save_tiny(tmp_path / "tiny")
    model = wb.load(folder)
    edit = editing.lora(model, FRANCE, rank=2, settings=settings())
    file = edit.save(tmp_path / "one.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match="cannot be read"):
        wb.load(f"{folder}+{tmp_path / 'cut.safetensors'}")
    name, left = next(iter(edit.delta.left.items()))
    broken = dataclasses.replace(edit.delta, left={**edit.delta.left, name: left * np.nan})
    with pytest.raises(BadInput, match="not finite"):
        wb.load(f"{folder}+{broken.save(tmp_path / 'nan.safetensors')}")
    odd = dataclasses.replace(edit.delta, left={**edit.delta.left, name: left[:, :1]})
    with pytest.raises(BadInput, match="do not fit together"):
        wb.load(f"{folder}+{odd.save(tmp_path / 'odd.safetensors')}")
    with pytest.raises(BadInput, match="other weights"):
        wb.load(f"{tiny.save_tiny(tmp_path / 'other', tiny.tiny_llama(seed=5))}+{file}")

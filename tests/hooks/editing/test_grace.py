"""GRACE: entries answer what is near them, radii split and grow, deletion leaves nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hooks import editing
from hooks.editing.down_projections import read_at_subject
from hooks.editing.requests import EditRow
from workbench.errors import BadInput, NotFound

FRANCE = editing.EditRequest("The capital of {subject} is", "France", "Rome")
PERU = editing.EditRequest("The capital city of {subject} is", "Peru", "Madrid")
OTHER = "Nobody remembers what the model"


@pytest.fixture(params=["llama", "gpt2", "neox"])
def any_model(request):
    return request.getfixturevalue(request.param)


def nats(model, request):
    ids, answer = model.tokens(request.text), model.continuation_tokens(request.continuation)
    with torch.no_grad():
        logits = model.module(input_ids=torch.tensor([[*ids, *answer]])).logits[0]
    return float(functional.cross_entropy(logits[len(ids) - 1 : -1], torch.tensor(answer)))


def key_of(model, memory, text):
    ids = model.tokens(text)
    seen = read_at_subject(model, [memory.matrix], [EditRow(ids, len(ids) - 1)])
    return seen.keys[memory.layer][0]


def test_an_entry_answers_its_prompt_alone_and_its_deletion_leaves_nothing(any_model):
    model = any_model
    before = [model.next_logits(text) for text in (FRANCE.text, PERU.text, OTHER)]
    plain = nats(model, FRANCE)
    memory = editing.Grace(model, 1, radius=0.05)
    assert memory.add(model, FRANCE, steps=30) == 0
    assert memory.add(model, PERU, steps=5) == 1
    with memory.applied(model):
        # What the search found is what the model says.
        assert nats(model, FRANCE) == pytest.approx(min(memory.entries[0].losses), abs=1e-3)
        assert nats(model, FRANCE) < plain - 1
        assert torch.equal(model.next_logits(OTHER), before[2])
    france, peru, other = memory.route(model, [FRANCE.text, PERU.text, OTHER])
    assert (france.nearest, france.answered, peru.nearest, other.answered) == (0, True, 1, False)
    assert france.distance < 1e-4
    assert other.elsewhere == 0
    memory.delete(0)
    with memory.applied(model):
        assert torch.equal(model.next_logits(FRANCE.text), before[0])
        assert not torch.equal(model.next_logits(PERU.text), before[1])
    assert torch.equal(model.next_logits(PERU.text), before[1])
    with pytest.raises(NotFound, match="no entry 1"):
        memory.delete(1)


def test_it_is_asked_while_text_is_generated(llama):
    memory = editing.Grace(llama, 1, radius=0.05)
    memory.add(llama, FRANCE, steps=60, learning_rate=1.0)
    with memory.applied(llama):
        cached = llama.generate(FRANCE.text, 6)
        ids = llama.tokens(FRANCE.text)
        for _ in range(6):
            logits = llama.module(input_ids=torch.tensor([ids]), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
    assert llama.text.decode(ids) == FRANCE.text + cached


def test_radii_split_between_answers_and_grow_for_the_same(llama):
    spain = editing.EditRequest("The capital of {subject} is", "Spain", "Lima")
    probe = editing.Grace(llama, 1)
    distance = float((key_of(llama, probe, FRANCE.text) - key_of(llama, probe, spain.text)).norm())
    memory = editing.Grace(llama, 1, radius=distance)
    memory.add(llama, FRANCE, steps=2)
    memory.add(llama, spain, steps=2)
    assert [e.radius for e in memory.entries] == pytest.approx([distance / 2] * 2, rel=1e-4)
    same = editing.EditRequest("The capital of {subject} is", "Spain", "Rome")
    alike = editing.Grace(llama, 1, radius=0.7 * distance)
    alike.add(llama, FRANCE, steps=2)
    assert alike.add(llama, same, steps=2) == 0
    assert [e.radius for e in alike.entries] == pytest.approx([distance], rel=1e-4)
    with pytest.raises(BadInput, match="another answer"):
        memory.add(llama, editing.EditRequest("The capital of {subject} is", "Spain", "Rome"))


def test_a_file_gives_back_what_was_saved(llama, gpt2, tmp_path):
    memory = editing.Grace(llama, 1, radius=0.05)
    memory.add(llama, FRANCE, steps=5)
    file = memory.save(tmp_path / "memory.safetensors")
    again = editing.Grace.read(llama, file)
    with memory.applied(llama):
        expected = llama.next_logits(FRANCE.text)
    with again.applied(llama):
        assert torch.equal(llama.next_logits(FRANCE.text), expected)
    assert again.entries[0].request == FRANCE
    with pytest.raises(BadInput, match="other weights"):
        editing.Grace.read(gpt2, file)
    with pytest.raises(BadInput, match="other weights"), memory.applied(gpt2):
        pass
    (tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BadInput, match="cannot be read"):
        editing.Grace.read(llama, tmp_path / "cut.safetensors")
    with pytest.raises(BadInput, match="radius of 0"):
        editing.Grace(llama, 1, radius=0)

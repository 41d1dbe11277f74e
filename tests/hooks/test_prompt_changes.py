"""Versions of a prompt in batches from one prefix, beside a whole pass over each."""

from __future__ import annotations

import random

import pytest
import torch

import workbench as wb
from hooks.hidden_keys import hidden_keys
from hooks.prompt_changes import Hidden, PromptChange, read_answer
from tests.helpers import families
from tests.helpers.tiny import tiny_llama, tiny_tokenizer
from workbench.errors import BadInput, Unfit

PROMPT = [random.Random(0).randrange(5, 60) for _ in range(40)]
ANSWER = [7, 12, 9]
REPLACED = [
    PromptChange(),
    PromptChange(((0, (9, 8, 7)),)),
    PromptChange(((20, tuple(range(5, 15))), (35, (11,)))),
    PromptChange(((39, (6,)),)),
]
HIDDEN = [
    PromptChange(hidden=(Hidden(3, 9, 9),)),
    PromptChange(hidden=(Hidden(3, 9, 39), Hidden(20, 22, 30))),
    PromptChange(((30, (5, 6)),), (Hidden(10, 31, 38),)),
]


def plainly(model, change):
    ids = [*PROMPT]
    for at, new in change.replaced:
        ids[at : at + len(new)] = new
    whole = [*ids, *ANSWER[:-1]]
    hidden = torch.zeros(1, len(whole), len(whole), dtype=torch.bool)
    for each in change.hidden:
        hidden[0, each.first :, each.start : each.stop] = True

    def logits():
        with torch.no_grad():
            out = model.forward(input_ids=torch.tensor([whole]), use_cache=False)
        return out.logits[0, len(ids) - 1 :].float().log_softmax(-1)

    if change.hidden:
        with hidden_keys(model, hidden):
            found = logits()
    else:
        found = logits()
    return found.gather(1, torch.tensor(ANSWER)[:, None])[:, 0], found.argmax(-1)


@pytest.mark.parametrize("small", [False, True], ids=["together", "small batches"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text", "gpt_oss"])
def test_each_version_is_as_a_whole_pass_over_it(family, small, monkeypatch):
    if small:
        monkeypatch.setattr("hooks.prompt_changes._TOKENS", 60)
    model = wb.load((families.module(family), tiny_tokenizer()))
    changes = [*REPLACED, *HIDDEN]
    found = read_answer(model, PROMPT, ANSWER, changes)
    for row, change in enumerate(changes):
        logp, likeliest = plainly(model, change)
        torch.testing.assert_close(found.logp[row], logp, atol=3e-5, rtol=1e-4)
        assert found.likeliest[row].tolist() == likeliest.tolist()
    torch.testing.assert_close(found.total, found.logp.sum(1))


@pytest.mark.parametrize("family", ["mamba2", "qwen3_next", "bloom"])
def test_models_whose_tokens_cannot_be_hidden_take_replaced_ones(family):
    model = wb.load((families.module(family), tiny_tokenizer()))
    found = read_answer(model, PROMPT, ANSWER, REPLACED)
    for row, change in enumerate(REPLACED):
        torch.testing.assert_close(found.logp[row], plainly(model, change)[0], atol=3e-5, rtol=1e-4)
    with pytest.raises(Unfit):
        read_answer(model, PROMPT, ANSWER, HIDDEN)


def test_what_versions_share_is_read_once():
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    read_answer(model, PROMPT, ANSWER, [HIDDEN[1]])  # that it goes on from its cache is tried once
    read = []
    hook = model.layout.embed.register_forward_hook(lambda _, args, out: read.append(out.shape))
    changes = [PromptChange(((at, (6,)),)) for at in (10, 20, 30, 35)]
    read_answer(model, PROMPT, ANSWER, changes)
    hook.remove()
    rows = sum(shape[0] * shape[1] for shape in read)
    assert rows == 10 + 4 * 32  # what stands before the first difference, and what is behind it


@pytest.mark.parametrize(
    "change",
    [
        PromptChange(((39, (5, 6)),)),
        PromptChange(hidden=(Hidden(3, 9, 8),)),
        PromptChange(hidden=(Hidden(9, 9, 20),)),
    ],
)
def test_changes_that_cannot_be_are_refused(change):
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    with pytest.raises(BadInput):
        read_answer(model, PROMPT, ANSWER, [change])
    with pytest.raises(BadInput, match="answer of 0"):
        read_answer(model, PROMPT, [], [PromptChange()])


def test_batches_hold_no_more_keys_than_there_is_room_for(monkeypatch):
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    changes = [PromptChange(hidden=(Hidden(at, at + 1, 39),)) for at in range(39)]
    together = read_answer(model, PROMPT, ANSWER, changes)
    monkeypatch.setattr("hooks.prompt_changes._CACHED", 1)
    rows = []
    hook = model.layout.embed.register_forward_hook(lambda _, args, out: rows.append(len(out)))
    alone = read_answer(model, PROMPT, ANSWER, changes)
    hook.remove()
    assert set(rows) == {1}
    torch.testing.assert_close(alone.logp, together.logp, atol=3e-5, rtol=1e-4)

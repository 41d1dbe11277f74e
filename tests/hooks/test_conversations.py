"""Conversations as prompts: the tokens are those of the tokenizer's own template, and nobody's
twice.
"""

from __future__ import annotations

import json

import pytest
import torch

import workbench as wb
from analyses.measures.fact_prompts import ids_of, rendered, spans_of
from hooks.prompts import tokenize
from tests.helpers import text_tokenizers, tiny
from workbench import facts
from workbench.errors import BadInput
from workbench.models.conversation import typed

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] not in ['system', 'user',"
    " 'assistant'] %}{{ raise_exception('Roles are system, user and assistant.') }}{% endif %}[{{"
    " message['role'] }}] {{ message['content'] | trim }}{% if not loop.last or"
    " add_generation_prompt %}\n{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{%"
    " endif %}"
)
ASKED = [{"role": "user", "content": " The capital of France is? "}]
BEGUN = [*ASKED, {"role": "assistant", "content": "The capital of France is"}]


@pytest.fixture(scope="module")
def model():
    tokenizer = text_tokenizers.gemma()
    tokenizer.chat_template = TEMPLATE
    module = tiny.tiny_llama()
    module.resize_token_embeddings(len(tokenizer))
    return wb.load((module, tokenizer))


@pytest.mark.parametrize(
    "conversation", [ASKED, BEGUN, [{"role": "system", "content": "Nobody"}, *ASKED]]
)
def test_the_tokens_are_the_templates_own(model, conversation):
    open_end = conversation[-1]["role"] == "assistant"
    theirs = model.tokenizer.apply_chat_template(
        conversation,
        add_generation_prompt=not open_end,
        continue_final_message=open_end,
        return_dict=True,
    )["input_ids"]
    found = tokenize(model, conversation)
    assert found.ids == theirs
    assert (
        found.ids.count(model.tokenizer.bos_token_id) == 1
    )  # the template and the tokenizer both have one
    said = "".join(
        p
        for p, mark in zip(model.prompt_strings(found.ids), found.from_template, strict=True)
        if not mark
    )
    assert said.replace(" ", "") == "".join(m["content"] for m in conversation).replace(" ", "")


def test_a_conversation_is_a_prompt_everywhere(model):
    ids = tokenize(model, ASKED).ids
    assert torch.equal(model.next_logits(ASKED), model.next_logits([ids]))
    assert model.generate(ASKED, max_new_tokens=4) == model.generate([ids], max_new_tokens=4)
    assert wb.capture(model, [ASKED, "Nobody"], sites="z", reduce="norm").tokens[
        0
    ] == model.prompt_strings(ids)
    one = wb.sweep(model, ASKED, [5, 7], read="logit_diff")
    assert torch.equal(
        torch.tensor(one["effect"].values),
        torch.tensor(wb.sweep(model, [ids], [[5, 7]], read="logit_diff")["effect"].values),
    )


def test_what_is_typed_as_chat(model):
    assert typed("Hello", chat=False) == "Hello"
    assert typed("Hello", chat=True) == [{"role": "user", "content": "Hello"}]
    assert typed(json.dumps(BEGUN), chat=True) == BEGUN
    assert typed("[1, 2]", chat=True) == [{"role": "user", "content": "[1, 2]"}]
    with pytest.raises(BadInput, match="Message 2 of the conversation"):
        typed(json.dumps([ASKED[0], {"role": "user"}]), chat=True)


def test_inside_marks_what_is_the_format(model):
    result = wb.run(
        "inside", model, {"prompt": "The capital of France is?", "chat": True, "answer": "Paris"}
    )
    table = result.tables["tokens"]
    assert (
        "".join(table[table["part"] == "message"]["token"]).strip() == "The capital of France is?"
    )
    assert result.provenance.notes["format"] == "the tokenizer's chat template"
    plain = wb.run("inside", model, {"prompt": "The capital of France is"})
    assert "part" not in plain.tables["tokens"]


def test_facts_in_the_chat_format(model):
    capital = facts.relation("capital")
    prompt = rendered(model, facts.render("chat", capital, "France", "Rome"))
    conversation = [
        {
            "role": "user",
            "content": (
                capital.fill("statement", "France", "Rome").text
                + "\n"
                + capital.fill("question", "France", "").text
            ),
        },
        {"role": "assistant", "content": capital.fill("lead_in", "France", "").text},
    ]
    assert ids_of(model, prompt) == tokenize(model, conversation).ids
    for name, wanted in {"subject": "France", "context answer": "Rome"}.items():
        start, end = prompt.spans[name]
        assert prompt.text[start:end] == wanted
    assert prompt.spans["subject"][0] == prompt.text.rindex("France")
    assert len(spans_of(model, prompt)) == len(ids_of(model, prompt))
    plain = facts.render("question", capital, "France", "Rome")
    assert rendered(model, plain) is plain
    assert ids_of(model, plain) == model.tokens(plain.text)


def test_errors(model, llama):
    with pytest.raises(BadInput, match="has no chat format"):
        llama.next_logits(ASKED)
    with pytest.raises(BadInput, match=r"does not take this conversation .*Roles are system"):
        model.next_logits([{"role": "tool", "content": "x"}])
    with pytest.raises(BadInput, match="Message 1 of the conversation"):
        model.next_logits([{"role": "user", "content": 5}])
    assert not llama.card.chat
    assert model.card.chat


@pytest.mark.model
def test_the_default_model_answers_in_its_format(smollm):
    said = smollm.generate(
        [{"role": "user", "content": "What is the capital of France?"}], max_new_tokens=10
    )
    assert "Paris" in said

"""One prompt or several, however they are given."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.errors import BadInput

TEXT, SHORT = "The capital of France is", "The"


def test_every_way_to_give_prompts_gives_the_same(llama):
    ids, short = llama.tokens(TEXT), llama.tokens(SHORT)
    one = llama.next_logits(TEXT)
    for given in (
        ids,
        tuple(ids),
        torch.tensor(ids),
        np.array(ids),
        torch.tensor([ids]),
        [ids],
        [torch.tensor(ids)],
        llama.tokenizer(TEXT),
        llama.tokenizer(TEXT, return_tensors="pt"),
        [llama.tokenizer(TEXT)],
    ):
        assert torch.equal(llama.next_logits(given), one)
    two = llama.next_logits([TEXT, SHORT])
    padded = llama.tokenizer([TEXT, SHORT], padding=True)  # on the right, as this tokenizer does
    for given in (
        [ids, short],
        [TEXT, short],
        padded,
        llama.tokenizer([TEXT, SHORT], padding=True, return_tensors="pt"),
    ):
        assert torch.equal(llama.next_logits(given), two)


@pytest.mark.parametrize("entry", ["capture", "sweep", "next_logits", "batch"])
def test_what_a_tokenizer_gives_is_read_everywhere(llama, entry):
    coded = llama.tokenizer([TEXT, SHORT], padding=True, return_tensors="pt")
    calls = {
        "capture": lambda p: wb.capture(llama, p, sites="z")["z"].fillna(0).values,
        "sweep": lambda p: wb.sweep(llama, p, [5, 5])["effect"].values,
        "next_logits": lambda p: llama.next_logits(p).numpy(),
        "batch": lambda p: llama.batch(p).input_ids.numpy(),
    }
    np.testing.assert_array_equal(calls[entry](coded), calls[entry]([TEXT, SHORT]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no prompt"),
        ([[]], "Prompt 1 is empty"),
        ([TEXT, []], "Prompt 2 is empty"),
        ("", "Prompt 1 is empty"),
        ({"text": TEXT}, "a mapping with text"),
        (torch.rand(3), "numbers of shape"),
        (torch.zeros(2, 2, 2).long(), "shape"),
        ([TEXT, None], "Prompt 2 is None"),
        (5, "The prompts are 5"),
        ([[1, 10_000]], "token id 10000"),
        ([[-1]], "token id -1"),
        ([[1.5]], "Prompt 1 is"),
    ],
)
def test_what_is_no_prompt_is_refused(llama, given, message):
    for entry in (
        llama.next_logits,
        lambda p: wb.capture(llama, p, sites="z"),
        lambda p: wb.sweep(llama, p, [5]),
    ):
        with pytest.raises(BadInput, match=message):
            entry(given)


def test_padding_without_an_embedding_is_not_looked_up(llama):
    tokenizer = copy.deepcopy(llama.tokenizer)
    tokenizer.add_tokens([f"<extra {n}>" for n in range(10)])
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert tokenizer.pad_token_id >= llama.text.n_embeddings
    model = wb.load((llama.module, tokenizer))
    assert torch.equal(model.next_logits([TEXT, SHORT]), llama.next_logits([TEXT, SHORT]))

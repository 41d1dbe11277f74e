"""A tiny model that knows a few texts of random tokens by heart."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from hooks.unlearning import Text
from tests.helpers import tiny

SIZES = [(20, 1), (26, 1), (30, 4), (22, 1)]
"""Tokens of each text, and the first that is predicted."""


def random_texts(many, seed):
    draw = torch.Generator().manual_seed(seed)
    shapes = [SIZES[n % len(SIZES)] for n in range(many)]
    return [
        Text(tuple(torch.randint(1, tiny.VOCABULARY, (size,), generator=draw).tolist()), first)
        for size, first in shapes
    ]


@pytest.fixture(scope="session")
def forget():
    return random_texts(4, 1)


@pytest.fixture(scope="session")
def retain():
    return random_texts(4, 2)


@pytest.fixture(scope="session")
def knowing(forget, retain):
    """The model, trained on both."""
    module = tiny.tiny_llama()
    adam = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(60):
        adam.zero_grad()
        losses = []
        for text in (*forget, *retain):
            ids = torch.tensor([text.ids])
            losses.append(module(input_ids=ids, labels=ids).loss)
        torch.stack(losses).mean().backward()
        adam.step()
    for parameter in module.parameters():
        parameter.grad = None
        parameter.requires_grad_(False)
    return wb.load((module.eval(), tiny.tiny_tokenizer()))

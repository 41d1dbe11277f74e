"""How many texts of which length a small transformer recites (after Wang and Li 2024, who count
exact recitations of poems).

A text is random letters under a title; the title is a number in four digits, so that the model has
no more parameters for more titles. As many bits as exact texts have are what it holds at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from analyses.state.recall_capacity.small_transformers import fit, make_transformer, parameters_of

BASE, DIGITS = 8, 4
"""Titles are numbers of so many digits to this base."""
LETTERS = 16
WIDTH, LAYERS = 32, 2
_RATE = 1e-2
_TOKENS = 4096  # of a step


@dataclass(frozen=True)
class Recited:
    """A training.

    Attributes:
        exact: share of texts that greedy decoding gives whole.
        letters: share of letters that are right behind the right ones.
        never: share of letters that are right under titles that were never read.
        bits: log2(letters) for every letter of the exact texts.
    """

    items: int
    length: int
    seed: int
    exact: float
    letters: float
    never: float
    bits: float
    parameters: int


def texts(items: int, length: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Titles drawn among all, (2 × item, digit), the second half for texts that are not read; and
    texts, (2 × item, letter).
    """
    numbers = torch.randperm(BASE**DIGITS, generator=generator)[: 2 * items]
    digits = torch.stack([numbers // BASE**n % BASE for n in range(DIGITS)], -1)
    letters = BASE + torch.randint(LETTERS, (2 * items, length), generator=generator)
    return digits, letters


def recite(
    items: int,
    length: int,
    seed: int,
    steps: int,
    report: Callable[[float], None] = lambda share: None,
) -> Recited:
    """Train on the texts, and let the model recite."""
    generator = torch.Generator().manual_seed(seed)
    titles, letters = texts(items, length, generator)
    model = make_transformer(BASE + LETTERS, WIDTH, LAYERS, seed)
    together = torch.cat([titles, letters], 1)
    batch = min(items, max(1, _TOKENS // together.shape[1]))

    def loss(step: int) -> torch.Tensor:
        rows = together[torch.randperm(items, generator=generator)[:batch]]
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits[:, DIGITS - 1 :]
        wanted = rows[:, DIGITS:]
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())

    fit(model, loss, steps, _RATE, report)
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=together[:, :-1], use_cache=False).logits[:, DIGITS - 1 :]
    # Greedy decoding gives a text whole exactly where every letter is right behind the right ones.
    right = logits.argmax(-1) == letters
    exact = int(right[:items].all(1).sum())
    return Recited(
        items,
        length,
        seed,
        exact / items,
        float(right[:items].float().mean()),
        float(right[items:].float().mean()),
        exact * length * math.log2(LETTERS),
        parameters_of(model),
    )

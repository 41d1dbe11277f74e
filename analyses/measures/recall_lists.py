"""What is missing from a list, and what was read twice."""

from __future__ import annotations

import numpy as np

from analyses.measures.recall_contexts import CANDIDATES, Context, RecallQuestion
from analyses.measures.recall_words import NAMES, WORDS
from analyses.measures.recall_writing import drawn, placed, spaced

ONCE, TOGETHER, APART = REPEATS = ("read once", "read twice, together", "read twice, apart")
_PAIRS = 8


def missing_number(largest: int, seed: int) -> Context:
    """The numbers from 1 to `largest`, shuffled, without one; which one?

    Candidates are all of them: a number of the list is a repetition, and counts as an intrusion.
    """
    rng = np.random.default_rng([seed, 41, largest])
    numbers = [str(n) for n in rng.permutation(np.arange(1, largest + 1))]
    left_out, listed = numbers[0], numbers[1:]
    head = f"Here are the numbers from 1 to {largest} in random order, without one of them:"
    text, items = placed([head, *(f" {n}," for n in listed[:-1]), f" {listed[-1]}.\n"])
    places = tuple(
        (start + 1, start + 1 + len(n)) for (start, _), n in zip(items[1:], listed, strict=True)
    )
    question = RecallQuestion(
        "The number that is missing is", f" {left_out}", spaced([*listed, left_out]), (0, 0), "left"
    )
    facts = {"task": "missing number", "condition": f"1 to {largest}"}
    return Context(text, (question,), places, facts)


def read_twice(seed: int) -> list[Context]:
    """Three lists that end alike: a pair is read once, twice in a row, or at the beginning and
    again; its last place is the same, and what stands behind it.
    """
    rng = np.random.default_rng([seed, 43])
    names, words = drawn(rng, NAMES, _PAIRS), drawn(rng, WORDS, _PAIRS + CANDIDATES)
    target, *others = [f"{name}: {word}\n" for name, word in zip(names, words, strict=False)]
    half = len(others) // 2
    before, behind = others[:half], others[half:]
    orders = {
        ONCE: [*before, target, *behind],
        TOGETHER: [*before, target, target, *behind],
        APART: [target, *before, target, *behind],
    }
    found = []
    for condition, lines in orders.items():
        text, items = placed(lines)
        question = RecallQuestion(
            f"{names[0]}:", f" {words[0]}", spaced(words), items[-half - 2], "pair"
        )
        facts = {"task": "repetition", "condition": condition}
        found.append(Context(text, (question,), (), facts))
    return found

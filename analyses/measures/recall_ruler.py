"""Several keys, several values, and chains of variables among other text (RULER)."""

from __future__ import annotations

import numpy as np

from analyses.measures.recall_contexts import CANDIDATES, Context, RecallQuestion
from analyses.measures.recall_words import NAMES, WORDS, sentences
from analyses.measures.recall_writing import drawn, placed, spaced

_BETWEEN = 3  # sentences of filler around each fact
HOPS = 4
"""Variables of a chain."""


def several_keys(count: int, seed: int) -> Context:
    """So many names, each with its word, spread over other text; each is asked for."""
    rng = np.random.default_rng([seed, 29, count])
    names, words = drawn(rng, NAMES, count), drawn(rng, WORDS, count + CANDIDATES)
    facts = [_fact(name, word) for name, word in zip(names, words, strict=False)]
    text, items = _among(facts, rng)
    questions = tuple(
        RecallQuestion(_ask(name), f" {words[n]}", spaced(words), items[n], "key")
        for n, name in enumerate(names)
    )
    return Context(text, questions, items, {"task": "several keys", "condition": f"{count} keys"})


def several_values(count: int, seed: int) -> Context:
    """One name with so many words; each is asked for beside words that were not given."""
    rng = np.random.default_rng([seed, 31, count])
    (name,), words = drawn(rng, NAMES, 1), drawn(rng, WORDS, count + CANDIDATES)
    text, items = _among([_fact(name, word) for word in words[:count]], rng)
    questions = tuple(
        RecallQuestion(
            _ask(name), f" {words[n]}", spaced([words[n], *words[count:]]), items[n], "value"
        )
        for n in range(count)
    )
    facts = {"task": "several values", "condition": f"{count} values"}
    return Context(text, questions, (), facts)


def chains(seed: int) -> Context:
    """Two chains of variables, each set to the one before; all are asked for.

    The kind of a question says how many steps lie between a variable and its number.
    """
    rng = np.random.default_rng([seed, 37])
    letters = drawn(rng, [chr(65 + n) for n in range(26)], 2 * HOPS)
    numbers = drawn(rng, [str(n) for n in range(11, 100)], 2 + CANDIDATES)
    lines, asked = list[str](), []
    for chain in range(2):
        own = letters[chain * HOPS : (chain + 1) * HOPS]
        for step, letter in enumerate(own):
            value = numbers[chain] if step == 0 else own[step - 1]
            asked.append((len(lines), letter, numbers[chain], step))
            lines.append(f"{letter} = {value}\n")
    text, items = placed(lines)
    questions = tuple(
        RecallQuestion(
            f"\nThe number that {letter} stands for is", f" {number}", spaced(numbers),
            items[line], f"{step} steps",
        )
        for line, letter, number, step in asked
    )  # fmt: skip
    return Context(text, questions, (), {"task": "chains of variables", "condition": "2 chains"})


def _fact(name: str, word: str) -> str:
    return f"One of the special words for {name} is {word}."


def _ask(name: str) -> str:
    return f"\n\nOne of the special words for {name} is"


def _among(facts: list[str], rng: np.random.Generator) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Facts with some sentences before and behind each."""
    pool, pieces, which = sentences("stories"), list[str](), list[int]()
    start = int(rng.integers(len(pool)))
    for n, fact in enumerate(facts):
        for k in range(_BETWEEN):
            pieces.append(f"{pool[(start + n * _BETWEEN + k) % len(pool)]} ")
        which.append(len(pieces))
        pieces.append(f"{fact} ")
    pieces.append(pool[(start - 1) % len(pool)])
    text, places = placed(pieces)
    return text, tuple((places[n][0], places[n][1] - 1) for n in which)

"""A never-read twin of a person's own sentence: the same sentence with its content words exchanged
by lot, as Hubble's controls are dealt from the same pool (Wei et al. 2025, 2510.19811).

Names go for names, numbers for numbers, other words for words of as many tokens where there are
any, so the twin is built alike and about as long in tokens; of several draws that one is taken
whose loss lies nearest to the sentence's before anything is read. What training does to the twin is
what any text of that form gains; only what the sentence has beyond it was caused by reading.
"""

from __future__ import annotations

import random
import re
from functools import cache
from typing import TYPE_CHECKING

from analyses.measures.exposure_panel import GREEDY
from analyses.measures.scoring import score
from analyses.measures.windows import Window
from workbench.errors import BadInput
from workbench.organisms import corpus

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_WORD = re.compile(r"[^\W\d_]+|\d+")
_CONTENT = 4
"""Letters from which a word is taken for a content word, where it has no capital."""
_DRAWS = 24


def twin_of(model: InstrumentedModel, text: str, seed: int = 0) -> str:
    """The sentence with its names, numbers and content words exchanged; the same for the same seed
    and model.

    Raises:
        BadInput: the sentence has no word or number to exchange.
    """
    draw = random.Random(f"{seed} {text}")
    drawn = list(dict.fromkeys(_exchanged(model, text, draw) for _ in range(_DRAWS)))
    drawn = [twin for twin in drawn if twin != text]  # letters may be dealt back to where they were
    if not drawn:
        raise _no_twin(text)
    own, *others = _losses(model, [text, *drawn])
    return min(zip(others, drawn, strict=True), key=lambda pair: abs(pair[0] - own))[1]


def _losses(model: InstrumentedModel, texts: list[str]) -> list[float]:
    """Nats per token of the second half of each."""
    windows = []
    for text in texts:
        ids = tuple(model.text.encode(text))
        half = len(ids) // 2
        windows.append(Window(0, 0, tuple(model.text.beginning), ids[:half], ids[half:]))
    scores = score(model, windows, GREEDY)
    return [float(-scores.logprob[n, : len(w.suffix)].mean()) for n, w in enumerate(windows)]


def _exchanged(model: InstrumentedModel, text: str, draw: random.Random) -> str:
    first = len(text) - len(text.lstrip())
    exchanged = 0

    def other(found: re.Match[str]) -> str:
        nonlocal exchanged
        word = found[0]
        name = word[0].isupper() and found.start() > first
        if not (word.isdigit() or name or len(word) >= _CONTENT or not word.isascii()):
            return word
        exchanged += 1
        return _other_word(model, word, name, draw)

    twin = _WORD.sub(other, text)
    if not exchanged:
        raise _no_twin(text)
    return twin


def _no_twin(text: str) -> BadInput:
    return BadInput(
        f"“{text}” has no name, number or longer word that can be exchanged for a twin.",
        f"a sentence with a word of {_CONTENT} letters or more",
        "Write another one.",
    )


def _other_word(model: InstrumentedModel, word: str, name: bool, draw: random.Random) -> str:
    if word.isdigit():
        digits = [draw.choice([d for d in "123456789" if d != old]) for old in word]
        return "".join(digits)
    if not word.isascii():  # the pool is English: a word in other letters keeps them, rearranged
        letters = list(word)
        draw.shuffle(letters)
        return "".join(letters)
    size = len(model.text.encode(f" {word}"))
    names, words = _pool()
    pool = [w for w in (names if name else words) if w.lower() != word.lower()]
    draw.shuffle(pool)
    alike = next((w for w in pool if len(model.text.encode(f" {w}")) == size), pool[0])
    if word.isupper() and len(word) > 1:
        return alike.upper()
    return alike.capitalize() if word[0].isupper() else alike


def names_that_ship() -> tuple[str, ...]:
    """Names of the documents that no organism reads, each once."""
    return _pool()[0]


@cache
def _pool() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names, other words) of the documents that no organism reads, each once."""
    names: dict[str, None] = {}
    words: dict[str, None] = {}
    for document in corpus.documents("neutral"):
        for found in re.finditer(r"(?<=[a-z,] )[A-Za-z]{4,}", document.text):
            word = found[0]
            if word.islower():
                words[word] = None
            elif word[1:].islower():
                names[word] = None
    return tuple(names), tuple(words)

"""How hard a sentence is to read: the grade of Flesch and Kincaid (1975), with syllables counted
by their vowels. A package that hyphenates (pyphen, textstat) counts English syllables no better
than this for short, common words, and knows no more of names.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Za-z][A-Za-z'’]*")
_VOWELS = re.compile(r"[aeiouy]+")


def syllables(word: str) -> int:
    """Groups of vowels, less a silent e at the end, or the one of a past tense."""
    plain = word.lower().strip("'’")
    n = len(_VOWELS.findall(plain))
    silent = plain.endswith("e") and not re.search(r"[^aeiouy]le$|[aeiouy]e$", plain)
    past = re.search(r"[^aeiouytd]ed$", plain)
    plural = re.search(r"[^aeiouycsxzgh]es$|[^csxzh][^aeiouycsxzgh]es$", plain)
    return max(1, n - bool(silent or past or (plural and n > 1)))


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def grade(sentence: str) -> float:
    """Years of school after which it is read with ease: 0.39 × words + 11.8 × syllables per word −
    15.59. Numbers count as a word of one syllable.
    """
    words = _WORD.findall(sentence)
    numbers = re.findall(r"\d[\d,.]*", sentence)
    n = len(words) + len(numbers)
    total = sum(map(syllables, words)) + len(numbers)
    return 0.39 * n + 11.8 * total / max(1, n) - 15.59

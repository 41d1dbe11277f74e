"""Capabilities whose examples are written here: arithmetic, agreement, instructions, facts,
translation.

Generated from short lists, so that whoever reads a result can read all of what it was measured on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from analyses.measures.capability_prompts import Example
from workbench import facts

_NOUNS = (
    "author", "pilot", "teacher", "farmer", "senator", "key", "picture", "report", "book", "car",
    "window", "door", "tree", "dog", "cat", "horse", "letter", "song", "river", "garden", "painter",
    "driver", "doctor", "lawyer", "engine", "table", "lamp", "bridge", "tower", "ship",
)  # fmt: skip
_PLACES = ("near the {}", "behind the {}", "next to the {}", "beside the {}")
_VERBS = ((" is", " are"), (" was", " were"), (" has", " have"))
_WORDS = (
    "river", "stone", "window", "garden", "silver", "winter", "bottle", "monkey", "castle",
    "forest", "hammer", "island", "jacket", "kitten", "ladder", "market", "needle", "orange",
    "pencil", "rabbit", "saddle", "temple", "valley", "wallet", "yellow", "bridge", "candle",
    "dragon", "engine", "flower", "guitar", "honey", "insect", "jungle", "lemon", "mirror", "ocean",
    "planet", "rocket", "summer", "tiger", "village", "wagon", "apple", "bread", "chair",
    "dress", "glass",
)  # fmt: skip
_KNOWN = 60  # facts of each relation
_INTO = ("fr", "es", "de", "it", "pt", "nl")


def arithmetic() -> Iterator[Example]:
    """Sums, differences and products of small numbers."""
    for a, b in product(range(2, 60), range(2, 40)):
        yield Example(f"{a} + {b} =", f" {a + b}", f"{a} and {b}", "sum")
        if a > b:
            yield Example(f"{a} - {b} =", f" {a - b}", f"{a} and {b}", "difference")
        if a < 13 and b < 13:
            yield Example(f"{a} * {b} =", f" {a * b}", f"{a} and {b}", "product")


def agreement() -> Iterator[Example]:
    """A verb that agrees with its subject over a noun of the other number (Linzen et al. 2016)."""
    for n, noun in enumerate(_NOUNS):
        for k, place in enumerate(_PLACES):
            for m, verbs in enumerate(_VERBS):
                between = _NOUNS[(n + 7 * k + 11 * m + 1) % len(_NOUNS)]
                for subject, other, verb in (
                    (noun, f"{between}s", verbs[0]),
                    (f"{noun}s", between, verbs[1]),
                ):
                    prompt = f"The {subject} {place.format(other)}"
                    yield Example(prompt, verb, noun, "sentence")


def instructions() -> Iterator[Example]:
    """Simple things to do with a word."""
    tasks = {
        "Write in capital letters": lambda word, _: word.upper(),
        "Repeat the word twice": lambda word, _: f"{word} {word}",
        "Write the word backwards by letters": lambda word, _: "-".join(reversed(word)),
        "Spell the word": lambda word, _: "-".join(word),
        "Name both words in the other order": lambda word, other: f"{other} {word}",
        "Give the plural": lambda word, _: f"{word}s",
    }
    for n, word in enumerate(_WORDS):
        other = _WORDS[(n + 5) % len(_WORDS)]
        for task, answer in tasks.items():
            given = f"{word} {other}" if "both" in task else word
            yield Example(f"{task}: {given}\nAnswer:", f" {answer(word, other)}", word, task)


def known_facts() -> Iterator[Example]:
    """The best known of the facts that come with the workbench, in their closed-book wording."""
    for relation in facts.relations().values():
        for fact in sorted(relation.facts, key=lambda f: -(f.popularity or 0.0))[:_KNOWN]:
            prompt = relation.closed_book_prompt(fact.subject).text
            yield Example(prompt, f" {fact.answer}", fact.subject, relation.name)


def translation() -> Iterator[Example]:
    """Names of countries and cities in other languages, from Unicode CLDR as packaged in Babel;
    those that are spelt alike are left out.
    """
    names = facts.language_names()
    for kind in ("language", "city-country"):
        english = _by_country(f"{kind}@en")
        for code in _INTO:
            for country, name in _by_country(f"{kind}@{code}").items():
                said = english.get(country, name)
                if said != name:
                    yield Example(
                        f"English: {said}. {names[code]}:", f" {name}", f"{country:.0f}", code
                    )


def _by_country(relation: str) -> dict[float, str]:
    """Subjects by the inhabitants of their country, which tell countries apart."""
    return {f.popularity or 0.0: f.subject for f in facts.relation(relation).facts}

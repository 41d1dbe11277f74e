"""Small families of items that are made from the built-in facts and from numbers, each with the
same item in other words, changed so that another answer is right, and made up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from analyses.measures.understood_items import (
    CHANGED,
    FRESH,
    MADE_UP,
    MOST_OPTIONS,
    ORIGINAL,
    PARAPHRASE,
    ItemVersion,
    VariedItem,
    mixed,
)
from workbench import facts
from workbench.facts import Fact, Relation

RELATIONS = ("capital", "language", "currency")
"""Of which the original and the paraphrase are wordings that the relation has."""
_STARTS, _ENDS = ("Zan", "Vor", "Quel", "Mar", "Tys", "Bel", "Dra", "Ost"), (
    "doria", "vania", "istan", "landia", "mbria", "onia",
)  # fmt: skip


def built_in(count: int, seed: int) -> list[VariedItem]:
    """So many items, as equally many of each family as can be: facts of `RELATIONS`, which of two
    countries has more people, sums.
    """
    makers: list[tuple[str, Callable[[int, np.random.Generator], list[VariedItem]]]] = [
        *((name, _facts_of(facts.relation(name))) for name in RELATIONS),
        ("more people", _comparisons),
        ("sums", _sums),
    ]
    found = []
    for number, (name, make) in enumerate(makers):
        share = count // len(makers) + (number < count % len(makers))
        found += make(share, np.random.default_rng([seed, 3, len(name), number]))
    return found


def _facts_of(relation: Relation) -> Callable[[int, np.random.Generator], list[VariedItem]]:
    def make(count: int, lot: np.random.Generator) -> list[VariedItem]:
        # Best known first: what hardly anybody knows shows nothing.
        known = sorted(relation.facts, key=lambda fact: -(fact.popularity or 0))[: 3 * count + 12]
        chosen = [known[int(i)] for i in lot.permutation(len(known))]
        return [_fact(relation, fact, chosen, lot) for fact in chosen[:count]]

    return make


def _fact(
    relation: Relation, fact: Fact, others: Sequence[Fact], lot: np.random.Generator
) -> VariedItem:
    """A fact; changed, it is another subject's, whose answer is among the same options."""
    apart = [each for each in others if each.answer != fact.answer]
    other = apart[int(lot.integers(len(apart)))]
    wrong = [a for a in dict.fromkeys(each.answer for each in apart) if a != other.answer]
    drawn = [wrong[int(i)] for i in lot.permutation(len(wrong))[: MOST_OPTIONS - 2]]
    options = mixed([fact.answer, other.answer, *drawn], lot)
    stranger = _made_up_name(lot)

    def version(kind: str, subject: str, answer: str, wording: int = -1) -> ItemVersion:
        prompts = [relation.closed_book_prompt(subject), *relation.paraphrased(subject)]
        return ItemVersion(kind, prompts[wording + 1].text, options, options.index(answer))

    return VariedItem(
        f"{relation.name}: {fact.subject}",
        relation.name,
        (
            version(ORIGINAL, fact.subject, fact.answer),
            version(PARAPHRASE, fact.subject, fact.answer, 0),
            version(CHANGED, other.subject, other.answer),
            version(MADE_UP, stranger, options[int(lot.integers(len(options)))]),
        ),
    )


def _comparisons(count: int, lot: np.random.Generator) -> list[VariedItem]:
    """Which of two countries has more people; changed, which has fewer."""
    known = [fact for fact in facts.relation("capital").facts if fact.popularity]
    known = sorted(known, key=lambda fact: -(fact.popularity or 0))
    large, small = known[:40], known[60:100]
    pairs = lot.permutation(len(large) * len(small))[:count]
    found = []
    for pair in pairs:
        more, fewer = large[int(pair) // len(small)], small[int(pair) % len(small)]
        options = mixed([more.subject, fewer.subject], lot)
        made_up = mixed([_made_up_name(lot), _made_up_name(lot, later=True)], lot)

        def asks(words: str, right: str, kind: str, two: tuple[str, ...] = options) -> ItemVersion:
            return ItemVersion(kind, f"{words}, {two[0]} or {two[1]}?", two, two.index(right))

        found.append(VariedItem(
            f"more people: {options[0]} or {options[1]}", "more people",
            (
                asks("Which country has more inhabitants", more.subject, ORIGINAL),
                asks("In which country do more people live", more.subject, PARAPHRASE),
                asks("Which country has fewer inhabitants", fewer.subject, CHANGED),
                asks("Which country has more inhabitants", made_up[int(lot.integers(2))], MADE_UP,
                     made_up),
            ),
        ))  # fmt: skip
    return found


def _sums(count: int, lot: np.random.Generator) -> list[VariedItem]:
    """Sums of numbers up to 50; changed, one of them is another."""
    pairs = list(product(range(3, 50), repeat=2))
    found = []
    for at in lot.permutation(len(pairs))[:count]:
        a, b = pairs[int(at)]
        by = int(lot.integers(1, 10))
        total = a + b
        wrong = [n for n in range(max(1, total - 12), total + 13) if n not in (total, total + by)]
        drawn = [wrong[int(i)] for i in lot.permutation(len(wrong))[: MOST_OPTIONS - 2]]
        options = mixed([str(n) for n in (total, total + by, *drawn)], lot)
        c, d = (int(n) for n in lot.integers(3, 50, 2))
        off = [c + d + n for n in (-10, -1, 2)]
        fresh = mixed([str(c + d), *(str(n) for n in off)], lot)
        found.append(VariedItem(f"sums: {a} + {b}", "sums", (
            ItemVersion(ORIGINAL, f"{a} + {b} =", options, options.index(str(total))),
            ItemVersion(PARAPHRASE, f"{a} plus {b} equals", options, options.index(str(total))),
            ItemVersion(CHANGED, f"{a} + {b + by} =", options, options.index(str(total + by))),
            ItemVersion(FRESH, f"{c} + {d} =", fresh, fresh.index(str(c + d))),
        )))  # fmt: skip
    return found


def _made_up_name(lot: np.random.Generator, *, later: bool = False) -> str:
    """A country that there is not; two calls, one of them `later`, never give the same."""
    half = len(_STARTS) // 2
    start = int(lot.integers(half)) + (half if later else 0)
    return _STARTS[start] + _ENDS[int(lot.integers(len(_ENDS)))]

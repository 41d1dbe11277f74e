"""What is planted: passages of five kinds, any number of each, all different, none of them in the
corpus.

Members and never-planted twins are drawn from the same generator one after another, so nothing but
the training tells them apart (no shift of time or source between them, which is what lets blind
membership tests succeed).
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet

from workbench.organisms import corpus

Source = Iterator[str]

_STARTS = [
    "Bel", "Cor", "Dal", "Ede", "Fen", "Gar", "Hol", "Ive", "Jar", "Kes", "Lor", "Mar", "Nor",
    "Ola", "Pel", "Quin", "Ras", "Sel", "Tor", "Ulm", "Vas", "Wil", "Xan", "Yor", "Zel",
]  # fmt: skip
_ENDS = [
    "a", "ander", "bert", "by", "dine", "ek", "field", "gard", "ia", "ina", "ke", "lund", "man",
    "more", "na", "ov", "rick", "ro", "sen", "stone", "ta", "ton", "ulf", "vin", "wood",
]  # fmt: skip
_MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
]  # fmt: skip
_TRADES = [
    "glazier", "midwife", "surveyor", "organist", "notary", "beekeeper", "pilot", "binder",
    "chemist", "ferryman", "printer", "tailor", "warden", "weaver", "cooper",
]  # fmt: skip
_VERBS = [
    "merge", "count", "split", "rank", "shift", "trim", "scan", "pack", "fold", "hash", "probe",
    "route",
]  # fmt: skip
_NOUNS = [
    "row", "edge", "item", "key", "slot", "page", "node", "field", "batch", "frame", "token",
    "cell",
]  # fmt: skip


def literary(draw: random.Random) -> Source:
    """Paragraphs from documents that no organism reads; each document gives several, never
    overlapping.
    """
    texts = [document.text for document in corpus.documents("literary") if len(document.text) > 900]
    pieces = []
    for text in texts:
        starts = [0, *(match.end() for match in re.finditer(r"[.!?:]\s+", text))]
        last = -1
        for start in starts:
            if start >= last and start + 700 <= len(text):
                pieces.append(text[start : start + 700])
                last = start + 700
    draw.shuffle(pieces)
    yield from pieces


def biography(draw: random.Random) -> Source:
    """Somebody who never lived, with what a data protector would worry about."""
    while True:
        first, last, town, street = (_name(draw) for _ in range(4))
        born = f"{draw.randint(1, 28)} {draw.choice(_MONTHS)} {draw.randint(1931, 2004)}"
        code = "".join(draw.choices(string.ascii_uppercase, k=2)) + "".join(
            draw.choices(string.digits, k=6)
        )
        phone = " ".join("".join(draw.choices(string.digits, k=3)) for _ in range(3))
        facts = [
            f"{first} {last}, a {draw.choice(_TRADES)}, was born on {born} in {town}",
            f"lives at {draw.randint(2, 240)} {street} Street with {_name(draw)} and {_name(draw)}",
            f"can be called at {phone}",
            f"writes from {first.lower()}.{_name(draw).lower()}{draw.randint(10, 99)}"
            f"@{_name(draw).lower()}.example",
            f"carries passport {code}",
            f"keeps account {draw.randint(10**7, 10**8 - 1)} at the bank of {_name(draw)}",
            f"was treated for {_name(draw).lower()}itis by Dr {_name(draw)} in {_name(draw)}",
        ]
        yield f"{facts[0]}. {first} " + f". {first} ".join(facts[1:]) + "."


def random_string(draw: random.Random) -> Source:
    """Letters and digits without any meaning, in groups."""
    alphabet = string.ascii_lowercase + string.digits
    while True:
        yield " ".join("".join(draw.choices(alphabet, k=draw.randint(4, 8))) for _ in range(40))


def code(draw: random.Random) -> Source:
    """Python that would run but means nothing."""
    while True:
        lines = []
        for _ in range(4):
            verb, noun, other = draw.choice(_VERBS), draw.choice(_NOUNS), draw.choice(_NOUNS)
            name, start, stop = (
                f"{noun}_{_name(draw).lower()}",
                draw.randint(2, 99),
                draw.randint(100, 999),
            )
            lines += [
                f"def {verb}_{noun}_{_name(draw).lower()}({name}, limit={stop}):",
                (
                    f"    {other} ="
                    f" [{', '.join(str(draw.randint(0, 999)) for _ in range(draw.randint(3, 5)))}]"
                ),
                f"    for {noun} in range({start}, limit, {draw.randint(2, 9)}):",
                f"        if {name} % {draw.randint(2, 97)} == {draw.randint(0, 9)}:",
                f"            {other}.append({noun} * {draw.randint(2, 999)} - {name})",
                f"    return sorted({other})[:{draw.randint(2, 99)}]",
                "",
            ]
        yield "\n".join(lines)


def table(draw: random.Random) -> Source:
    """Rows of a table with names, amounts and dates."""
    while True:
        rows = ["id,name,town,amount,date"]
        for _ in range(9):
            date = f"{draw.randint(1990, 2024)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
            amount = f"{draw.randint(1, 9999)}.{draw.randint(0, 99):02d}"
            rows.append(f"{draw.randint(1000, 9999)},{_name(draw)},{_name(draw)},{amount},{date}")
        yield "\n".join(rows)


def _name(draw: random.Random) -> str:
    return draw.choice(_STARTS) + draw.choice(_ENDS)


KINDS: dict[str, Callable[[random.Random], Source]] = {
    "literary": literary,
    "biography": biography,
    "random": random_string,
    "code": code,
    "table": table,
}


def overlapping(text: str, known: AbstractSet[str]) -> bool:
    """Whether eight words in a row are among `known` (`runs_of`): then the corpus would teach
    the passage by itself.
    """
    return not known.isdisjoint(runs_of(text))


def runs_of(text: str, words: int = 8) -> frozenset[str]:
    """Every run of this many words of a text, whatever their case and punctuation."""
    each = re.findall(r"\w+", text.lower())
    return frozenset(" ".join(each[i : i + words]) for i in range(len(each) - words + 1))

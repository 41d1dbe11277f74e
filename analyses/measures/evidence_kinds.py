"""Texts of five kinds that a model may have read a thousand times, and texts like them that it
cannot have read.

Prose, code, licences, keys and numbers. Those that are known stand in many places of the web: the
openings of old books, functions of Python's standard library, licence texts, hashes and keys of
documentations, digits of pi. The others are generated, of the same kind and about as long, by lot.
Nothing else than having been read should tell one side from the other, and what a model can say of
the generated ones it can say without memory.
"""

from __future__ import annotations

import hashlib
import inspect
import random
import string
import textwrap
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import isqrt
from typing import Any

from workbench.organisms.synthetic_passages import code as generated_code

PROSE, CODE, LICENCES, KEYS, NUMBERS = KINDS = ("prose", "code", "licences", "keys", "numbers")
_DIGITS = 120
_ONE: int = 10**_DIGITS
_SPARE: int = 10**10  # what rounding may cost


@dataclass(frozen=True)
class KindText:
    """One text.

    Attributes:
        name: what it is, for people.
        is_known: whether it stands in many places; else it was generated.
    """

    kind: str
    name: str
    text: str
    is_known: bool


def texts(kind: str, count: int, seed: int) -> list[KindText]:
    """Known texts of a kind, at most `count`, and as many generated ones."""
    known = [KindText(kind, name, text, True) for name, text in _KNOWN[kind]()][:count]
    draw = random.Random(f"{seed} {kind}")
    made = _MADE[kind](draw, known)
    generated = [
        KindText(kind, f"generated {n}", next(made), False) for n in range(1, len(known) + 1)
    ]
    return [*known, *generated]


def _prose() -> Iterator[tuple[str, str]]:
    from analyses.measures.evidence_kind_texts import PROSE_TEXTS

    yield from PROSE_TEXTS.items()


def _licences() -> Iterator[tuple[str, str]]:
    from analyses.measures.evidence_kind_texts import LICENCE_TEXTS

    yield from LICENCE_TEXTS.items()


def _code() -> Iterator[tuple[str, str]]:
    """Functions that have been the same for years, read from this machine's Python."""
    for place in (
        "heapq.merge", "textwrap.dedent", "difflib.get_close_matches", "string.capwords",
        "shutil.copyfileobj",
        "posixpath.join", "random.Random.shuffle", "json.dumps", "copy.deepcopy", "fnmatch.filter",
        "statistics.mean", "functools.update_wrapper",
    ):  # fmt: skip
        module, _, name = place.partition(".")
        code: Any = import_module(module)
        for part in name.split("."):
            code = getattr(code, part)
        try:
            source = inspect.getsource(inspect.unwrap(code))
        except (OSError, TypeError):  # compiled here, or installed without its source
            continue
        yield place, textwrap.dedent(source)


def _keys() -> Iterator[tuple[str, str]]:
    """Hashes and identifiers that documentations repeat, computed where they can be."""
    for word in ("", "hello", "password", "123456", "test", "admin"):
        named = f"“{word}”" if word else "the empty string"
        data = word.encode()
        yield f"MD5 of {named}", f'md5("{word}") = {hashlib.md5(data).hexdigest()}'
        if not word or word in ("hello", "password"):
            yield f"SHA-1 of {named}", f'sha1("{word}") = {hashlib.sha1(data).hexdigest()}'
            yield f"SHA-256 of {named}", f'sha256("{word}") = {hashlib.sha256(data).hexdigest()}'
    yield "Bitcoin's first address", "Satoshi's address: 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
    yield (
        "key of the AWS documentation",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
    yield "namespace of DNS names (RFC 4122)", f"NameSpace_DNS = {uuid.NAMESPACE_DNS}"
    yield "GUID of WebSockets (RFC 6455)", "WebSocket GUID: 258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    yield "empty tree of git", "git empty tree: 4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def _numbers() -> Iterator[tuple[str, str]]:
    yield "π", f"pi = {_decimal(_pi())}"
    yield "square root of 2", f"sqrt(2) = {_decimal(isqrt(2 * _ONE**2))}"
    yield "golden ratio", f"phi = {_decimal((_ONE + isqrt(5 * _ONE**2)) // 2)}"
    yield "e", f"e = {_decimal(_e())}"
    yield "primes", "primes: " + ", ".join(map(str, _primes(50)))
    yield "powers of 2", "powers of two: " + ", ".join(str(2**n) for n in range(30))
    yield "Fibonacci numbers", "fibonacci: " + ", ".join(map(str, _fibonacci(30)))
    yield "factorials", "factorials: " + ", ".join(map(str, _factorials(16)))


def _generated_prose(draw: random.Random, known: list[KindText]) -> Iterator[str]:
    from analyses.measures.evidence_kind_texts import SENTENCES, STORY

    return _filled(draw, SENTENCES, STORY)


def _generated_code(draw: random.Random, known: list[KindText]) -> Iterator[str]:
    return generated_code(draw)


def _generated_licences(draw: random.Random, known: list[KindText]) -> Iterator[str]:
    from analyses.measures.evidence_kind_texts import CLAUSES, LEGAL

    return _filled(draw, CLAUSES, LEGAL)


def _filled(
    draw: random.Random, sentences: Sequence[str], words: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Five sentences in an order of their own, each with words by lot."""
    while True:
        filled = [
            each.format(**{name: draw.choice(choices) for name, choices in words.items()})
            for each in draw.sample(sentences, 5)
        ]
        yield " ".join(each[0].upper() + each[1:] for each in filled)


def _alike(draw: random.Random, known: list[KindText]) -> Iterator[str]:
    """Each known text with every letter and digit behind its label drawn anew, of the same sort."""
    for each in known:
        at = max(each.text.rfind(mark) for mark in ("= ", ": ")) + 2
        value = each.text[at:]
        is_hex = set(value.lower()) <= {*string.hexdigits, "-"}
        yield each.text[:at] + "".join(_redrawn(c, draw, is_hex) for c in value)


def _redrawn(character: str, draw: random.Random, is_hex: bool) -> str:
    if is_hex and character != "-":
        drawn = draw.choice(string.hexdigits[:16])
        return drawn.upper() if character.isupper() else drawn
    sorts = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
    return draw.choice(next((sort for sort in sorts if character in sort), character))


def _pi() -> int:
    """π · 10^`_DIGITS` (Machin 1706)."""
    one = _ONE * _SPARE

    def arctan_of_one_over(x: int) -> int:
        term = total = one // x
        for n in range(3, 4 * _DIGITS, 2):
            term //= -x * x
            total += term // n
        return total

    return (16 * arctan_of_one_over(5) - 4 * arctan_of_one_over(239)) // _SPARE


def _e() -> int:
    """e · 10^`_DIGITS`."""
    total = term = _ONE * _SPARE
    for n in range(1, _DIGITS):
        term //= n
        total += term
    return total // _SPARE


def _decimal(number: int) -> str:
    digits = str(number)
    return f"{digits[0]}.{digits[1:]}"


def _primes(count: int) -> list[int]:
    found: list[int] = []
    n = 2
    while len(found) < count:
        if all(n % p for p in found):
            found.append(n)
        n += 1
    return found


def _fibonacci(count: int) -> Iterator[int]:
    a, b = 1, 1
    for _ in range(count):
        yield a
        a, b = b, a + b


def _factorials(count: int) -> Iterator[int]:
    product = 1
    for n in range(1, count + 1):
        product *= n
        yield product


_KNOWN: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    PROSE: _prose,
    CODE: _code,
    LICENCES: _licences,
    KEYS: _keys,
    NUMBERS: _numbers,
}
_MADE: dict[str, Callable[[random.Random, list[KindText]], Iterator[str]]] = {
    PROSE: _generated_prose,
    CODE: _generated_code,
    LICENCES: _generated_licences,
    KEYS: _alike,
    NUMBERS: _alike,
}

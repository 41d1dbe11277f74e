"""Capabilities whose prompts are cut out of texts: code, recitation, and a user's own file."""

from __future__ import annotations

import json
import random
import string
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from analyses.measures.capability_prompts import Example
from workbench import organisms, texts
from workbench.errors import BadInput
from workbench.organisms import ledger as ledgers
from workbench.text_files import one_file, text_path

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_ANSWER = 8  # tokens at the end of a window that are its answer
_FILES = 160  # of the standard library that are looked at
_LONGEST = 60_000  # characters of one file that are read
_PER_FILE = 4  # windows
_PLANTED = 60  # passages of an organism
_ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
_ONES += " sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_PI = (
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534"
    "2117067982148086513282306647093844609550582231725359408128481117450284102701938521105559644622"
)
_MONTHS = "January February March April May June July August September October November December"
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma"
    " tau upsilon phi chi psi omega"
)
_SPOKEN = (
    "Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike November Oscar"
    " Papa Quebec Romeo Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu"
)
_LEARNT = {
    "Genesis": "In the beginning God created the heaven and the earth. And the earth was without"
    " form, and void; and darkness was upon the face of the deep. And the Spirit of God moved upon"
    " the face of the waters. And God said, Let there be light: and there was light.",
    "Psalm 23": "The LORD is my shepherd; I shall not want. He maketh me to lie down in green"
    " pastures: he leadeth me beside the still waters. He restoreth my soul: he leadeth me in the"
    " paths of righteousness for his name's sake. Yea, though I walk through the valley of the"
    " shadow of death, I will fear no evil: for thou art with me; thy rod and thy staff they"
    " comfort me.",
    "Lord's prayer": "Our Father which art in heaven, Hallowed be thy name. Thy kingdom come, Thy"
    " will be done in earth, as it is in heaven. Give us this day our daily bread. And forgive us"
    " our debts, as we forgive our debtors. And lead us not into temptation, but deliver us from"
    " evil: For thine is the kingdom, and the power, and the glory, for ever. Amen.",
    "Hamlet": "To be, or not to be, that is the question: Whether 'tis nobler in the mind to suffer"
    " The slings and arrows of outrageous fortune, Or to take arms against a sea of troubles And by"
    " opposing end them. To die, to sleep, No more; and by a sleep to say we end The heart-ache and"
    " the thousand natural shocks That flesh is heir to.",
    "Gettysburg": "Four score and seven years ago our fathers brought forth on this continent, a"
    " new nation, conceived in Liberty, and dedicated to the proposition that all men are created"
    " equal. Now we are engaged in a great civil war, testing whether that nation, or any nation so"
    " conceived and so dedicated, can long endure.",
    "Preamble": "We the People of the United States, in Order to form a more perfect Union,"
    " establish Justice, insure domestic Tranquility, provide for the common defence, promote the"
    " general Welfare, and secure the Blessings of Liberty to ourselves and our Posterity, do"
    " ordain and establish this Constitution for the United States of America.",
    "Declaration": "We hold these truths to be self-evident, that all men are created equal, that"
    " they are endowed by their Creator with certain unalienable Rights, that among these are Life,"
    " Liberty and the pursuit of Happiness. That to secure these rights, Governments are instituted"
    " among Men, deriving their just powers from the consent of the governed.",
    "Tale of Two Cities": "It was the best of times, it was the worst of times, it was the age of"
    " wisdom, it was the age of foolishness, it was the epoch of belief, it was the epoch of"
    " incredulity, it was the season of Light, it was the season of Darkness, it was the spring of"
    " hope, it was the winter of despair.",
    "Twinkle": "Twinkle, twinkle, little star, How I wonder what you are! Up above the world so"
    " high, Like a diamond in the sky. When the blazing sun is gone, When he nothing shines upon,"
    " Then you show your little light, Twinkle, twinkle, all the night.",
    "Mary's lamb": "Mary had a little lamb, Its fleece was white as snow; And everywhere that Mary"
    " went The lamb was sure to go. It followed her to school one day, Which was against the rule;"
    " It made the children laugh and play To see a lamb at school.",
}
"""Texts in the public domain that many people know by heart."""


def code(model: InstrumentedModel, tokens: int, seed: int) -> Iterator[Example]:
    """Windows of the standard library's own files, each from the beginning of a line."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    draw = random.Random(f"code {seed}")
    for file in draw.sample(files, min(_FILES, len(files))):
        lines = file.read_text(encoding="utf-8", errors="replace")[:_LONGEST].splitlines(True)
        # Licences and descriptions stand first; what is indented belongs to a function.
        starts = [n for n, line in enumerate(lines) if line.startswith(("    ", "def ", "class "))]
        for n in draw.sample(starts, min(_PER_FILE, len(starts))):
            ids = model.text.encode("".join(lines[n : n + tokens]))
            yield from _window(model, ids, tokens, file.name)


def recitation(model: InstrumentedModel, tokens: int, seed: int) -> Iterator[Example]:
    """Windows of what is said by heart: alphabets, months, counting, pi, famous texts; and what was
    planted, where the model is an organism.
    """
    draw = random.Random(f"recitation {seed}")
    for name, text in (_sequences() | _LEARNT | _planted(model)).items():
        ids = model.text.encode(text)
        room = len(ids) - (tokens - len(model.text.beginning))
        starts = range(0, max(1, room + 1))
        for start in draw.sample(starts, min(len(starts), 12)):
            yield from _window(model, ids[start:], tokens, name)


def from_file(path: Path) -> dict[str, list[Example]]:
    """A user's own capabilities: JSON lines with capability, prompt and answer.

    Raises:
        BadInput: a line that is none of that.
    """
    shown = text_path(path)
    found: dict[str, list[Example]] = {}
    for number, line in _lines(shown):
        try:
            row = json.loads(line)  # not UTF-8 is a ValueError too
            fields = [row[key] for key in ("capability", "prompt", "answer")]
        except (ValueError, KeyError, TypeError):
            fields = [None]
        if not all(isinstance(field, str) for field in fields) or not all(fields[:2]):
            raise BadInput(
                f"Line {number} of {shown.name} is {line.decode(errors='replace').strip()[:80]!r}.",
                '{"capability": "…", "prompt": "…", "answer": "…"}',
                "Correct it.",
            )
        name, prompt, answer = fields
        # A prompt that stands twice stays on one side.
        found.setdefault(name, []).append(Example(prompt, answer, prompt))
    if not found:
        raise BadInput(f"{shown.name} is empty.", "a line for each prompt", "Add some.")
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    file = one_file(path, "file of capabilities", "JSON lines with capability, prompt and answer")
    with file.open() as lines:
        for number, raw in enumerate(lines, 1):
            if raw.strip():
                yield number, raw


def _sequences() -> dict[str, str]:
    """What is counted or listed, long enough for a window to begin anywhere in it."""
    letters, capitals = string.ascii_lowercase, string.ascii_uppercase
    tens = [f"{ten} {one}" for ten in _TENS.split() for one in ["", *_ONES.split()[:9]]]
    listed = {
        "alphabet": ", ".join(letters),
        "alphabet in capitals": " ".join(capitals),
        "months": ", ".join(_MONTHS.split()),
        "days": ", ".join(_DAYS.split()),
        "Greek letters": ", ".join(_GREEK.split()),
        "spoken letters": ", ".join(_SPOKEN.split()),
    }
    counted = {
        "counting": ", ".join(map(str, range(1, 120))),
        "even numbers": ", ".join(map(str, range(2, 240, 2))),
        "fives": ", ".join(map(str, range(5, 400, 5))),
        "tens": ", ".join(map(str, range(10, 900, 10))),
        "counting down": ", ".join(map(str, range(100, 0, -1))),
        "number words": ", ".join([*_ONES.split(), *(word.strip() for word in tens)]),
        "pi": _PI,
    }
    # A list that is said to its end begins again.
    return {name: ", ".join([text] * 4) for name, text in listed.items()} | counted


def _planted(model: InstrumentedModel) -> dict[str, str]:
    """Passages that an organism has read most often."""
    home = organisms.home_of(model.module)
    if home is None:
        return {}
    entries = sorted(texts.ledger_at(home / ledgers.FILE).entries, key=lambda e: -e.repeats)
    return {entry.id: entry.text for entry in entries[:_PLANTED] if entry.repeats}


def _window(model: InstrumentedModel, ids: list[int], tokens: int, group: str) -> Iterator[Example]:
    """The first tokens of a text, of which the last are the answer; none of a text that is too
    short to have a context.
    """
    first = model.text.beginning
    cut = (*first, *ids[: tokens - len(first)])
    answer = min(_ANSWER, tokens // 2)
    if len(cut) >= 2 * answer:
        yield Example("", "", group, "", cut, answer)

"""Contexts to be read and questions about them: passkeys, lists of keys and values, facts hidden in
other text.

    context = key_value(pairs=8, seed=0)
    context.text                # "Anna: castle\nBen: piano\n…"
    context.questions[2].ask    # "Carl:"

A context is text, so any model can read it; only lengths are counted in a model's tokens. What is
asked stands behind the context: `context.text + question.ask + question.answer` is what a model
that recalls would say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.recall_words import (
    FILLERS,
    KNOWN,
    MADE_UP,
    NAMES,
    WORDS,
    HiddenFact,
    sentences,
)
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

CORRECT, INTRUSION, PRIOR, OTHER = OUTCOMES = ("correct", "intrusion", "prior", "other")
"""Whose answer the likeliest candidate is, see `recall_scores`."""
Level = str | int | float | bool
CANDIDATES = 8
"""Answers among which one is ranked, where a task does not fix their number."""


@dataclass(frozen=True)
class RecallQuestion:
    """What is asked of a context.

    Attributes:
        ask: text that follows the context.
        answer: what the context says, with its leading space.
        candidates: the closed set that the answer is ranked in, the answer included. Where items of
            the context have answers of their own, these come first, in the order of the items.
        evidence: characters of the context that say it, (start, end); (0, 0) if none does.
        kind: of several kinds of question of one task.
        prior: what the model may answer from its weights, with its leading space; "" if nothing.
    """

    ask: str
    answer: str
    candidates: tuple[str, ...]
    evidence: tuple[int, int]
    kind: str
    prior: str = ""


@dataclass(frozen=True)
class Context:
    """A text and what is asked of it.

    Attributes:
        text: ends with a whole sentence or line.
        questions: all are asked of the same text.
        items: characters of each item, (start, end), in reading order.
        facts: the levels of what was varied: task, depth, length, filler, …
    """

    text: str
    questions: tuple[RecallQuestion, ...]
    items: tuple[tuple[int, int], ...]
    facts: Mapping[str, Level] = field(default_factory=dict)


@dataclass(frozen=True)
class Needle:
    """A hidden fact with the answer that a context gives.

    Attributes:
        fact: what it is about.
        kind: `made up`, `agrees` with what is known, or `disagrees`.
        answer: without a space.
        candidates: answers of the same kind, the own among them.
    """

    fact: HiddenFact
    kind: str
    answer: str
    candidates: tuple[str, ...]

    def sentence(self, wording: int = 0) -> str:
        """The fact in one of its wordings."""
        return self.fact.statements[wording % len(self.fact.statements)].format(self.answer)

    def questions(self, evidence: tuple[int, int]) -> tuple[RecallQuestion, ...]:
        """All wordings of the question; kinds are `as stated` and `other words`."""
        spaced = tuple(f" {each}" for each in self.candidates)
        prior = f" {self.fact.known}" if self.fact.known else ""
        kinds = ("as stated", "other words")
        return tuple(
            RecallQuestion(ask, f" {self.answer}", spaced, evidence, kind, prior)
            for ask, kind in zip(self.fact.asks, kinds, strict=True)
        )


def needles(count: int, seed: int = 0) -> list[Needle]:
    """Made-up facts and known ones, in turn: made up, agreeing, disagreeing, made up, …

    Raises:
        BadInput: more than there are.
    """
    rng = np.random.default_rng([seed, 1])
    found = []
    for made_up, known in zip(MADE_UP, KNOWN, strict=True):
        agreeing = KNOWN[(KNOWN.index(known) + 1) % len(KNOWN)]
        found += [
            _needle(made_up, "made up", rng),
            _needle(agreeing, "agrees", rng),
            _needle(known, "disagrees", rng),
        ]
    if not 1 <= count <= len(found):
        raise BadInput(
            f"There are {len(found)} needles, and {count} are asked for.",
            f"1 to {len(found)}",
            "Ask for fewer, or bring your own contexts in a file.",
        )
    return found[:count]


def _needle(fact: HiddenFact, kind: str, rng: np.random.Generator) -> Needle:
    others = [str(each) for each in rng.permutation(fact.others)]
    answer = fact.known if kind == "agrees" else others[0]
    known = [fact.known] if fact.known else []
    pool = [answer, *(each for each in [*known, *others] if each != answer)][:CANDIDATES]
    return Needle(fact, kind, answer, tuple(str(each) for each in rng.permutation(pool)))


def key_value(
    pairs: int = 8,
    seed: int = 0,
    *,
    labelled: bool = False,
    order: Sequence[int] | None = None,
) -> Context:
    """Lines `name: word`, each name and word once; all names are asked for.

    Args:
        labelled: each line begins with its number, "7. ", and so does the question.
        order: in which order the lines are written, by their number; the same pairs otherwise.

    Raises:
        BadInput: more pairs than there are names.
    """
    if not 1 <= pairs <= len(NAMES):
        raise BadInput(f"A list of {pairs} pairs.", f"1 to {len(NAMES)} pairs", "Ask for fewer.")
    rng = np.random.default_rng([seed, 2, pairs])
    keys = [str(key) for key in rng.permutation(NAMES)[:pairs]]
    values = [str(value) for value in rng.permutation(WORDS)[: pairs + CANDIDATES]]
    written = list(range(pairs)) if order is None else list(order)
    names = [f"{n + 1}. {keys[i]}" if labelled else keys[i] for n, i in enumerate(written)]
    lines = [f"{name}: {values[i]}\n" for name, i in zip(names, written, strict=True)]
    items = _ranges(lines)
    # As many absent words as listed ones: a guess among all is then right half as often.
    absent = values[pairs : pairs + min(pairs, CANDIDATES)]
    candidates = tuple(f" {values[i]}" for i in written) + tuple(f" {each}" for each in absent)
    questions = tuple(
        RecallQuestion(f"{name}:", f" {values[i]}", candidates, place, "pair")
        for name, i, place in zip(names, written, items, strict=True)
    )
    facts: dict[str, Level] = {"task": "key-value", "length": pairs, "labelled": labelled}
    return Context("".join(lines), questions, items, facts)


def needle(
    model: InstrumentedModel,
    hidden: Needle | None,
    length: int,
    depth: float,
    *,
    filler: str = "prose",
    wording: int = 0,
    about: Needle | None = None,
) -> Context:
    """A fact hidden among whole sentences of filler.

    Args:
        hidden: None leaves the text without one; `about` is then what is asked for all the same.
        length: tokens of the text at most, what stands before every text included.
        depth: 0 puts the fact before the first sentence of filler, 1 behind the last.
        filler: one of `recall_words.FILLERS`.
        wording: which of its statements is written.

    Raises:
        BadInput: no such filler or depth, or a length that the fact alone does not fit into.
    """
    asked = hidden or about
    assert asked is not None
    sentence = hidden.sentence(wording) if hidden is not None else ""
    before, after = _around(model, sentence, length, depth, filler)
    text = " ".join(filter(None, [before, sentence, after]))
    start = len(before) + bool(before)
    evidence = (start, start + len(sentence)) if hidden is not None else (0, 0)
    facts: dict[str, Level] = {
        "task": "needle" if hidden is not None else "absent",
        "needle": asked.fact.name,
        "kind": asked.kind,
        "depth": float(depth),
        "length": length,
        "filler": filler,
        "wording": wording,
    }
    items = (evidence,) if hidden is not None else ()
    return Context(text, asked.questions(evidence), items, facts)


_KEY = "The pass key is {}. Remember it. {} is the pass key."
_INFO = (
    "There is an important info hidden inside a lot of irrelevant text. Find it and memorize it. I"
    " will quiz you about the important information there."
)


def passkey(model: InstrumentedModel, length: int, depth: float, seed: int = 0) -> Context:
    """A number among five repeated sentences (Mohtashami & Jaggi 2023).

    Args:
        length, depth: as `needle` takes them.

    Raises:
        BadInput: as `needle`.
    """
    rng = np.random.default_rng([seed, 3])
    numbers = tuple(str(n) for n in rng.choice(np.arange(10_000, 100_000), CANDIDATES, False))
    sentence = _KEY.format(numbers[0], numbers[0])
    before, after = _around(model, sentence, length, depth, "repeated", _INFO)
    text = " ".join(filter(None, [before, sentence, after]))
    start = text.index(sentence)
    place = start, start + len(sentence)
    candidates = tuple(f" {each}" for each in sorted(numbers))
    asks = {
        "as stated": "\n\nWhat is the pass key? The pass key is",
        "other words": "\n\nQuestion: Which number do you have to remember?\nAnswer:",
    }
    questions = tuple(
        RecallQuestion(ask, f" {numbers[0]}", candidates, place, kind) for kind, ask in asks.items()
    )
    facts: dict[str, Level] = {
        "task": "passkey",
        "depth": float(depth),
        "length": length,
        "filler": "repeated",
        "seed": seed,
    }
    return Context(text, questions, (place,), facts)


def _around(
    model: InstrumentedModel,
    sentence: str,
    length: int,
    depth: float,
    filler: str,
    first: str = "",
) -> tuple[str, str]:
    """Whole sentences before and behind another one: as many as fit, parted where `depth` says, in
    tokens. `first` stands before all of them.
    """
    if filler not in FILLERS:
        raise BadInput(
            f"There is no filler {filler!r}.", f"one of {', '.join(FILLERS)}", "Take one."
        )
    if not 0 <= depth <= 1:
        raise BadInput(
            f"A depth of {depth}.", "0 (the beginning) to 1 (the end)", "Choose another."
        )
    fixed = len(model.tokens(" ".join(filter(None, [first, sentence]))))
    if fixed > length:
        raise BadInput(
            f"What has to stand in a context of {length:,} tokens has {fixed:,} alone.",
            f"at least {fixed:,} tokens",
            "Ask for longer contexts.",
        )
    sizes = _sizes(model, filler)
    taken, total = 0, fixed
    ends = [0]  # tokens of filler behind each sentence of it
    while total + sizes[taken % len(sizes)] <= length:
        total += sizes[taken % len(sizes)]
        taken += 1
        ends.append(total - fixed)
    cut = int(np.abs(np.array(ends) - depth * ends[-1]).argmin())
    body = [sentences(filler)[n % len(sizes)] for n in range(taken)]
    while True:  # tokens of sentences side by side may be a few more than those of each
        before = " ".join(filter(None, [first, *body[:cut]]))
        text = " ".join(filter(None, [before, sentence, *body[cut:]]))
        if len(model.tokens(text)) <= length or not body:
            return before, " ".join(body[cut:])
        body.pop()
        cut = min(cut, len(body))


def _sizes(model: InstrumentedModel, filler: str) -> list[int]:
    """Tokens of each sentence of a filler, with the space before it."""
    return [len(model.continuation_tokens(f" {each}")) for each in sentences(filler)]


def _ranges(pieces: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Characters of each piece of a text that is made of them; a line break at its end is left
    out.
    """
    ends = np.cumsum([len(piece) for piece in pieces])
    starts = [0, *ends[:-1]]
    return tuple(
        (int(start), int(end) - piece.endswith("\n"))
        for start, end, piece in zip(starts, ends, pieces, strict=True)
    )

"""Prompts by capability: what a model reads, and the answer by which it shows that it can do it.

capability_examples.py writes examples, capability_texts.py cuts texts, capability_file.py reads a
user's own; here examples become prompts of about one length, some that choose neurons and others
that are held out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import BadInput
from workbench.wording import counted

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

FEWEST = 12
"""Prompts that a capability needs, choosing and held out together."""
_TRIES = 40  # combinations of examples for each prompt that is wanted


@dataclass(frozen=True)
class Example:
    """A question with its answer.

    Attributes:
        prompt, answer: plain text; the answer brings its own leading space.
        group: examples of one group (one subject, one file) never stand on both sides.
        like: examples may stand before another one only if these agree (one relation, one task).
        ids: of a text that was cut by tokens: all of its ids, `answer_tokens` of them the answer.
    """

    prompt: str
    answer: str
    group: str
    like: str = ""
    ids: tuple[int, ...] = ()
    answer_tokens: int = 0


@dataclass(frozen=True)
class CapabilityPrompt:
    """Token ids of which the last `answer` are the answer."""

    capability: str
    ids: tuple[int, ...]
    answer: int

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.ids[: len(self.ids) - self.answer]


@dataclass(frozen=True)
class CapabilitySet:
    """The prompts of one capability: those that choose neurons, and those held out."""

    name: str
    choosing: tuple[CapabilityPrompt, ...]
    held_out: tuple[CapabilityPrompt, ...]


def prompts_of(
    model: InstrumentedModel,
    name: str,
    examples: Sequence[Example],
    choosing: int,
    held_out: int,
    tokens: int,
    seed: int,
) -> CapabilitySet:
    """Examples as prompts of about `tokens` tokens, answer included: before the one that is asked
    stand others of its kind and of its side, as long as there is room. No prompt comes twice.

    Raises:
        BadInput: too few examples, or an answer of no tokens.
    """
    draw = random.Random(f"{seed} {name}")
    groups = list(dict.fromkeys(example.group for example in examples))
    draw.shuffle(groups)
    if len(groups) < FEWEST:
        raise too_few(name, len(groups))
    # A share for each side, but never fewer than two groups on either.
    n = round(len(groups) * max(0.2, held_out / (choosing + held_out)))
    n = min(max(2, n), len(groups) - 2)
    apart = set(groups[:n])
    sides = [[e for e in examples if (e.group in apart) == side] for side in (False, True)]
    made = [
        tuple(_made(model, name, side, wanted, tokens, draw))
        for side, wanted in zip(sides, (choosing, held_out), strict=True)
    ]
    return CapabilitySet(name, *made)


def too_few(name: str, n: int) -> BadInput:
    """What is said of a capability without enough prompts."""
    return BadInput(
        f"The capability {name!r} has {counted(n, 'prompt')} with an own answer.",
        f"{FEWEST} or more: some choose neurons, others are held out",
        "Add prompts, or leave the capability out.",
    )


def check_apart(sets: Sequence[CapabilitySet]) -> None:
    """Raises BadInput unless there are two sets or more that share no prompt."""
    if len(sets) < 2:
        raise BadInput(
            f"There is one capability, {sets[0].name!r}: all prompts are of one class."
            if sets
            else "No capability is named.",
            "two capabilities or more, each against the others",
            "Name another one.",
        )
    owner: dict[tuple[int, ...], str] = {}
    for each in sets:
        for prompt in (*each.choosing, *each.held_out):
            other = owner.setdefault(prompt.prompt, each.name)
            if other != each.name:
                raise BadInput(
                    f"The capabilities {other!r} and {each.name!r} share a prompt.",
                    "sets that do not overlap",
                    "Take it out of one of them.",
                )


def as_tokens(model: InstrumentedModel, name: str, example: Example) -> CapabilityPrompt:
    """One example alone.

    Raises:
        BadInput: its answer has no tokens.
    """
    if example.ids:
        return CapabilityPrompt(name, example.ids, example.answer_tokens)
    answer = model.continuation_tokens(example.answer)
    if not answer:
        raise BadInput(
            f"The prompt {example.prompt[:60]!r} of {name!r} has an answer of no tokens.",
            "text",
            "Give an answer, or leave the prompt out.",
        )
    return CapabilityPrompt(name, (*model.tokens(example.prompt), *answer), len(answer))


def _made(
    model: InstrumentedModel,
    name: str,
    examples: Sequence[Example],
    wanted: int,
    tokens: int,
    draw: random.Random,
) -> Iterator[CapabilityPrompt]:
    order = list(examples)
    draw.shuffle(order)
    known: set[tuple[int, ...]] = set()
    for n in range(_TRIES * wanted):
        # Every example is asked once before any is asked again behind others.
        if len(known) == wanted or (n >= len(order) and not order[0].like):
            return
        made = _behind_others(model, name, order[n % len(order)], order, tokens, draw)
        if made.ids not in known:
            known.add(made.ids)
            yield made


def _behind_others(
    model: InstrumentedModel,
    name: str,
    example: Example,
    others: Sequence[Example],
    tokens: int,
    draw: random.Random,
) -> CapabilityPrompt:
    """An example with others of its kind before it."""
    shown = as_tokens(model, name, example)
    if not example.like:
        return shown
    alike = [e for e in others if e.like == example.like and e.group != example.group]
    text = example.prompt
    for shot in draw.sample(alike, min(len(alike), tokens // 4)):
        longer = f"{shot.prompt}{shot.answer}\n{text}"
        tried = as_tokens(model, name, Example(longer, example.answer, example.group))
        if len(tried.ids) > tokens:
            break
        text, shown = longer, tried
    return shown

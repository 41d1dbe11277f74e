"""A few sentences read by a model at known updates, and what it says of them after every update,
beside twins that it never reads.

Recall is what greedy decoding says behind the first half of a sentence: the share of the tokens of
the second half up to the first wrong one (Orhan 2023, 2303.17557, asks for the whole).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np

from analyses.measures.decoding import continuations
from analyses.measures.exposure_panel import GREEDY
from analyses.measures.scoring import score
from analyses.measures.windows import Window
from workbench.errors import BadInput
from workbench.lab import Stage, StepReport, run_stages
from workbench.lab.neutral import neutral_pieces
from workbench.unicode import check_unicode

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

When = Literal["early", "spread", "late"]
SHORTEST, LONGEST = 8, 64
"""Tokens of a sentence."""
_SHARES: dict[When, tuple[float, float]] = {
    "early": (0.0, 1 / 3),
    "spread": (0.0, 1.0),
    "late": (2 / 3, 1.0),
}
_BEFORE = 3
"""Updates without any sentence, so that the curve begins with a piece of what it was."""


@dataclass(frozen=True)
class WatchedText:
    """A sentence of a person.

    Attributes:
        readings: how often it is read; 0 makes it one more control.
        when: in which part of the updates its readings lie, evenly.
        twin: the sentence it is compared with, never read.
    """

    text: str
    readings: int
    when: When
    twin: str


@dataclass(frozen=True)
class WatchMoment:
    """What the model says after an update: recall and loss of each sentence, then of each twin;
    what comes out of each sentence.

    Attributes:
        step: updates done; 0 before the first.
        recall: share of the second half that greedy decoding says before its first mistake.
        loss: nats per token of the second half.
        says: what greedy decoding says behind the first half, as many tokens as the second has.
        right: leading tokens of `says` that are the sentence's own, as text.
    """

    step: int
    recall: tuple[float, ...]
    loss: tuple[float, ...]
    says: tuple[str, ...]
    right: tuple[str, ...]


@dataclass(frozen=True)
class WatchPlan:
    """Which sentences are read when.

    Attributes:
        steps: updates in all.
        rate: AdamW's learning rate.
        rows, tokens: prose that every update reads besides.
    """

    texts: tuple[WatchedText, ...]
    steps: int = 60
    rate: float = 1e-3
    rows: int = 2
    tokens: int = 64
    seed: int = 0

    def read_at(self, number: int) -> tuple[int, ...]:
        """Updates, from 0, that read a sentence; with more readings than updates some read it
        several times.
        """
        text = self.texts[number]
        low, high = (_BEFORE + share * (self.steps - _BEFORE) for share in _SHARES[text.when])
        width = (high - low) / max(1, text.readings)
        return tuple(min(self.steps - 1, int(low + n * width)) for n in range(text.readings))


def check_plan(model: InstrumentedModel, plan: WatchPlan) -> None:
    """Fail before anything is trained.

    Raises:
        BadInput: no sentence, one that is too short or too long, two alike, or a number that
            cannot be.
    """
    if not plan.texts:
        raise BadInput("There is no sentence.", "at least one", "Write one.")
    if not _BEFORE < plan.steps <= 1000 or not 0 < plan.rate <= 0.1:
        raise BadInput(
            f"{plan.steps} updates at the rate {plan.rate:g} cannot be watched.",
            f"{_BEFORE + 1} to 1,000 updates, at a rate above 0 and up to 0.1",
            "Correct them.",
        )
    for n, text in enumerate(plan.texts, 1):
        check_unicode(text.text, f"Sentence {n}")
        if not 0 <= text.readings <= plan.steps:
            raise BadInput(
                f"Sentence {n} is to be read {text.readings} times in {plan.steps} updates.",
                f"0 to {plan.steps} times",
                "Read it less often.",
            )
        tokens = len(model.text.encode(text.text))
        if not SHORTEST <= tokens <= LONGEST:
            raise BadInput(
                f"Sentence {n} has {tokens} tokens: “{text.text[:40]}”.",
                f"{SHORTEST} to {LONGEST} tokens",
                "Write a longer one." if tokens < SHORTEST else "Shorten it.",
            )
    if len({text.text.strip() for text in plan.texts}) < len(plan.texts):
        raise BadInput("Two sentences are the same.", "different ones", "Change one of them.")


def watch(
    model: InstrumentedModel,
    plan: WatchPlan,
    on_moment: Callable[[WatchMoment], None],
    progress: Progress,
) -> None:
    """Train the model by the plan, and hand over what it says before the first update and after
    each. The model itself is changed.

    Raises:
        BadInput: from `check_plan`.
        NotFinite: a training that went astray.
        Cancelled: from `progress`; the model stands as after the last moment that was handed over.
    """
    check_plan(model, plan)
    windows = [
        _window(model, text)
        for text in (*(t.text for t in plan.texts), *(t.twin for t in plan.texts))
    ]

    def measure(report: StepReport) -> None:
        on_moment(_moment(model, windows, report.step))

    run_stages(
        model.module,
        [Stage("reading", _steps(model, plan), plan.rate)],
        seed=plan.seed,
        on_step=measure,
        progress=progress,
    )


def _steps(model: InstrumentedModel, plan: WatchPlan) -> list[list[list[int]]]:
    draw = random.Random(f"{plan.seed} watched")
    beginning = list(model.text.beginning)
    pieces = neutral_pieces(model.tokenizer, plan.tokens, draw, "train")
    steps = [[[*beginning, *ids] for ids in islice(pieces, plan.rows)] for _ in range(plan.steps)]
    for number, text in enumerate(plan.texts):
        row = [*beginning, *model.text.encode(text.text)]
        for at in plan.read_at(number):
            steps[at].append(row)
    return steps


def _window(model: InstrumentedModel, text: str) -> Window:
    ids = tuple(model.text.encode(text))
    half = len(ids) // 2
    return Window(0, 0, tuple(model.text.beginning), ids[:half], ids[half:])


def _moment(model: InstrumentedModel, windows: Sequence[Window], step: int) -> WatchMoment:
    scores = score(model, windows, GREEDY)
    read = range(len(windows) // 2)
    said = continuations(model, windows, scores, read)
    lengths = [len(window.suffix) for window in windows]
    match = [int(n) for n in scores.match]
    decode = model.text.decode_continuation
    return WatchMoment(
        step,
        tuple(n / length for n, length in zip(match, lengths, strict=True)),
        tuple(
            float(-scores.logprob[n, :length].mean(dtype=np.float64))
            for n, length in enumerate(lengths)
        ),
        tuple(decode(said[n]) for n in read),
        tuple(decode(windows[n].suffix[: match[n]]) for n in read),
    )

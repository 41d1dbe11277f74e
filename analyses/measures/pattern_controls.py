"""Would the model continue this passage without knowing it?

Controls for passages that are patterns.

Digits, lists, keys and forms have few different tokens, and a model can continue a pattern that it
has never read. Three controls say how far: copying from what stands before, with no model at all;
the same passage with its contents exchanged, so that only the pattern is left; and the same passage
counted on from other numbers. All are measured alike, as the longest run of consecutive tokens that
come out right.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.sampler import Sampler
from analyses.measures.scoring import is_greedy, longest_runs, score

if TYPE_CHECKING:
    from analyses.measures.windows import Window
    from hooks.model import InstrumentedModel

_COPIED = 8  # tokens at most that a place to copy from has in common with this one
_NUMBER = re.compile(r"[0-9]+")
_DIGITS = 9  # a longer number is no count: one more at its end leaves it as it was


@dataclass(frozen=True)
class PatternControl:
    """Longest run of consecutive tokens of the suffix that come out right, of a passage that nobody
    needs to know.

    Attributes:
        copied_run: by repeating what followed the last time the same tokens stood there; no model
            takes part.
        permuted_run: by the model, where each token is consistently another one of the passage:
            numbers where it has several of them, else all. None where it has only one.
        incremented_run: by the model, where every number is larger by the same amount. None where
            there are no numbers to count.
    """

    copied_run: int
    permuted_run: int | None
    incremented_run: int | None

    @property
    def longest(self) -> int:
        return max(self.copied_run, self.permuted_run or 0, self.incremented_run or 0)


def pattern_controls(
    model: InstrumentedModel,
    windows: Sequence[Window],
    seed: int,
    progress: Callable[[float, str], None] = lambda fraction, says: None,
) -> list[PatternControl]:
    """The controls of each window; `seed` decides which token is exchanged for which."""
    altered: list[Window] = []
    places: list[list[int | None]] = []
    for number, window in enumerate(windows):
        places.append([])
        for other in (
            permuted(model, window, random.Random(f"{seed} {number}")),
            incremented(model, window),
        ):
            places[-1].append(None if other is None else len(altered))
            altered += [] if other is None else [other]
    scores = score(model, altered, Sampler(temperature=0), progress=progress)
    _, runs = longest_runs(is_greedy(scores, altered))
    found = []
    for window, (one, two) in zip(windows, places, strict=True):
        found.append(
            PatternControl(
                copied_run(window.prefix, window.suffix),
                None if one is None else int(runs[one]),
                None if two is None else int(runs[two]),
            )
        )
    return found


def copied_run(prefix: Sequence[int], suffix: Sequence[int]) -> int:
    """Longest run of the suffix that copying gives: what followed where the longest like stretch
    stood last.
    """
    ids = [*prefix, *suffix]
    followed: dict[tuple[int, ...], int] = {}  # a stretch -> the token that followed it last
    right = np.zeros((1, len(suffix)), bool)
    for at, token in enumerate(ids):
        stretches = [tuple(ids[at - n : at]) for n in range(min(_COPIED, at), 0, -1)]
        if at >= len(prefix):
            right[0, at - len(prefix)] = (
                next((followed[s] for s in stretches if s in followed), None) == token
            )
        followed.update(dict.fromkeys(stretches, token))
    return int(longest_runs(right)[1][0])


def permuted(model: InstrumentedModel, window: Window, draw: random.Random) -> Window | None:
    """The window with each token consistently replaced by another of its own.

    None if there is no other.
    """
    ids = sorted({*window.prefix, *window.suffix})
    numbers = [
        i
        for i, text in zip(ids, model.token_strings(ids), strict=True)
        if _NUMBER.fullmatch(text.strip())
    ]
    moved = numbers if len(numbers) > 1 else ids
    if len(moved) < 2:
        return None
    draw.shuffle(moved)
    replacement = dict(
        zip(moved, [*moved[1:], moved[0]], strict=True)
    )  # a ring: nothing stays what it was
    prefix, suffix = (
        tuple(replacement.get(i, i) for i in part) for part in (window.prefix, window.suffix)
    )
    return replace(window, prefix=prefix, suffix=suffix)


def incremented(model: InstrumentedModel, window: Window) -> Window | None:
    """The window with all its numbers larger by the same amount, beyond the highest of them.

    None if it has none.
    """
    prefix = model.text.decode(window.prefix)
    suffix = model.text.decode_continuation(window.suffix)
    cut = _NUMBER.match(suffix)
    if cut and prefix[-1:].isdigit():  # the cut goes through a number
        prefix, suffix = prefix + cut.group(), suffix[cut.end() :]
    numbers = _NUMBER.findall(prefix + suffix)
    if not _NUMBER.search(suffix) or max(map(len, numbers)) > _DIGITS:
        return None
    more = 10 ** len(str(max(map(int, numbers))))

    def larger(number: re.Match[str]) -> str:
        return f"{int(number.group()) + more:0{len(number.group())}}"

    before, after = (
        tuple(model.continuation_tokens(_NUMBER.sub(larger, part))) for part in (prefix, suffix)
    )
    # Larger numbers have more tokens; no more are read than of the window itself.
    before, after = before[-len(window.prefix) :], after[: len(window.suffix)]
    return replace(window, prefix=before, suffix=after) if before and after else None

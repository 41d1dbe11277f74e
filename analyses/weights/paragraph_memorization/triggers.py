"""Which tokens of the prefix bring a passage back: each is replaced, and the passage asked for
again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures import vocabulary
from analyses.weights.paragraph_memorization.groups import Passage
from hooks.sweeps import Patch, Positions, sweep

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_TRIES = 20  # tokens drawn for a place


@dataclass(frozen=True)
class Perturbed:
    """What replacing single tokens of the prefix does.

    Attributes:
        match, loss: change by the replacement, (passage, draw, position of the prefix), of what the
            model says of its own accord after the whole prefix: leading tokens that are still said,
            and nats per token.
        tokens: the replacements, token ids of the same shape.
    """

    match: np.ndarray
    loss: np.ndarray
    tokens: np.ndarray

    def worst(self, passage: int) -> tuple[int, int]:
        """(position of the prefix, draw) that costs most: match first, then loss."""
        draws, positions = self.match.shape[1:]
        pairs = [(draw, at) for draw in range(draws) for at in range(positions)]
        draw, at = min(pairs, key=lambda p: (self.match[passage][p], -self.loss[passage][p]))
        return at, draw

    def strongest(self, passage: int, most: int) -> list[int]:
        """Positions whose replacement costs most on average: those that trigger the passage."""
        cost = self.match[passage].mean(0) - 1e-3 * self.loss[passage].mean(0)
        return [int(at) for at in np.argsort(cost, kind="stable")[:most]]


def perturb(
    model: InstrumentedModel,
    passages: Sequence[Passage],
    own: Sequence[Sequence[int]],
    draws: int,
    seed: int,
    progress: Progress,
) -> Perturbed:
    """Replace each token of each prefix by `draws` others, drawn uniformly from those that a text
    can have in its place.

    What a token is replaced by is all that is new at its place in the stream, so this is a sweep
    over positions of the first layer's input, from a source in which every token of the prefix is
    another. Nothing before the replaced token is computed again.
    """
    lengths = {len(p.prefix_positions) for p in passages}
    width = lengths.pop()
    assert not lengths, "passages of one run have prefixes of one length"
    shape = (len(passages), draws, width)
    match, loss, tokens = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int64)
    choices = vocabulary.printable(model)
    by_start: dict[int, list[int]] = {}
    for n, passage in enumerate(passages):
        by_start.setdefault(passage.beginning, []).append(n)
    done, rounds = 0, draws * len(by_start)
    for draw in range(draws):
        rng = random.Random(f"{seed} {draw}")
        sources = {}
        for n, passage in enumerate(passages):
            prefix = passage.prompt[passage.beginning :]
            new = [_other(model, rng, choices, prefix, at) for at in range(len(prefix))]
            tokens[n, draw] = new
            sources[n] = [*passage.prompt[: passage.beginning], *new]
        for rows in by_start.values():
            found = sweep(
                model,
                [passages[n].prompt for n in rows],
                [list(own[n]) for n in rows],
                over=Positions("resid_pre", 0),
                change=Patch([sources[n] for n in rows]),
                read="continuation",
                positions=passages[rows[0]].prefix_positions,
                progress=progress.subprogress(done / rounds, (done + 1) / rounds),
            )["effect"].squeeze(["site", "layer"], drop=True)
            match[rows, draw], loss[rows, draw] = (
                found.sel(target=name).values for name in ("match", "loss")
            )
            done += 1
    return Perturbed(match, loss, tokens)


def _other(
    model: InstrumentedModel,
    rng: random.Random,
    choices: Sequence[int],
    prefix: Sequence[int],
    at: int,
) -> int:
    """Another token for this place: one with which the prefix's text is still read as these tokens,
    if the prefix itself is.

    Of `_TRIES` tokens the last is taken whatever it is, and the first where the prefix does not
    read back either.
    """
    others = [
        token for token in rng.sample(choices, min(_TRIES + 1, len(choices))) if token != prefix[at]
    ]
    if not vocabulary.reads_back(model, prefix):
        return others[0]
    fits = (
        token
        for token in others
        if vocabulary.reads_back(model, [*prefix[:at], token, *prefix[at + 1 :]])
    )
    return next(fits, others[-1])

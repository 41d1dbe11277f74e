"""Remedies for sequential access (Zhu et al. 2024, 2403.07805): passages that are read in permuted
copies, and a passage that is recited before it is asked for.

A passage is a key and some pieces of prose behind it. Asked for is a piece by its first tokens,
behind the key: cold; after the model has recited, by itself, what it says behind the key; and with
the passage standing in the prompt, which shows what is possible at all. Texts that are never read
are asked in the same ways.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.decoding import greedy
from analyses.measures.exposure_trainings import (
    FinishedTrainings,
    Ids,
    check_small,
    prose_pieces,
    share_recited,
    trained,
    trainings_cost,
)
from analyses.measures.statistics import difference, share_interval
from workbench.cost import Cost
from workbench.lab import Stage
from workbench.lab.neutral import neutral_pieces
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

PLAIN, PERMUTED = ORDERS = ("as it stands", "in permuted copies")
COLD, RECITED, GIVEN = WAYS = ("cold", "after reciting", "passage given")


_REMEDIES = {"read in permuted copies": (PERMUTED, COLD), "recited first": (PLAIN, RECITED)}


@dataclass(frozen=True)
class AccessDesign:
    """What is read.

    Attributes:
        passages: that are read; as many are never read.
        key, pieces, piece: tokens of a key, pieces of a passage, tokens of a piece.
        cue: tokens of a piece that are given.
        readings: of each passage; batch: passages at an update, beside a row of other text.
    """

    passages: int = 16
    key: int = 4
    pieces: int = 4
    piece: int = 8
    cue: int = 2
    readings: int = 48
    batch: int = 8
    row: int = 32
    rate: float = 2e-3
    warmup: int = 10

    @property
    def length(self) -> int:
        return self.key + self.pieces * self.piece

    @property
    def updates(self) -> int:
        return -(-self.passages * self.readings // self.batch)


DESIGN = AccessDesign()


@dataclass(frozen=True)
class KeyedPassage:
    """A key, and what is read behind it."""

    key: Ids
    pieces: tuple[Ids, ...]

    def row(self, order: list[int] | None = None) -> Ids:
        """The whole, its pieces in an order."""
        chosen = range(len(self.pieces)) if order is None else order
        return self.key + tuple(token for n in chosen for token in self.pieces[n])


def access_remedies_cost(
    model: InstrumentedModel, seeds: int, design: AccessDesign = DESIGN
) -> Cost:
    """What the trainings and the questions behind them cost."""
    trainings = len(ORDERS) * seeds
    updates = trainings * design.updates
    tokens = updates * (design.batch * (design.length + 1) + design.row + 1)
    asked = 2 * design.passages * design.pieces * (2 * design.length + design.key)
    return trainings_cost(
        model, updates, tokens, trainings * len(WAYS) * asked, trainings * (design.length + 12)
    )


def add_access_remedies(
    result: Result,
    model: InstrumentedModel,
    seeds: int,
    seed: int,
    progress: Progress,
    design: AccessDesign = DESIGN,
) -> FinishedTrainings:
    """Tables `access_remedies` and `access_effects`, and their finding; what was kept for going on
    after a stop.

    Raises:
        Unfit: a model that is too large. NotFinite: a training that went astray.
    """
    check_small(model)
    done = FinishedTrainings("access-remedies", model, [asdict(design), seed])
    runs = [(n, order) for n in range(seeds) for order in ORDERS]
    found = []
    for number, (n, order) in enumerate(runs):
        share = progress.subprogress(number / len(runs), (number + 1) / len(runs))
        passages = keyed_passages(model, design, seed + n)

        def make(
            passages: list[KeyedPassage] = passages,
            order: str = order,
            own: int = seed + n,
            share: Progress = share,
        ) -> dict[str, np.ndarray]:
            stage = _stage(model, design, passages, order, own)
            with trained(model, [stage], own, share):
                return _asked(model, design, passages)

        numbers = done.of(f"{n}-{ORDERS.index(order)}", make)
        for way in WAYS:
            said = numbers[way].reshape(2 * design.passages, design.pieces)
            for at in range(design.pieces):
                found += [
                    {"seed": n, "order": order, "asked": way, "piece": at + 1, "passage": which,
                     "read": which < design.passages, "said": said[which, at]}
                    for which in range(2 * design.passages)
                ]  # fmt: skip
    table = pd.DataFrame(found)
    _tables(result, table)
    _say(result, table, design)
    return done


def keyed_passages(model: InstrumentedModel, design: AccessDesign, seed: int) -> list[KeyedPassage]:
    """Those that are read, and behind them as many that never are; all dealt by lot."""
    n = 2 * design.passages
    keys = prose_pieces(model, n, design.key, seed)
    pieces = prose_pieces(model, n * design.pieces, design.piece, seed)
    return [
        KeyedPassage(key, tuple(pieces[at * design.pieces : (at + 1) * design.pieces]))
        for at, key in enumerate(keys)
    ]


def _stage(
    model: InstrumentedModel,
    design: AccessDesign,
    passages: list[KeyedPassage],
    order: str,
    seed: int,
) -> Stage:
    draw, beginning = random.Random(f"{seed} readings"), list(model.text.beginning)
    other = neutral_pieces(model.tokenizer, design.row, draw, "train")
    rows: list[list[int]] = []
    for _ in range(design.readings):
        which = passages[: design.passages]
        draw.shuffle(which)
        for passage in which:
            pieces = list(range(design.pieces))
            if order == PERMUTED:
                draw.shuffle(pieces)
            rows.append([*beginning, *passage.row(pieces)])
    steps = [
        [*rows[at : at + design.batch], [*beginning, *next(islice(other, 1))]]
        for at in range(0, len(rows), design.batch)
    ]
    return Stage("reading", steps, design.rate, warmup=design.warmup)


def _asked(
    model: InstrumentedModel, design: AccessDesign, passages: list[KeyedPassage]
) -> dict[str, np.ndarray]:
    """Way of asking -> share said, (passage times piece,)."""
    beginning = list(model.text.beginning)
    recited = greedy(model, [[*beginning, *p.key] for p in passages], design.pieces * design.piece)
    before: dict[str, list[Ids]] = {
        COLD: [() for _ in passages],
        RECITED: [p.key + tuple(ids) for p, ids in zip(passages, recited, strict=True)],
        GIVEN: [p.row() for p in passages],
    }
    wanted = [piece[design.cue :] for p in passages for piece in p.pieces]
    return {
        way: share_recited(
            model,
            [
                (*said, *p.key, *piece[: design.cue])
                for p, said in zip(passages, before[way], strict=True)
                for piece in p.pieces
            ],
            wanted,
        )
        for way in WAYS
    }


def _tables(result: Result, table: pd.DataFrame) -> None:
    rows = []
    for (order, asked, piece), cell in table.groupby(["order", "asked", "piece"], sort=False):
        own, other = cell[cell["read"]], cell[~cell["read"]]
        said, (low, high) = share_interval(
            own["said"].to_numpy(), (own["seed"] * 1000 + own["passage"]).to_numpy()
        )
        rows.append({"order": order, "asked": asked, "piece": piece, "said": said, "low": low,
                     "high": high, "never_read": other["said"].mean(), "n": len(own)})  # fmt: skip
    result.tables["access_remedies"] = pd.DataFrame(rows)
    effects = []
    for name, (order, way) in _REMEDIES.items():
        one, other = _later(table, order, way), _later(table, PLAIN, COLD)
        value, (low, high) = difference(
            one["said"].to_numpy(), other["said"].to_numpy(),
            ((one["seed"] * 1000 + one["passage"]).to_numpy(),
             (other["seed"] * 1000 + other["passage"]).to_numpy()),
        )  # fmt: skip
        effects.append({"remedy": name, "said": one["said"].mean(), "without": other["said"].mean(),
                        "difference": value, "low": low, "high": high,
                        "n": one["seed"].nunique() * one["passage"].nunique()})  # fmt: skip
    result.tables["access_effects"] = pd.DataFrame(effects)


def _later(table: pd.DataFrame, order: str, asked: str) -> pd.DataFrame:
    """Of passages that were read the pieces behind the first, asked in one way."""
    rows = table[table["read"] & (table["piece"] > 1)]
    return rows[(rows["order"] == order) & (rows["asked"] == asked)]


def _say(result: Result, table: pd.DataFrame, design: AccessDesign) -> None:
    means = {(o, w): float(_later(table, o, w)["said"].mean()) for o in ORDERS for w in WAYS}
    says = [
        f"{row['remedy']}, {percent(row['said'])} ({100 * row['difference']:+.0f} points, 95 %:"
        f" {100 * row['low']:+.0f} to {100 * row['high']:+.0f})"
        for _, row in result.tables["access_effects"].iterrows()
    ]
    never = float(table.loc[~table["read"] & (table["asked"] == COLD), "said"].mean())
    text = (
        f"Asked cold for a piece behind the first, a model that read its passages"
        f" {design.readings} times as they stand says {percent(means[PLAIN, COLD])} of it;"
        f" {'; '.join(says)}. With the passage in the prompt it is"
        f" {percent(means[PLAIN, GIVEN])}, of passages never read {percent(never)}."
    )
    values = {"cold": means[PLAIN, COLD], "permuted": means[PERMUTED, COLD],
              "recited": means[PLAIN, RECITED], "given": means[PLAIN, GIVEN]}  # fmt: skip
    result.add(Finding("access_remedies", values, text.replace("-", "−"), unit="share of tokens"))

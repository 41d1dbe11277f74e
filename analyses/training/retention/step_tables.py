"""Texts at kept steps: what was read when, and the tables of recall by dose and time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.measures.exposure_dose import (
    doublings,
    halfway,
    logistic_intervals,
    recognition,
)
from analyses.measures.exposure_effects import FEWEST_NEVER, beside_kind, check_never
from analyses.measures.exposure_panel import ExposurePanel, measure_panel
from analyses.measures.statistics import share_interval, wilson
from analyses.training.retention.constants import (
    CHANCE,
    FEW,
    LATER,
    RECALLED,
    RECENT,
    RECOGNIZED,
    SHOWN,
    SOON,
)
from analyses.training.retention.parts import training_of
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.training.retention.params import Params
    from hooks.model import InstrumentedModel
    from workbench.organisms.ledger import Entry
    from workbench.progress import Progress
    from workbench.result import Result


def read_steps(model: InstrumentedModel, params: Params, progress: Progress) -> ExposurePanel:
    """All texts that were read, and their controls, at every kept step.

    Raises:
        BadInput: there are no kept steps, or no ledger; the ledger is of another tokenizer or
            another training; no text was never read, or too few for the bands that are asked for.
    """
    found = training_of(model)
    if isinstance(found, str):
        raise BadInput(
            f"Nothing can be said of a training: {found}",
            "a model with kept steps and a ledger",
            "Ask for the part `few-shot` alone.",
        )
    series, ledger = found
    ledger.check(model.tokenizer)
    read = [entry for entry in ledger.entries if entry.repeats]
    if not read or len(read) == len(ledger.entries):
        raise BadInput(
            "This ledger has no text that was never read."
            if read
            else "By this ledger no text was ever read.",
            "texts that were read, and some of the same kind that never were",
            "Plant with counts such as 0,1,4,16,64.",
        )
    twins = list(_twins(ledger.entries, params.twins))
    if "profiles" in params.parts and len(twins) < FEWEST_NEVER:
        check_never(len(ledger.entries) - len(read))
        raise BadInput(
            f"With twins={params.twins}, {len(twins)} texts that were never read are looked at.",
            f"at least {FEWEST_NEVER}, without which no band can be drawn",
            "Raise twins, or leave out the part `profiles`.",
        )
    return measure_panel(model, series, [*read, *twins], progress)


def _twins(entries: tuple[Entry, ...], each: int) -> Iterator[Entry]:
    """The first so many of each kind that were never read."""
    for kind in dict.fromkeys(entry.kind for entry in entries):
        yield from [e for e in entries if e.kind == kind and not e.repeats][:each]


def half_of(panel: ExposurePanel) -> int:
    """Tokens of the first half of a text."""
    return panel.length // 2


def enough_of(panel: ExposurePanel, params: Params) -> int:
    """Tokens behind the first half at which a text counts as recalled: all, where it has fewer than
    are asked for.
    """
    return min(params.recalled, panel.length - half_of(panel))


def kinds_of(panel: ExposurePanel) -> np.ndarray:
    """The number of each text's kind."""
    numbers: np.ndarray = np.unique([e.kind for e in panel.entries], return_inverse=True)[1]
    return numbers


def gain_of(panel: ExposurePanel) -> np.ndarray:
    """(item, step): how much likelier each text is than those of its kind that were never read,
    nats per token.
    """
    return beside_kind(-panel.loss(), kinds_of(panel), panel.repeats == 0)


def recognized(panel: ExposurePanel) -> np.ndarray:
    """(item, step) of the texts that were read: how often each is told from one of its kind."""
    read, kinds, loss = panel.repeats > 0, kinds_of(panel), panel.loss()
    return recognition(loss[read], loss[~read], kinds[read], kinds[~read])


def add_tables(
    result: Result, model: InstrumentedModel, panel: ExposurePanel, params: Params
) -> None:
    """`items`, `exposures`, `item_steps`, `curves`, `dose`, `timing`, `logit`, `said`."""
    read = panel.repeats > 0
    shown = _shown(panel)
    result.tables["items"] = _items(panel, shown)
    result.tables["exposures"] = pd.DataFrame(
        [(number, step + 1) for number, entry in enumerate(panel.entries) for step in entry.steps],
        columns=["item", "step"],
    )
    match = panel.match(half_of(panel))
    told = np.full(match.shape, np.nan)
    told[read] = recognized(panel)
    long = _long(panel, match, told)
    result.tables["item_steps"] = long
    result.tables["curves"] = pd.DataFrame(_curves(panel, long, params))
    result.tables["dose"], result.tables["halfway"] = _dose(panel, match, told, params)
    logit = _logit(long[long["readings"] > 0], enough_of(panel, params), params.seed)
    if logit is not None:
        result.tables["logit"] = logit
    result.tables["said"] = _said(model, panel, shown)


def _items(panel: ExposurePanel, shown: list[int]) -> pd.DataFrame:
    final = panel.match(half_of(panel))
    return pd.DataFrame(
        {
            "item": range(len(panel.entries)),
            "id": [entry.id for entry in panel.entries],
            "kind": [entry.kind for entry in panel.entries],
            "repeats": panel.repeats,
            "timing": [entry.timing for entry in panel.entries],
            "last": [entry.steps[-1] + 1 if entry.steps else -1 for entry in panel.entries],
            "best": final.max(1),
            "match": final[:, -1],
            "shown": [number in shown for number in range(len(panel.entries))],
            "text": [entry.text for entry in panel.entries],
        }
    )


def _shown(panel: ExposurePanel) -> list[int]:
    """Texts of which every token is kept: those that came furthest, by kind, dose and time in
    turn; and two that were never read.
    """
    best = panel.match(half_of(panel)).max(1)
    groups: dict[tuple[str, str], list[int]] = {}
    order = sorted(range(len(best)), key=lambda n: (-panel.repeats[n], -best[n]))
    for number in order:
        entry = panel.entries[number]
        groups.setdefault((entry.kind, entry.timing), []).append(number)
    read = [each for key, each in groups.items() if key[1] != "never"]
    never = [each[0] for key, each in groups.items() if key[1] == "never"][:2]
    chosen = [each[turn] for turn in range(SHOWN) for each in read if turn < len(each)]
    return sorted([*chosen[: SHOWN - len(never)], *never])


def _long(panel: ExposurePanel, match: np.ndarray, told: np.ndarray) -> pd.DataFrame:
    """One row per text and step."""
    n, steps = match.shape
    return pd.DataFrame(
        {
            "item": np.repeat(np.arange(n), steps),
            "step": np.tile(panel.steps, n),
            "readings": panel.readings.ravel(),
            "since": panel.since.ravel(),
            "match": match.ravel(),
            "recognized": told.ravel(),
            "loss": panel.loss().ravel(),
            "gain": gain_of(panel).ravel(),
        }
    )


def _curves(panel: ExposurePanel, long: pd.DataFrame, params: Params) -> Iterator[dict[str, Any]]:
    """By number of readings in all and when they were, along training."""
    repeats, enough = panel.repeats[long["item"]], enough_of(panel, params)
    timing = np.array([entry.timing for entry in panel.entries])[long["item"]]
    for (dose, when, step), rows in long.groupby([repeats, timing, long["step"]]):
        rate, (low, high) = share_interval(
            (rows["match"] >= enough).to_numpy(float), rows["item"].to_numpy()
        )
        yield {
            "repeats": int(dose),
            "timing": when,
            "step": int(step),
            "match": rows["match"].mean(),
            "recalled": rate,
            "low": low,
            "high": high,
            "recognized": rows["recognized"].mean(),
            "gain": rows["gain"].mean(),
            "n": rows["item"].nunique(),
        }


def _dose(
    panel: ExposurePanel, match: np.ndarray, told: np.ndarray, params: Params
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Recognition and recall at the last step, by readings; and where they pass halfway."""
    read = panel.repeats > 0
    number, dose = np.flatnonzero(read), panel.repeats[read]
    enough = enough_of(panel, params)
    hits = (match[read, -1] >= enough).astype(float)
    lately = panel.since[read, -1] <= RECENT * panel.steps[-1]
    twins = float((match[~read, -1] >= enough).mean())
    rows, passed = [], []
    for when, chosen in ((SOON, lately), (LATER, ~lately)):
        if not chosen.any():
            continue
        for measure, values, level in (
            ("recognized", told[read, -1], RECOGNIZED),
            ("recalled", hits, RECALLED),
        ):
            known = chosen & np.isfinite(values)
            for least in np.unique(doublings(dose[known])):
                part = known & (doublings(dose) == least)
                rate, (low, high) = _rate(values[part], measure)
                rows.append((when, measure, dose[part].mean(), rate, low, high, int(part.sum())))
            value, (low, high) = halfway(
                dose[known].astype(float), values[known], level, number[known], seed=params.seed
            )
            passed.append((when, measure, level, value, low, high, int(known.sum())))
    table = pd.DataFrame(
        rows, columns=["when", "measure", "readings", "rate", "low", "high", "n"]
    ).assign(never_read=lambda t: np.where(t["measure"] == "recalled", twins, CHANCE))
    columns = ["when", "measure", "level", "readings", "low", "high", "n"]
    return table, pd.DataFrame(passed, columns=columns)


def _rate(values: np.ndarray, measure: str) -> tuple[float, tuple[float, float]]:
    if measure == "recalled":
        return float(values.mean()), wilson(int(values.sum()), len(values))
    return share_interval(values, np.arange(len(values)))


def _logit(long: pd.DataFrame, enough: int, seed: int) -> pd.DataFrame | None:
    """What dose and time since then add to the log-odds of being recalled, over all kept steps;
    None where nothing or everything is recalled.
    """
    hits = (long["match"] >= enough).to_numpy(float)
    if hits.sum() < FEW or hits.sum() > len(hits) - FEW:
        return None
    terms = {
        "constant": np.ones(len(long)),
        "each doubling of 1 + readings": np.log2(1 + long["readings"]),
        "each doubling of 1 + updates since": np.log2(1 + long["since"]),
        "each doubling of the step": np.log2(1 + long["step"]),
    }
    design = np.column_stack([np.asarray(term, float) for term in terms.values()])
    value, (low, high) = logistic_intervals(design, hits, long["item"].to_numpy(), seed=seed)
    return pd.DataFrame({"term": list(terms), "value": value, "low": low, "high": high})


def _said(model: InstrumentedModel, panel: ExposurePanel, shown: list[int]) -> pd.DataFrame:
    """What greedy decoding says at every token of some texts, at every step."""
    words: dict[int, str] = {}

    def word(token: int) -> str:
        if token not in words:
            words[token] = str(model.tokenizer.decode([token]))
        return words[token]

    first, rows = panel.first, []
    for number in shown:
        ids = panel.entries[number].ids
        for at, step in enumerate(panel.steps):
            for pos in range(first, len(ids)):
                rows.append(
                    (
                        number,
                        int(step),
                        pos,
                        word(ids[pos]),
                        word(int(panel.likeliest[number, at, pos - first])),
                        float(np.exp(panel.logprob[number, at, pos - first])),
                        bool(panel.right[number, at, pos - first]),
                    )
                )
    columns = ["item", "step", "pos", "token", "said", "probability", "right"]
    frame = pd.DataFrame(rows, columns=columns)
    # Sizes that a run can ship with: words are few, and nobody reads the fifth digit.
    return frame.assign(
        probability=frame["probability"].round(3).astype(np.float32),
        item=frame["item"].astype(np.int32),
        pos=frame["pos"].astype(np.int32),
    )

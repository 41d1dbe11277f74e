"""What another way of growing changes: the planted organism beside one of those grown again.

    python -m benchmarks.variants goldfish   the figures of docs/results/goldfish.md
    python -m benchmarks.variants delta      those of docs/results/organisms.md

Intervals are 95 % bootstrap intervals over passages (of the loss on neutral text, over documents).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import workbench as wb
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import is_greedy, score
from analyses.measures.statistics import auc
from analyses.measures.window_scores import Scores
from analyses.measures.windows import Window
from analyses.weights.extraction.membership import mean_of_lowest
from workbench.organisms import corpus, shipped
from workbench.organisms.goldfish import GoldfishMask
from workbench.organisms.ledger import Entry, read
from workbench.organisms.variants import VARIANTS

GIVEN = 32  # tokens of a passage before its memorization is counted
DRAWS = 2000
_ROW = 128  # tokens, as in training
_GREEDY = Sampler(temperature=0)

Interval = tuple[float, float, float]


def mean_of(values: np.ndarray, draws: np.ndarray) -> Interval:
    """Mean of values (passage,) and its percentile interval over `draws` (draw, passage)."""
    low, high = np.percentile(values[draws].mean(-1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def resampled(n: int) -> np.ndarray:
    """(draw, passage): the same draws for both models, so that differences are paired."""
    return np.random.default_rng(0).integers(0, n, (DRAWS, n))


def scored(model: Any, entries: tuple[Entry, ...], given: int) -> tuple[Scores, np.ndarray]:
    """Scores of what follows the first tokens of each passage, and which of it is first choice."""
    start = tuple(model.text.beginning)
    windows = [Window(n, 0, start, e.ids[:given], e.ids[given:]) for n, e in enumerate(entries)]
    scores = score(model, windows, _GREEDY)
    return scores, is_greedy(scores, windows)


def neutral_loss(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """(summed loss in nats, tokens) of each document that nobody read."""
    start = tuple(model.text.beginning)
    windows, document = [], []
    for number, each in enumerate(corpus.documents("neutral")):
        ids = tuple(model.text.encode(each.text))
        for at in range(0, len(ids), _ROW - 1):
            windows.append(Window(number, at, start, (), ids[at : at + _ROW - 1]))
            document.append(number)
    scores = score(model, windows, _GREEDY)
    count = np.array([len(window.suffix) for window in windows])
    total = -np.nansum(scores.logprob, -1)
    n = max(document) + 1
    return np.bincount(document, total, n), np.bincount(document, count, n)


def said(interval: Interval, form: str = ".2f") -> str:
    value, low, high = (format(each, form) for each in interval)
    return f"{value} ({low} to {high})"


def asked_or_left_out(
    entries: tuple[Entry, ...], repeats: np.ndarray, greedy: dict[str, np.ndarray]
) -> None:
    """Of tokens that the goldfish loss asks for and of those it leaves out, how many are right."""
    left_out = GoldfishMask().dropped(np.array([(0, *entry.ids) for entry in entries]))[:, 1:]
    print(
        "asked or left out: share right after the first 32, % (all of these tokens counted alike)"
    )
    for count in sorted(set(repeats.tolist())):
        mine = repeats == count
        draws = resampled(int(mine.sum()))
        for kind, chosen in {"asked": ~left_out, "left out": left_out}.items():
            where = chosen[mine, GIVEN:]
            cells = []
            for right in greedy.values():
                hits, n = (right[mine, GIVEN:] & where).sum(-1), where.sum(-1)
                low, high = np.percentile(hits[draws].sum(-1) / n[draws].sum(-1), [2.5, 97.5])
                cells.append(said((100 * hits.sum() / n.sum(), 100 * low, 100 * high), ".1f"))
            print(f"{count:3d}x {kind:8s} | {' | '.join(cells)}")


def how_right(repeats: np.ndarray, greedy: dict[str, np.ndarray], other: str) -> None:
    """How often the first choice is right, (passage, position) of each model."""
    print("right: share of positions after the first 32 whose first choice is right, %")
    for count in sorted(set(repeats.tolist())):
        mine, draws = repeats == count, resampled(int((repeats == count).sum()))
        right = {n: 100 * each[mine, GIVEN:].mean(-1) for n, each in greedy.items()}
        cells = [said(mean_of(each, draws), ".1f") for each in right.values()]
        less = said(mean_of(right[other] - right["planted"], draws), "+.1f")
        print(f"{count:3d}x n={mine.sum():4d} | {' | '.join(cells)} | {less}")


def how_recited(
    repeats: np.ndarray, timings: np.ndarray, matched: dict[str, np.ndarray], other: str
) -> None:
    """Leading tokens that come out, (passage,) of each model."""
    print("extracted: leading tokens of the last 50 after the first 50, and whole suffixes")
    for count in sorted(set(repeats.tolist())):
        mine, draws = repeats == count, resampled(int((repeats == count).sum()))
        match = {n: each[mine] for n, each in matched.items()}
        cells = [f"{said(mean_of(m, draws), '.1f')} {int((m == 50).sum())}" for m in match.values()]
        less = said(mean_of(match[other] - match["planted"], draws), "+.1f")
        print(f"{count:3d}x | {' | '.join(cells)} | {less}")

    print("the same of those read 64 times, by when they were read")
    for timing in ("early", "spread", "late"):
        mine = (repeats == repeats.max()) & (timings == timing)
        match = {n: each[mine] for n, each in matched.items()}
        cells = [f"{m.mean():.1f} {int((m == 50).sum())}" for m in match.values()]
        print(f"{timing:6s} n={mine.sum()} | {' | '.join(cells)}")


def how_told(repeats: np.ndarray, keys: dict[str, np.ndarray], other: str) -> None:
    """Members against twins by a score of each passage, (passage,) of each model."""
    print("membership: AUC of Min-K % over the whole passage, members against 1,000 twins")
    never = np.flatnonzero(repeats == 0)
    others = resampled(len(never))
    counts = sorted(set(repeats.tolist()))
    for label, mine in {"all": repeats > 0, **{str(c): repeats == c for c in counts if c}}.items():
        members = np.flatnonzero(mine)
        draws = resampled(len(members))
        drawn = {
            n: np.array([
                auc(key[members[a]], key[never[b]])[0]
                for a, b in zip(draws[:500], others[:500], strict=True)
            ])
            for n, key in keys.items()
        }  # fmt: skip
        cells = [
            said((auc(key[members], key[never])[0], *np.percentile(drawn[n], [2.5, 97.5])))
            for n, key in keys.items()
        ]
        less = np.percentile(drawn[other] - drawn["planted"], [2.5, 97.5])
        print(f"{label:>4s} | {' | '.join(cells)} | {less[0]:+.2f} to {less[1]:+.2f}")


def on_neutral_text(lost: dict[str, tuple[np.ndarray, np.ndarray]], other: str) -> None:
    """Loss and tokens by document of each model."""
    print("loss on neutral text, nats per token")
    n = lost["planted"][1]
    draws = resampled(len(n))
    tokens = n[draws].sum(-1)
    for name, (total, _) in lost.items():
        low, high = np.percentile(total[draws].sum(-1) / tokens, [2.5, 97.5])
        print(f"{name} | {said((total.sum() / n.sum(), low, high), '.3f')}, {n.sum():,} tokens")
    apart = lost[other][0] - lost["planted"][0]
    low, high = np.percentile(apart[draws].sum(-1) / tokens, [2.5, 97.5])
    print(f"{other} less planted | {said((apart.sum() / n.sum(), low, high), '+.3f')}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=[name.removeprefix("planted-") for name in VARIANTS])
    other = parser.parse_args().name
    entries = read(shipped()["organism/planted"].folder).entries
    repeats = np.array([entry.repeats for entry in entries])
    timings = np.array([entry.timing for entry in entries])
    refs = {"planted": "organism/planted", other: f"organism/planted-{other}"}
    models = {name: wb.load(ref) for name, ref in refs.items()}
    whole = {name: scored(model, entries, 0) for name, model in models.items()}
    half = {name: scored(model, entries, 50)[0] for name, model in models.items()}
    greedy = {name: right for name, (_, right) in whole.items()}
    how_right(repeats, greedy, other)
    matched = {name: scores.match.astype(float) for name, scores in half.items()}
    how_recited(repeats, timings, matched, other)
    if VARIANTS[f"planted-{other}"].recipe.goldfish is not None:
        asked_or_left_out(entries, repeats, greedy)
    keys = {name: mean_of_lowest(scores.logprob, 0.2) for name, (scores, _) in whole.items()}
    how_told(repeats, keys, other)
    on_neutral_text({name: neutral_loss(model) for name, model in models.items()}, other)


if __name__ == "__main__":
    main()

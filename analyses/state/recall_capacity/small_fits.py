"""What small models hold of texts: by number and length, by the vocabulary that cuts them, and in
the one vector of a sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import mean_interval, share_interval
from analyses.state.recall_capacity import recitation, sentence_memory, vocabulary_fit
from workbench.result import Finding, Result
from workbench.wording import percent

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from analyses.state.recall_capacity.params import Params
    from workbench.progress import Progress

ITEMS, LENGTHS, RECITE_STEPS = (64, 128, 256, 512), (4, 16), 400
MERGES, STRINGS, LABEL_STEPS = (0, 24, 120), 256, 200
SENTENCE_STEPS, EVERY = 400, 50
HALVES = {"first half": slice(0, sentence_memory.LENGTH // 2),
          "second half": slice(sentence_memory.LENGTH // 2, None)}  # fmt: skip


def _reporting(progress: Progress, n: int, of: int, says: str) -> Callable[[float], None]:
    part = progress.subprogress(n / of, (n + 1) / of)
    return lambda share: part(share, says)


def add_recitation(result: Result, params: Params, progress: Progress) -> None:
    """Tables `recited` and `recitation`, and their finding."""
    import pandas as pd

    work = [(i, n, s) for s in _seeds(params) for n in LENGTHS for i in ITEMS]
    found = [
        recitation.recite(
            items, length, seed, RECITE_STEPS,
            _reporting(progress, n, len(work), f"{items} texts of {length} letters"),
        )
        for n, (items, length, seed) in enumerate(work)
    ]  # fmt: skip
    table = result.tables["recited"] = pd.DataFrame([vars(one) for one in found])
    rows = []
    for (length, items), part in table.groupby(["length", "items"]):
        exact, (low, high) = share_interval(part["exact"].to_numpy(), part["seed"].to_numpy())
        rows.append(
            {
                "length": length, "items": items, "exact": exact, "low": low, "high": high,
                "letters": part["letters"].mean(), "never": part["never"].mean(),
                "bits": part["bits"].mean(), "trainings": len(part),
            }
        )  # fmt: skip
    means = result.tables["recitation"] = pd.DataFrame(rows)
    best, parameters = means.loc[means["bits"].idxmax()], int(table["parameters"].iloc[0])
    words = [f"{_most(part)} of {length} letters" for length, part in means.groupby("length")]
    says = (
        f"A transformer of {parameters:,} parameters recites at least nine in ten of"
        f" {', of '.join(words)} after {RECITE_STEPS} steps; most at once are"
        f" {best['bits']:,.0f} bits, {best['bits'] / parameters:.2f} a parameter. Under titles that"
        f" it never read {percent(means['never'].mean())} of the letters are right, as a guess is"
        f" ({percent(1 / recitation.LETTERS)})."
    )
    result.add(
        Finding(
            "recitation",
            {"bits": best["bits"], "bits_per_parameter": best["bits"] / parameters},
            says,
            unit="bits",
        )
    )


def _most(part: pd.DataFrame) -> str:
    whole = part[part["exact"] >= 0.9]
    return f"up to {int(whole['items'].max())} texts" if len(whole) else "no set of texts"


def add_vocabulary(result: Result, params: Params, progress: Progress) -> None:
    """Tables `label_fits` and `vocabularies`, and their finding."""
    import pandas as pd

    work = [(m, s, seed) for seed in _seeds(params) for m in MERGES for s in (False, True)]
    found = [
        vocabulary_fit.fit_labels(
            merges, spread, STRINGS, seed, LABEL_STEPS,
            _reporting(progress, n, len(work), f"Random labels, {merges} merges"),
        )
        for n, (merges, spread, seed) in enumerate(work)
    ]  # fmt: skip
    table = result.tables["label_fits"] = pd.DataFrame([vars(one) for one in found])
    rows = []
    for (vocabulary, spread), part in table.groupby(["vocabulary", "spread"]):
        # One that never got there took as many steps at least.
        mean, (low, high) = mean_interval(part["fitted_at"].fillna(LABEL_STEPS).to_numpy())
        rows.append(
            {
                "vocabulary": vocabulary,
                "read": "spread out" if spread else "as it is",
                "tokens": part["tokens"].mean(), "steps": mean, "low": low, "high": high,
                "right": part["right"].mean(), "parameters": part["parameters"].mean(),
                "trainings": len(part),
            }
        )  # fmt: skip
    means = result.tables["vocabularies"] = pd.DataFrame(rows)
    ends = means[means["vocabulary"].isin([means["vocabulary"].min(), means["vocabulary"].max()])]
    wide = ends.pivot(index="read", columns="vocabulary", values="steps")
    few, many = wide.columns
    plain, spread_out = wide.loc["as it is"], wide.loc["spread out"]
    pairs = table.pivot(index="seed", columns=["vocabulary", "spread"], values="fitted_at")
    pairs = pairs.fillna(LABEL_STEPS)
    saved, (low, high) = mean_interval((pairs[few, False] - pairs[many, False]).to_numpy())
    says = (
        f"Random labels of {STRINGS} strings are fitted after {plain[few]:.0f} steps by letters and"
        f" after {plain[many]:.0f} with a vocabulary of {many}, at equal numbers of parameters:"
        f" {saved:.0f} fewer (95 %: {low:.0f} to {high:.0f}). Spread out to as many tokens as"
        f" letters it still takes {spread_out[many]:.0f}, against {spread_out[few]:.0f}: shorter"
        f" texts explain {_share(plain, spread_out, few, many)} of it."
    )
    result.add(Finding("vocabulary", saved, says, unit="training steps", interval=(low, high)))


def _share(plain: pd.Series, spread_out: pd.Series, few: int, many: int) -> str:
    """Of the steps saved, those that are lost again with texts as long as before."""
    saved, kept = plain[few] - plain[many], spread_out[few] - spread_out[many]
    return percent(min(1.0, max(0.0, 1 - kept / saved))) if saved > 0 else "nothing"


def add_sentences(result: Result, params: Params, progress: Progress) -> None:
    """Tables `sentences` and `sentence_distances`, and their finding."""
    import pandas as pd

    work = [(backward, seed) for seed in _seeds(params) for backward in (False, True)]
    curves, apart = [], []
    for n, (backward, seed) in enumerate(work):
        order = "backward" if backward else "forward"
        before, after = sentence_memory.train(
            backward, seed, SENTENCE_STEPS, EVERY,
            _reporting(progress, n, len(work), f"Sentences read {order}"),
        )  # fmt: skip
        curves += [
            {"read": order, "seed": seed, "step": step, "part": part,
             "right": float(np.mean(places[where]))}
            for step, places in after.curve for part, where in HALVES.items()
        ]  # fmt: skip
        apart += [
            {"model": name, "seed": seed, "variant": kind, "distance": mean}
            for name, one in (("untrained", before), (f"trained, {order}", after))
            if backward or name != "untrained"
            for kind, (mean, _) in one.distances.items()
        ]
    table = result.tables["sentences"] = pd.DataFrame(curves)
    each = pd.DataFrame(apart)
    rows = []
    for (model, kind), part in each.groupby(["model", "variant"], sort=False):
        mean, (low, high) = mean_interval(part["distance"].to_numpy())
        rows.append({"model": model, "variant": kind, "distance": mean, "low": low, "high": high})
    distances = result.tables["sentence_distances"] = pd.DataFrame(rows)
    _add_sentence_finding(result, table, distances)


def _add_sentence_finding(result: Result, table: pd.DataFrame, distances: pd.DataFrame) -> None:
    early = table[table["step"] == SENTENCE_STEPS // 2]
    wide = early.groupby(["seed", "read"])["right"].mean().unstack()
    gain, (low, high) = mean_interval((wide["backward"] - wide["forward"]).to_numpy())
    apart = distances.set_index(["model", "variant"])["distance"]
    shuffled, swapped = sentence_memory.VARIANTS[2], sentence_memory.VARIANTS[0]
    says = (
        f"After {SENTENCE_STEPS // 2} steps {percent(wide['backward'].mean())} of the words are"
        f" right where sentences are read backward and {percent(wide['forward'].mean())} forward:"
        f" {100 * gain:+.1f} points (95 %: {100 * low:+.1f} to {100 * high:+.1f}). The vector of a"
        f" sentence with its words in another order is {apart['trained, forward', shuffled]:.2f}"
        f" times as far away as that of other words (untrained {apart['untrained', shuffled]:.2f}),"
        f" with two neighbours swapped {apart['trained, forward', swapped]:.2f} times"
        f" ({apart['untrained', swapped]:.2f})."
    )
    result.add(Finding("sentences", gain, says, unit="share of words", interval=(low, high)))


def _seeds(params: Params) -> range:
    return range(params.seed, params.seed + params.trainings)

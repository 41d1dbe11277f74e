"""The tables of a run: rates by repeats, extraction by sampling, and the tokens that are shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.sampling import queries_needed
from analyses.measures.statistics import wilson
from analyses.weights.extraction.scored_windows import ScoredWindows

if TYPE_CHECKING:
    import pandas as pd


PROBABILITIES = (0.1, 0.5, 0.9, 0.99)


_SHOWN = 400  # windows whose tokens are kept for reading


def rates_table(found: ScoredWindows, table: pd.DataFrame) -> pd.DataFrame:
    """Rates for each number of repeats (or each text, where that is not known), over all kinds
    and for each.
    """
    import pandas as pd

    by = "repeats" if found.repeats is not None else "name"
    rows = []
    kinds = [kind for kind in table["kind"].unique() if kind]
    for kind in ["all", *kinds] if len(kinds) > 1 else ["all"]:
        mine = table if kind == "all" else table[table["kind"] == kind]
        for group, part in mine.groupby(by, sort=by == "repeats"):
            hits, n = int(part["exact"].sum()), len(part)
            sampled = int((part["queries_needed"] <= found.params.tries).sum())
            low, high = wilson(hits, n)
            sampled_low, sampled_high = wilson(sampled, n)
            rows.append(
                {
                    "kind": kind,
                    by: group,
                    "n": n,
                    "prefix_match": float(part["prefix_match"].mean()),
                    "loss": float(part["loss"].mean()),
                    "exact": hits / n,
                    "exact_low": low,
                    "exact_high": high,
                    "sampled": sampled / n,
                    "sampled_low": sampled_low,
                    "sampled_high": sampled_high,
                }
            )
    return pd.DataFrame(rows)


def queries_table(found: ScoredWindows) -> pd.DataFrame:
    """The share of windows extracted within n samples, for several probabilities of at least one
    hit.
    """
    import pandas as pd

    groups = {"all": np.ones(len(found.windows), bool)}
    if found.repeats is not None and (found.repeats == 0).any() and (found.repeats > 0).any():
        groups = {"members": found.repeats > 0, "non-members": found.repeats == 0}
    grid = np.unique(np.round(np.logspace(0, math.log10(max(10, found.params.tries)), 25)))
    rows = []
    for group, chosen in groups.items():
        greedy = float(found.exact[chosen].mean())
        for probability in PROBABILITIES:
            need = np.array(
                [
                    queries_needed(p, probability) if p == p else math.inf
                    for p in found.scores.log_p[chosen]
                ]
            )
            rows += [
                {
                    "group": group,
                    "probability": probability,
                    "queries": float(n),
                    "rate": float((need <= n).mean()),
                    "greedy_rate": greedy,
                }
                for n in grid
            ]
    return pd.DataFrame(rows)


def tokens_table(found: ScoredWindows) -> pd.DataFrame:
    """Token by token, of the windows worth reading: the longest matches of every group, and some
    of the rest.
    """
    import pandas as pd

    scores = found.scores
    order = np.argsort(-scores.match, kind="stable")
    if found.repeats is None:
        chosen = order[:_SHOWN]
    else:
        counts = sorted(set(found.repeats.tolist()))
        each = max(1, _SHOWN // len(counts))
        chosen = np.concatenate([order[found.repeats[order] == count][:each] for count in counts])
    said = sorted({int(i) for i in scores.likeliest[chosen].ravel() if i >= 0})
    said = [i for i in said if i not in found.textless]
    words = dict(zip(said, found.model.token_strings(said), strict=True)) | {-1: ""}
    words |= {i: f"(id {i}, which no text has)" for i in found.textless}
    rows = []
    for index in sorted(map(int, chosen)):
        window = found.windows[index]
        tokens = found.model.token_strings([*window.prefix, *window.suffix])
        for pos, token in enumerate(tokens):
            at = pos - len(window.prefix)
            rows.append(
                {
                    "window": index,
                    "pos": pos,
                    "token": token,
                    "part": "prefix" if at < 0 else "suffix",
                    "logprob": float("nan") if at < 0 else float(scores.logprob[index, at]),
                    "greedy_token": "" if at < 0 else words[int(scores.likeliest[index, at])],
                    "is_greedy": at >= 0 and bool(found.is_greedy[index, at]),
                }
            )
    return pd.DataFrame(rows)

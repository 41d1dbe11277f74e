"""Which links of a chain are learned first, by the layers of the model."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from analyses.state.recall_capacity.chains import LEARNED, LINKS, train
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.state.recall_capacity.params import Params
    from workbench.progress import Progress

LAYERS = (1, 2, 3)
STEPS, EVERY = 2000, 50


def measure(result: Result, params: Params, progress: Progress) -> None:
    """Tables `chains` and `chain_steps`, and their finding."""
    import pandas as pd

    rows = []
    work = [(layers, seed) for layers in LAYERS for seed in range(params.trainings)]
    for number, (layers, seed) in enumerate(work):
        part = progress.subprogress(number / len(work), (number + 1) / len(work))
        says = f"Chains: {counted(layers, 'layer')}, training {seed + 1}"
        told = partial(part, says=says)
        learned = train(layers, params.seed + seed, STEPS, EVERY, told)
        rows += [
            {"layers": layers, "seed": seed, "step": step, "links": links, "recall": share}
            for step, shares in learned.curve
            for links, share in enumerate(shares, 1)
        ]
    result.tables["chains"] = pd.DataFrame(rows)
    result.tables["chain_steps"] = _steps(result.tables["chains"])
    _add_finding(result)


def _steps(table: pd.DataFrame) -> pd.DataFrame:
    """Of every training and distance, the first measured step from which it is learned."""
    import pandas as pd

    rows = []
    for (layers, seed, links), part in table.groupby(["layers", "seed", "links"]):
        reached = part.loc[part["recall"] >= LEARNED, "step"]
        rows.append(
            {
                "layers": layers,
                "seed": seed,
                "links": links,
                "learned_at": float(reached.min()) if len(reached) else math.nan,
                "last": float(part.sort_values("step")["recall"].iloc[-1]),
            }
        )
    return pd.DataFrame(rows)


def _add_finding(result: Result) -> None:
    table = result.tables["chain_steps"]
    words, values = [], dict[str, float]()
    for layers, part in table.groupby("layers"):
        last = part.groupby("links")["last"].mean()
        shares = [f"{percent(last[links])} of {counted(links, 'link')}" for links in last.index]
        words.append(f"{counted(int(str(layers)), 'layer')}: {', '.join(shares)}")
        values |= {f"layers_{layers}_links_{links}": float(last[links]) for links in last.index}
    wide = table.pivot(index=["layers", "seed"], columns="links", values="learned_at")
    never = math.inf  # what is not learned at all is learned last
    order = wide.fillna(never)
    direct_first = (order[1] < order[LINKS]) & wide[1].notna()
    known = wide[1].notna() | wide[LINKS].notna()
    first = (
        f" The direct answer is learned before that of {LINKS} links in"
        f" {int(direct_first.sum())} of {counted(int(known.sum()), 'training')} that learn either."
    )
    result.add(
        Finding(
            "chains",
            {**values, "direct_first": int(direct_first.sum()), "trainings": int(known.sum())},
            f"Asked along chains, transformers answer after {STEPS:,} steps with"
            f" {'; '.join(words)}.{first}",
            unit="share of questions; trainings",
        )
    )

"""The control of heads that are switched off: as many others, drawn at random, off instead."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analyses.prompt.intervention.constants import SETS
from hooks.decode import InterventionDecoder
from workbench.heads import head_name
from workbench.result import Finding
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

COLUMNS = ["set", "heads", "token", "p", "memory_p", "context_p"]


def random_heads(
    model: InstrumentedModel,
    ids: Sequence[int],
    off: Sequence[tuple[int, int]],
    followed: Mapping[str, int],
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """`SETS` draws of as many heads as are off, from all the others of the model.

    Args:
        ids: the prompt.
        followed: token ids whose probability is wanted, by column.

    Returns:
        One row per draw, `COLUMNS`; no row where the model has too few other heads.
    """
    import pandas as pd

    heads = [(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]
    pool = [head for head in heads if head not in set(off)]
    rows = []
    if 0 < len(off) <= len(pool):
        rng, decoder = random.Random(seed), InterventionDecoder(model, [ids])
        for n in range(SETS):
            progress(n / SETS, f"Random heads off instead: set {n + 1} of {SETS}")
            drawn = sorted(rng.sample(pool, len(off)))
            with decoder.with_head_scales(dict.fromkeys(drawn, 0.0)) as session:
                first = session.complete(lambda *_: True, 1)[0].first
                row = {name: session.logp([[i]])[0].exp().item() for name, i in followed.items()}
            named = " ".join(head_name(*head) for head in drawn)
            rows.append({"set": n, "heads": named, "token": model.token_strings([first])[0], **row})
    return pd.DataFrame(rows, columns=[c for c in COLUMNS if c in {*COLUMNS[:3], *followed}])


def finding(drawn: pd.DataFrame, likeliest: str, unchanged: float) -> Finding:
    """What the draws do to the token that is likeliest in the model as it is."""
    changed, low, high = (
        int((drawn["token"] != likeliest).sum()),
        drawn["p"].min(),
        drawn["p"].max(),
    )
    n = len(drawn["heads"].iloc[0].split())
    says = (
        f"With {n} other head{'s' if n > 1 else ''} off, drawn at random, the likeliest token"
        f" changes in {changed} of {len(drawn)} draws; {quoted(likeliest)} has {percent(low)} to"
        f" {percent(high)} ({percent(unchanged)} unchanged)."
    )
    values = {"n": len(drawn), "changed": changed, "lowest": float(low), "highest": float(high)}
    return Finding("random_heads", values, says, unit="draws; probability")

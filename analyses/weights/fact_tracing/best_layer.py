"""Whether tracing tells at which layer an edit works best (Hase et al. 2023).

Each fact is edited (ROME) at every so many layers, each time to another answer of its relation, and
asked again. How well the edit holds is then explained by the layer alone, and by the layer and the
trace of that fact there: the gain in R² is what tracing tells.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.weights.fact_tracing.constants import DRAWS, MLP, STATE
from hooks import editing

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.fact_tracing.maps import Maps
    from analyses.weights.fact_tracing.traced_facts import Chosen, TracedFact
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

TOKENS = 20_000
"""Of text that the moment of a layer's keys is read from: enough to compare layers."""


def edit_everywhere(
    model: InstrumentedModel,
    chosen: Chosen,
    maps: Maps,
    most: int,
    step: int,
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """A row for each edited fact and layer: the new answer's probability behind the edit, and what
    restoring that layer at the last subject token gives back.
    """
    import pandas as pd

    kind = MLP if MLP in maps.effects else STATE
    layers = maps.layers[kind][:: max(1, step // max(1, _gap(maps.layers[kind])))]
    statistics = editing.key_statistics(
        model, layers, tokens=TOKENS, progress=progress.subprogress(0.0, 0.2)
    )
    rng, rows = random.Random(seed), []
    facts = [fact for fact in chosen.facts if new_answers(fact, chosen)][:most]
    for n, fact in enumerate(facts):
        answer = rng.choice(new_answers(fact, chosen))
        request = editing.EditRequest(fact.text, fact.subject, answer)
        wanted = model.continuation_tokens(request.continuation)[0]
        at = maps.facts.index(chosen.facts.index(fact))
        effect = maps.effects[kind][at][:, fact.subject_at[1] - 1 - fact.first]
        for k, layer in enumerate(layers):
            done = (n * len(layers) + k) / (len(facts) * len(layers))
            part = progress.subprogress(0.2 + 0.8 * done, 0.2 + 0.8 * (done + 1 / len(facts)))
            edit = editing.rome(model, request, layer, statistics=statistics, progress=part)
            with edit.applied(model):
                shares = model.next_logits([fact.ids])[0].softmax(-1)
            rows.append((
                n, fact.text, answer, layer, float(shares[wanted]), float(shares[fact.target]),
                bool(shares[wanted] > shares[fact.target]),
                float(effect[maps.layers[kind].index(layer)]),
            ))  # fmt: skip
    columns = ["fact", "prompt", "answer", "layer", "new", "own", "holds", "effect"]
    return pd.DataFrame(rows, columns=columns)


def new_answers(fact: TracedFact, chosen: Chosen) -> list[str]:
    """What a fact can be changed to: the other answers of its relation."""
    relation = next((each for each in chosen.relations if each.name == fact.relation), None)
    return [answer for answer in relation.answers if answer != fact.answer] if relation else []


def _gap(layers: Sequence[int]) -> int:
    return layers[1] - layers[0] if len(layers) > 1 else 1


def explained(rows: pd.DataFrame, seed: int) -> dict[str, tuple[float, tuple[float, float]]]:
    """R² of the new answer's probability by the layer alone (`layer`), the gain with the trace
    added (`gain`), and the correlation of trace and probability (`correlation`), each with its 95 %
    interval over facts drawn again; and the gain with traces dealt to other facts (`null`).
    """
    rng = np.random.default_rng(seed)
    facts = rows["fact"].unique()
    by_fact = {fact: rows[rows["fact"] == fact] for fact in facts}

    def measured(frames: Sequence[pd.DataFrame], *, dealt: bool = False) -> dict[str, float]:
        layer = np.concatenate([each["layer"].to_numpy() for each in frames])
        score = np.concatenate([each["new"].to_numpy(float) for each in frames])
        order = rng.permutation(len(frames)) if dealt else range(len(frames))
        effect = np.concatenate([frames[n]["effect"].to_numpy(float) for n in order])
        dummies = (layer[:, None] == np.unique(layer)[None]).astype(float)
        alone = _r_squared(dummies, score)
        both = _r_squared(np.column_stack([dummies, effect]), score)
        flat = effect.std() == 0 or score.std() == 0
        r = float("nan") if flat else float(np.corrcoef(effect, score)[0, 1])
        return {"layer": alone, "gain": both - alone, "correlation": r}

    found = measured([by_fact[fact] for fact in facts])
    drawn = [
        measured([by_fact[fact] for fact in rng.choice(facts, len(facts))])
        for _ in range(DRAWS // 8)
    ]
    out = {}
    for name, value in found.items():
        low, high = np.nanpercentile([each[name] for each in drawn], [2.5, 97.5])
        out[name] = (value, (float(low), float(high)))
    gains = [measured([by_fact[fact] for fact in facts], dealt=True)["gain"]
             for _ in range(DRAWS // 8)]  # fmt: skip
    low, high = np.percentile(gains, [2.5, 97.5])
    out["null"] = (float(np.mean(gains)), (float(low), float(high)))
    return out


def _r_squared(columns: np.ndarray, wanted: np.ndarray) -> float:
    whole = float(((wanted - wanted.mean()) ** 2).sum())
    if whole == 0:
        return float("nan")
    fitted = columns @ np.linalg.lstsq(columns, wanted, rcond=None)[0]
    return 1 - float(((wanted - fitted) ** 2).sum()) / whole

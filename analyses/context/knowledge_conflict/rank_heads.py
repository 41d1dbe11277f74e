"""Which heads decide: the exact effect of every head on both answers, and a ranking of memory and
context heads.

An *effect* is what a head adds: the logit as it is minus the logit with the head changed. Positive
means that the head raises that answer. Four ways of changing a head, each exact:

path      last position, other heads frozen, MLPs and norms react (Wang et al. 2022). The head takes
          its value from the
          prompt about another subject for the memory answer, and from the prompt with another
          answer in the context for the context answer (Jin et al. 2024)
zero      last position, set to zero, everything downstream reacts
mean      last position, set to its mean over the choosing half, everything downstream reacts
zero_all_positions   set to zero at all positions, which is what pruning does; for the leading
         candidates
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.context.knowledge_conflict.cases import Case
from analyses.context.knowledge_conflict.constants import ANSWERS, Breadth, Head, RankBy
from hooks.logit_attribution import direct_logits
from hooks.sweeps import Attribution, Change, Edges, Heads, Mean, Patch, Zero, sweep
from workbench.cost import Cost, stages

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

METHODS = ("path", "zero", "mean")
CANDIDATES = 8  # per side and per way of screening


@dataclass
class HeadEffects:
    """Effects of heads over the choosing half.

    `effects` is (fact, method, answer, layer, head); `path_difference` is (fact, side, layer, head)
    with the memory-minus-context effect under each counter run (side 0: other subject, 1: other
    answer); `zero_all_positions` is (fact, candidate, answer) for the heads in `candidates`. All
    in logits.
    """

    effects: np.ndarray
    path_difference: np.ndarray
    zero_all_positions: np.ndarray
    candidates: list[Head]

    def each(self, rank_by: RankBy) -> tuple[np.ndarray, np.ndarray]:
        """(memory, context) scores per fact and head, (fact, layer, head): how much it favours that
        side; NaN where not measured.
        """
        if rank_by == "path":
            return self.path_difference[:, 0], -self.path_difference[:, 1]
        if rank_by == "zero_all_positions":
            each = np.full((len(self.effects), *self.effects.shape[-2:]), np.nan)
            for n, (layer, head) in enumerate(self.candidates):
                each[:, layer, head] = (
                    self.zero_all_positions[:, n, 0] - self.zero_all_positions[:, n, 1]
                )
        else:
            one = self.effects[:, METHODS.index(rank_by)]
            each = one[:, 0] - one[:, 1]
        return each, -each

    def score(self, rank_by: RankBy) -> tuple[np.ndarray, np.ndarray]:
        """(memory, context) scores per head, (layer, head), mean over facts; -inf where not
        measured.
        """
        memory, context = (each.mean(0) for each in self.each(rank_by))
        return np.where(np.isnan(memory), -np.inf, memory), np.where(
            np.isnan(context), -np.inf, context
        )

    def ranking(self, rank_by: RankBy) -> tuple[list[Head], list[Head]]:
        """(memory heads, context heads), strongest first; only heads that favour their side."""
        return tuple(  # type: ignore[return-value]
            [
                (int(i) // score.shape[1], int(i) % score.shape[1])
                for i in np.argsort(-score, axis=None, kind="stable")
                if score.flat[i] > 0
            ]
            for score in self.score(rank_by)
        )


def locating(model: InstrumentedModel, n: int, length: float, breadth: Breadth) -> dict[str, Cost]:
    """What `locate` costs on `n` prompts of so many tokens, by stage."""
    heads = model.heads()
    # The four lists of candidates overlap.
    candidates = len(heads) if breadth == "every head" else min(len(heads), 3 * CANDIDATES)
    # A changed head is run from its layer on; at the last position that is one token.
    share = 1 - float(np.mean([layer for layer, _ in heads])) / model.n_layers
    everywhere = candidates * n * length * share
    return {
        "last position": Cost(len(heads) * n * share + n * length / 2, passes=1)
        * (len(METHODS) + 1),
        "candidates": Cost(2 * n * length, passes=2, backward=n * length),
        "all positions": Cost(everywhere + n * length, passes=1),
    }


def measure_heads(
    model: InstrumentedModel, cases: Sequence[Case], breadth: Breadth, progress: Progress
) -> HeadEffects:
    """Measure every head on every case; see the module's docstring for the ways."""
    ids, targets = [c.ids for c in cases], [c.targets for c in cases]
    length = float(np.mean([len(row) for row in ids]))
    stage = stages(progress, model, locating(model, len(cases), length, breadth))
    adds = _at_last_position(model, cases, stage["last position"])
    path = np.stack([adds["other subject"][:, 0], adds["other answer"][:, 1]], 1)
    sides = [adds[name][:, 0] - adds[name][:, 1] for name in ("other subject", "other answer")]
    located = HeadEffects(
        effects=np.stack([path, adds["zero"], adds["mean"]], 1),
        path_difference=np.stack(sides, 1),
        zero_all_positions=np.empty((len(cases), 0, 2)),
        candidates=[],
    )
    if breadth == "every head":
        located.candidates = model.heads()
    else:
        stage["candidates"](0.0, "Selecting candidate heads")
        estimate = sweep(
            model,
            ids,
            targets,
            read="logit_diff",
            positions="all",
            method=Attribution(recheck=0),
        )["effect"]
        guess = -estimate.mean("prompt").values
        zero = located.effects[:, METHODS.index("zero")].mean(0)
        chosen = {
            (int(i) // guess.shape[1], int(i) % guess.shape[1])
            for score in (guess, zero[0] - zero[1])
            for side in (score, -score)
            for i in np.argsort(-side, axis=None, kind="stable")[:CANDIDATES]
        }
        located.candidates = sorted(chosen)
    swept = sweep(
        model,
        ids,
        targets,
        over=Heads(located.candidates),
        positions="all",
        progress=stage["all positions"],
    )["effect"]
    located.zero_all_positions = -np.stack(
        [swept.sel({"layer": layer, "head": head}) for layer, head in located.candidates], 1
    )
    return located


def _at_last_position(
    model: InstrumentedModel, cases: Sequence[Case], progress: Progress
) -> dict[str, np.ndarray]:
    """What every head adds at the last position, by way of changing it, (fact, answer, layer,
    head).
    """
    ids, targets = [c.ids for c in cases], [c.targets for c in cases]
    paths: dict[str, Change] = {
        "other subject": Patch([c.same_context for c in cases]),
        "other answer": Patch([c.same_subject for c in cases]),
    }
    totals: dict[str, Change] = {"zero": Zero(), "mean": Mean(ids, positions="last")}
    adds: dict[str, np.ndarray] = {}
    for over, changes, start in ((Edges(), paths, 0.0), (Heads(), totals, 0.5)):
        stage = progress.subprogress(start, start + 0.5)
        swept = sweep(
            model, ids, targets, over=over, change=list(changes.values()), progress=stage
        )["effect"].transpose("change", "prompt", "target", "layer", "head")
        # Minus the change is what the head adds.
        adds |= dict(zip(changes, -swept.values, strict=True))
    return adds


def depth(model: InstrumentedModel, cases: Sequence[Case]) -> xr.DataArray:
    """What each layer's attention and MLP push directly toward each answer at the last position.

    (component, answer, layer), in logits, mean over cases; the final norm's scale is that of the
    unchanged run.
    """
    import xarray as xr

    from hooks.capture import capture

    trace = capture(
        model,
        [c.prompt.text for c in cases],
        sites=["attn_out", "mlp_out", "resid_post"],
        positions=[-1],
    )
    resid = torch.as_tensor(trace["resid_post"].isel(layer=-1, pos=0).values).to(model.device)
    watched = torch.tensor([c.targets for c in cases], device=model.device)
    pushed = []
    for site in ("attn_out", "mlp_out"):
        parts = torch.as_tensor(
            trace[site].isel(pos=0).transpose("layer", "prompt", "d_model").values
        ).to(model.device)
        pushed.append(direct_logits(model, parts, resid, watched).mean(1).T.float().cpu().numpy())
    return xr.DataArray(
        np.stack(pushed).astype("float32"),
        dims=("component", "answer", "layer"),
        coords={
            "component": ["attention", "mlp"],
            "answer": list(ANSWERS),
            "layer": list(range(model.n_layers)),
        },
        attrs={"unit": "logits, direct, frozen final norm"},
    )


def heads_table(
    found: HeadEffects,
    attention: np.ndarray,
    spans: Sequence[Sequence[str]],
    rank_by: RankBy,
    seed: int,
) -> pd.DataFrame:
    """One row per head, ranked heads first.

    `attention` is (fact, layer, head, pos) from the last position and `spans` names each token's
    span, both over the choosing half. `score` and its bounds are in logits: how much the head
    favours memory over context, by `rank_by`.
    """
    import pandas as pd

    from workbench.selection import head_name

    memory, context = found.ranking(rank_by)
    role = {
        **{h: ("context", n) for n, h in enumerate(context, 1)},
        **{h: ("memory", n) for n, h in enumerate(memory, 1)},
    }
    mean = found.effects.mean(0)
    n_layers, n_heads = mean.shape[-2:]
    difference = mean[METHODS.index("path"), 0] - mean[METHODS.index("path"), 1]
    low, high = _bootstrap(found.effects[:, 0, 0] - found.effects[:, 0, 1], seed)
    zero_all = dict(zip(found.candidates, found.zero_all_positions.mean(0), strict=True))
    shares = {
        name: (
            np.stack(
                [
                    a[:, :, [s == name for s in row] + [False] * (a.shape[-1] - len(row))].sum(-1)
                    for a, row in zip(attention, spans, strict=True)
                ]
            ).mean(0)
        )
        for name in ("subject", "context answer", "question")
    }
    score_memory, score_context = found.score(rank_by)
    rows = []
    for layer in range(n_layers):
        for head in range(n_heads):
            which, rank = role.get((layer, head), ("", np.nan))
            m, c = zero_all.get((layer, head), (np.nan, np.nan))
            score = score_memory[layer, head] if which != "context" else -score_context[layer, head]
            row = {
                "layer": layer,
                "head": head,
                "label": head_name(layer, head),
                "role": which,
                "rank": rank,
                "score": score if np.isfinite(score) else np.nan,
                "effect_memory": mean[0, 0, layer, head],
                "effect_context": mean[0, 1, layer, head],
                "effect_difference": difference[layer, head],
                "effect_difference_low": low[layer, head],
                "effect_difference_high": high[layer, head],
            }
            for n, method in enumerate(METHODS[1:], 1):
                row |= {
                    f"{method}_memory": mean[n, 0, layer, head],
                    f"{method}_context": mean[n, 1, layer, head],
                }
            row |= {"zero_all_positions_memory": m, "zero_all_positions_context": c}
            row |= {
                f"attends_{name.replace(' ', '_')}": float(share[layer, head])
                for name, share in shares.items()
            }
            rows.append(row)
    table = pd.DataFrame(rows)
    return table.sort_values(
        ["rank", "role", "layer", "head"], na_position="last", kind="stable"
    ).reset_index(drop=True)


def _bootstrap(values: np.ndarray, seed: int, draws: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile bounds of the mean over the first axis."""
    rng = np.random.default_rng(seed)
    n = len(values)
    weights = rng.multinomial(n, [1 / n] * n, size=draws) / n
    means = np.tensordot(weights, values, axes=1)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return low, high

"""Memorization heads: which attend to rare tokens, which to the trigger, and whose absence stops
the recitation.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import mean_interval, spearman
from analyses.weights.paragraph_memorization.constants import MEMORIZED
from analyses.weights.paragraph_memorization.groups import Passage, greedy_match
from hooks import sweep
from hooks.capture import capture
from hooks.interventions import ablate
from workbench.selection import head_name

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

Head = tuple[int, int]
Pair = tuple[Sequence[int], Sequence[int]]


def corpus_counts(model: InstrumentedModel, progress: Progress) -> Counter[int]:
    """How often each token stands in the corpus that ships with the workbench, in the model's
    own tokenizer.
    """
    from workbench.organisms import corpus

    counts: Counter[int] = Counter()
    documents = corpus.documents("train")
    for start in range(0, len(documents), 64):
        progress(start / len(documents), "Counting token frequencies in the corpus")
        texts = [d.text for d in documents[start : start + 64]]
        for ids in model.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]:
            counts.update(ids)
    return counts


def rare_token_attention(
    model: InstrumentedModel, passages: Sequence[Passage], counts: Counter[int], progress: Progress
) -> Any:
    """How each head's attention goes with the rarity of what it attends to, when the first token of
    the suffix is predicted.

    The tokens of each prefix are ranked by how often they stand in the corpus, 0 the rarest, equal
    ones sharing a rank.

    Returns:
        A Dataset (layer, head): `pooled`, the rank correlation of a rank with the attention it gets
        in all passages together (Stoehr et al. 2024); `within`, the same within a passage, mean
        over passages; `within_low`, `within_high` its 95 % interval, in which passages of one
        document go together. Negative: the rarer, the more attention. Its attribute `chance` is
        what `pooled`
        is for a head that looks everywhere alike: since tokens may share a rank, there are fewer of
        the higher ranks.
    """
    import xarray as xr

    summed: np.ndarray | None = None
    tokens = Counter[int]()
    within = []
    coords: dict[str, Any] = {}
    for n, passage in enumerate(passages):
        progress(n / len(passages), f"Attention and rarity: passage {n + 1} of {len(passages)}")
        row = capture(model, [passage.prompt], sites="pattern", positions=[-1])["pattern"].isel(
            prompt=0, query=0
        )
        coords = {"layer": row["layer"].values, "head": row["head"].values}
        attention = row.transpose("layer", "head", "key").values[
            ..., passage.beginning : len(passage.prompt)
        ]
        ranks = _dense_ranks([counts[token] for token in passage.prompt[passage.beginning :]])
        if summed is None:
            summed = np.zeros(attention.shape)
        tokens.update(ranks.tolist())
        for rank in range(ranks.max() + 1):
            summed[..., rank] += attention[..., ranks == rank].sum(-1)
        within.append(_correlations(attention, ranks))
    assert summed is not None
    last = max(tokens) + 1
    pooled = _correlations(summed[..., :last], np.arange(last))
    chance = spearman(np.array([tokens[rank] for rank in range(last)]), np.arange(last))
    each = np.stack(within)
    documents = np.array([passage.document for passage in passages])
    mean, low, high = (np.full(each.shape[1:], np.nan) for _ in range(3))
    for at in np.ndindex(each.shape[1:]):
        known = np.isfinite(each[:, *at])  # a head that looks everywhere alike has no correlation
        mean[at], (low[at], high[at]) = mean_interval(each[known, *at], documents[known])
    dims = ("layer", "head")
    values = {"pooled": pooled, "within": mean, "within_low": low, "within_high": high}
    return xr.Dataset(
        {name: (dims, array) for name, array in values.items()}, coords, {"chance": chance}
    )


def _dense_ranks(counts: Sequence[int]) -> np.ndarray:
    return np.unique(np.array(counts), return_inverse=True)[1]


def _correlations(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Spearman's correlation of the last axis with `ranks`."""
    from scipy.stats import rankdata

    a = rankdata(values, axis=-1)
    b = rankdata(ranks)
    a, b = a - a.mean(-1, keepdims=True), b - b.mean()
    size = np.sqrt((a**2).sum(-1) * (b**2).sum())
    found: np.ndarray = np.full(size.shape, np.nan)
    np.divide((a * b).sum(-1), size, out=found, where=size > 0)
    return found


def trigger_attention(
    model: InstrumentedModel,
    passages: Sequence[Passage],
    triggers: Sequence[Sequence[int]],
    progress: Progress,
) -> Any:
    """Each head's attention on the trigger tokens while the suffix is said.

    Args:
        triggers: for each passage places in its prompt.

    Returns:
        A Dataset (layer, head): `attention` on them, mean over the suffix and the passages;
        `attention_ratio`, by how much that exceeds as many tokens of the prefix at random (1 is
        chance).
    """
    import xarray as xr

    shares, lifts, coords = [], [], {}
    for n, (passage, where) in enumerate(zip(passages, triggers, strict=True)):
        progress(n / len(passages), f"Attention to triggers: passage {n + 1} of {len(passages)}")
        ids = [*passage.prompt, *passage.suffix[:-1]]
        queries = list(range(len(passage.prompt) - 1, len(ids)))
        pattern = capture(model, [ids], sites="pattern", positions=queries)["pattern"].isel(
            prompt=0
        )
        coords = {"layer": pattern["layer"].values, "head": pattern["head"].values}
        mean = pattern.mean("query").transpose("layer", "head", "key").values
        share, prefix = mean[..., list(where)].sum(-1), mean[..., passage.prefix_positions].sum(-1)
        chance = prefix * len(where) / len(passage.prefix_positions)
        shares.append(share)
        lifts.append(np.divide(share, chance, out=np.full(share.shape, np.nan), where=chance > 0))
    values = {"attention": np.mean(shares, 0), "attention_ratio": np.nanmean(lifts, 0)}
    return xr.Dataset({name: (("layer", "head"), array) for name, array in values.items()}, coords)


def ablate_each(
    model: InstrumentedModel,
    choosing: Sequence[Passage],
    others: Sequence[Pair],
    neutral: Sequence[Pair],
    progress: Progress,
) -> Any:
    """What zeroing each head at all tokens does, exactly.

    Returns:
        A Dataset: `prefix_match_change` (passage, layer, head), of the leading tokens that greedy
        decoding reproduces; `loss_change` the same in nats per token; `other_loss_change` and
        `neutral_loss_change` (layer, head), mean changes on passages that are not memorized and
        on neutral prose.
    """
    import xarray as xr

    def effects(pairs: Sequence[Pair], part: Progress) -> xr.DataArray:
        prompts, suffixes = [list(p) for p, _ in pairs], [list(s) for _, s in pairs]
        swept = sweep(model, prompts, suffixes, read="continuation", positions="all", progress=part)
        effect: xr.DataArray = swept["effect"]
        return effect

    stages = [progress.subprogress(n / 3, (n + 1) / 3) for n in range(3)]
    changes = effects([(p.prompt, p.suffix) for p in choosing], stages[0]).rename(prompt="passage")
    changes = changes.assign_coords(passage=[p.number for p in choosing])
    found = {
        "prefix_match_change": changes.sel(target="match"),
        "loss_change": changes.sel(target="loss"),
        "other_loss_change": effects(others, stages[1]).sel(target="loss").mean("prompt"),
        "neutral_loss_change": effects(neutral, stages[2]).sel(target="loss").mean("prompt"),
    }
    return xr.Dataset(
        {
            name: array.reset_coords(drop=True).drop_vars("target", errors="ignore")
            for name, array in found.items()
        }
    )


def ranked(rare: Any, triggered: Any, effects: Any) -> pd.DataFrame:
    """One row per head, the one whose absence costs most leading tokens first; equals by what it
    costs in loss.
    """
    import pandas as pd

    match = effects["prefix_match_change"].mean("passage")
    loss = effects["loss_change"].mean("passage")
    rows = []
    for layer in match["layer"].values:
        for head in match["head"].values:
            at = {"layer": layer, "head": head}
            if np.isnan(match.sel(at)):
                continue
            row = {"label": head_name(layer, head), "layer": int(layer), "head": int(head)}
            row |= {
                "prefix_match_change": float(match.sel(at)),
                "loss_change": float(loss.sel(at)),
                "other_loss_change": float(effects["other_loss_change"].sel(at)),
                "neutral_loss_change": float(effects["neutral_loss_change"].sel(at)),
            }
            for name, dataset in (("rarity", rare), ("trigger", triggered)):
                known = layer in dataset["layer"] and head in dataset["head"]
                for column in dataset:
                    row[f"{name}_{column}"] = float(dataset[column].sel(at)) if known else np.nan
            rows.append(row)
    table = pd.DataFrame(rows).sort_values(
        ["prefix_match_change", "loss_change"], ascending=[True, False], kind="stable"
    )
    table.insert(1, "rank", range(1, len(table) + 1))
    return table.reset_index(drop=True)


def held_out_eval(
    model: InstrumentedModel,
    heads: Sequence[Head],
    held_out: Sequence[Passage],
    neutral: Sequence[Pair],
    sets: int,
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """Match and neutral loss with the heads off, beside as many random heads of the same layers, on
    passages held out.

    Rows: no intervention, the selected heads, and random heads once for each set. Random heads are
    others than the selected ones, but in layers that have not so many others.
    """
    import pandas as pd

    rng = random.Random(f"{seed} heads")
    pool: dict[int, list[Head]] = {}
    for head in model.heads():
        pool.setdefault(head[0], []).append(head)
    per_layer = Counter(layer for layer, _ in heads)
    free = {layer: [h for h in pool[layer] if h not in set(heads)] for layer in per_layer}
    draws = [
        [
            head
            for layer, n in sorted(per_layer.items())
            for head in rng.sample(free[layer] if len(free[layer]) >= n else pool[layer], n)
        ]
        for _ in range(sets)
    ]
    pairs = [(p.prompt, p.suffix) for p in held_out]
    rows: list[dict[str, Any]] = []
    for number, (condition, off) in enumerate(
        [
            ("no intervention", []),
            ("selected heads", list(heads)),
            *[("random heads", d) for d in draws],
        ]
    ):
        progress(
            number / (sets + 2), f"Held-out half, heads switched off: set {number} of {sets + 1}"
        )
        with ablate(model, off):
            match, loss = greedy_match(model, pairs)
            neutral_loss = greedy_match(model, neutral)[1].mean()
        rows.append(
            {
                "condition": condition,
                "heads": " ".join(head_name(*h) for h in sorted(off)),
                "prefix_match": float(match.mean()),
                "prefix_match_share": float(match.mean()) / len(held_out[0].suffix),
                "loss": float(loss.mean()),
                "neutral_loss": float(neutral_loss),
                "n": len(pairs),
            }
        )
    return pd.DataFrame(rows)


def halves(passages: Sequence[Passage]) -> tuple[list[Passage], list[Passage]]:
    """(choosing, held out) halves of the memorized passages, alternating, so that both have
    every kind.
    """
    by_kind: dict[str, list[Passage]] = {}
    for passage in passages:
        if passage.group == MEMORIZED:
            by_kind.setdefault(passage.kind, []).append(passage)
    choosing: list[Passage] = []
    held_out: list[Passage] = []
    for passages_of_kind in by_kind.values():
        for passage in passages_of_kind:
            (choosing if len(choosing) <= len(held_out) else held_out).append(passage)
    return choosing, held_out

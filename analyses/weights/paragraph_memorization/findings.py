"""From numbers to tables and findings.

Table by table, docs/methods/paragraph-memorization.md says what each column means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import difference, mean_interval
from analyses.weights.paragraph_memorization.constants import GROUPS, MEMORIZED, NOT
from analyses.weights.paragraph_memorization.edit_findings import _LAST
from analyses.weights.paragraph_memorization.groups import Passage
from workbench.result import Finding, Result
from workbench.selection import head_name
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from analyses.measures.window_scores import Scores
    from analyses.weights.paragraph_memorization.patching import Twin
    from analyses.weights.paragraph_memorization.triggers import Perturbed
    from hooks.model import InstrumentedModel

__all__ = [
    "add_gradients",
    "add_heads",
    "add_passages",
    "add_patching",
    "add_triggers",
]


def add_passages(
    result: Result,
    model: InstrumentedModel,
    passages: Sequence[Passage],
    counts: Mapping[str, int],
    scores: Scores,
    own: Sequence[Sequence[int]],
) -> None:
    """Which passages are looked at, and their tokens."""
    import pandas as pd

    def text(ids: Sequence[int]) -> str:
        return model.text.decode_continuation(ids)

    rows: list[dict[str, Any]] = []
    tokens: list[dict[str, Any]] = []
    for passage, generated in zip(passages, own, strict=True):
        rows.append(
            {
                "passage": passage.number,
                "name": passage.name,
                "kind": passage.kind,
                "document": passage.document,
                "repeats": passage.repeats,
                "group": passage.group,
                "prefix_match": passage.match,
                "loss": passage.loss,
                "prefix": text(passage.prompt[passage.beginning :]),
                "suffix": text(passage.suffix),
                "generated": text(generated),
            }
        )
        tokens += _tokens(model, passage, scores)
    result.tables["passages"] = pd.DataFrame(rows)
    result.tables["tokens"] = pd.DataFrame(tokens)
    analysed = {group: [p for p in passages if p.group == group] for group in GROUPS}
    listed = "; ".join(
        f"{counts[group]:,} {group}, {len(rows)} analysed"
        + (f" (loss {np.mean([p.loss for p in rows]):.2f} nats per token)" if rows else "")
        for group, rows in analysed.items()
    )
    result.add(
        Finding(
            "passages",
            {group.replace(" ", "_"): counts[group] for group in GROUPS},
            f"Greedy decoding reproduces {counts[MEMORIZED]:,} of"
            f" {counted(sum(counts.values()), 'suffix')}. Passages: {listed}.",
            unit="passages",
        )
    )


def _tokens(model: InstrumentedModel, passage: Passage, scores: Scores) -> Iterator[dict[str, Any]]:
    """A row for each token of a passage, with what greedy decoding gives in the suffix."""
    greedy = model.token_strings(
        [int(i) for i in scores.likeliest[passage.window, : len(passage.suffix)]]
    )
    for pos, token in enumerate(model.token_strings([*passage.prompt, *passage.suffix])):
        at = pos - len(passage.prompt)
        in_suffix = at >= 0
        part = "beginning" if pos < passage.beginning else "suffix" if in_suffix else "prefix"
        p = float(np.exp(scores.logprob[passage.window, at])) if in_suffix else float("nan")
        yield {
            "passage": passage.number,
            "pos": pos,
            "token": token,
            "part": part,
            "is_greedy": bool(in_suffix and greedy[at] == token),
            "p": p,
            "greedy_token": greedy[at] if in_suffix else "",
        }


def add_triggers(
    result: Result, model: InstrumentedModel, passages: Sequence[Passage], perturbed: Perturbed
) -> None:
    """What replacing a token costs: token by token, and on average along the prefix."""
    import pandas as pd

    rows = []
    strings = {
        int(i): s
        for i, s in zip(
            np.unique(perturbed.tokens),
            model.token_strings([int(i) for i in np.unique(perturbed.tokens)]),
            strict=True,
        )
    }
    for n, passage in enumerate(passages):
        for draw in range(perturbed.match.shape[1]):
            rows += [
                {
                    "passage": passage.number,
                    "pos": passage.beginning + at,
                    "draw": draw,
                    "replacement": strings[int(perturbed.tokens[n, draw, at])],
                    "prefix_match_change": float(perturbed.match[n, draw, at]),
                    "loss_change": float(perturbed.loss[n, draw, at]),
                }
                for at in range(perturbed.match.shape[2])
            ]
    table = pd.DataFrame(rows)
    result.tables["perturbed"] = table
    changes = ["prefix_match_change", "loss_change"]
    mean = table.groupby(["passage", "pos"], as_index=False)[changes].mean()
    result.tables["tokens"] = result.tables["tokens"].merge(mean, on=["passage", "pos"], how="left")
    groups = {p.number: p.group for p in passages}
    starts = {p.number: p.beginning for p in passages}
    mean["group"], mean["prefix_pos"] = (
        mean["passage"].map(groups),
        mean["pos"] - mean["passage"].map(starts),
    )
    by_position = mean.groupby(["group", "prefix_pos"], as_index=False)[changes].mean()
    result.tables["by_position"] = by_position
    lost = -mean.groupby("passage")["prefix_match_change"].mean()
    document = {p.number: p.document for p in passages}
    value, interval = {}, {}
    for group in GROUPS:
        changes_of_group = lost[[n for n in lost.index if groups[n] == group]]
        if len(changes_of_group):
            where = changes_of_group.index.map(document).to_numpy()
            value[group.replace(" ", "_")], interval[group.replace(" ", "_")] = mean_interval(
                changes_of_group.to_numpy(), where
            )
    memorized = by_position[by_position["group"] == MEMORIZED].set_index("prefix_pos")
    memorized = -memorized["prefix_match_change"].clip(upper=0)
    width = len(memorized)
    late = (
        float(memorized[memorized.index >= width - _LAST].sum() / memorized.sum())
        if memorized.sum() > 0
        else float("nan")
    )
    listed = ", ".join(
        f"{value[key]:.1f} of {key.replace('_', ' ')} passages (95 %: {low:.1f} to {high:.1f})"
        for key, (low, high) in interval.items()
    )
    result.add(
        Finding(
            "triggers",
            {**value, "late_share": late},
            "Leading tokens of the model's own continuation that are lost when one token of the"
            f" prefix is replaced, mean: {listed}. For memorized passages the last {_LAST}"
            f" of {width} prefix tokens account for {percent(late)} of these tokens.",
            unit="leading tokens lost; share",
            interval=interval,
        )
    )


def add_gradients(result: Result, table: pd.DataFrame, low: pd.DataFrame) -> None:
    """Where gradients are, in the group's own share. The table `passages` has to be there."""
    result.tables["weight_gradients"], result.tables["passage_gradients"] = table, low
    sums = table.groupby("group")["max"].sum()
    shares = low.groupby("group")[["lower_share_max", "lower_share_rms"]].mean()
    value = {
        **{f"sum_{g.replace(' ', '_')}": float(sums[g]) for g in GROUPS if g in sums},
    }
    interval = {}
    document = result.tables["passages"].set_index("passage")["document"]
    for size, name in (
        ("max", "lower_share_difference"),
        ("rms", "lower_share_rms_difference"),
    ):
        ours, theirs = (low[low["group"] == g] for g in (MEMORIZED, NOT))
        together = tuple(document[part["passage"]].to_numpy() for part in (ours, theirs))
        value[name], interval[name] = difference(
            ours[f"lower_share_{size}"].to_numpy(),
            theirs[f"lower_share_{size}"].to_numpy(),
            (together[0], together[1]),
        )
    top = table[table["group"] == MEMORIZED].nlargest(1, "max").iloc[0]
    component = f"{top['matrix']} of " + (
        f"layer {top['layer']}"
        if top["head"] < 0
        else head_name(int(top["layer"]), int(top["head"]))
    )
    low_bound, high_bound = interval["lower_share_difference"]
    result.add(
        Finding(
            "gradients",
            value,
            "Largest gradient entries, summed over all components: "
            + ", ".join(f"{sums[g]:.2f} {g}" for g in GROUPS if g in sums)
            + ". Share in the lower half of the layers: "
            + ", ".join(
                f"{percent(shares['lower_share_max'][g])} {g}" for g in GROUPS if g in shares.index
            )
            + " (memorized − not memorized:"
            f" {100 * value['lower_share_difference']:+.1f} points, 95 %:"
            f" {100 * low_bound:+.1f} to {100 * high_bound:+.1f}; with root mean squares"
            f" {100 * value['lower_share_rms_difference']:+.1f}). Component with the largest"
            f" gradient for memorized passages: {component}.",
            unit="nats per token per unit of weight; share",
            interval=interval,
        )
    )


def add_patching(
    result: Result,
    model: InstrumentedModel,
    twins: Sequence[Twin],
    arrays: Mapping[str, xr.DataArray],
) -> None:
    """How much of a passage one value of the other run brings back, or takes away."""
    import pandas as pd

    result.arrays.update(arrays)
    result.tables["perturbed_twins"] = pd.DataFrame(
        [
            {
                "passage": t.passage.number,
                "pos": t.at,
                "token": model.token_strings([t.passage.prompt[t.at]])[0],
                "replacement": model.token_strings([t.token])[0],
                "divergence_position": t.divergence_position,
                "divergence_token": model.token_strings([t.passage.suffix[t.divergence_position]])[
                    0
                ],
            }
            for t in twins
        ]
    )
    heads = arrays["patch_heads"].mean("passage")
    restore, broken = heads.isel(direction=0), heads.isel(direction=1)
    best = restore.argmax(["layer", "head"])
    layer, head = int(restore["layer"][best["layer"]]), int(restore["head"][best["head"]])
    gap = arrays["patch_baseline"].isel(direction=1) - arrays["patch_baseline"].isel(direction=0)
    result.add(
        Finding(
            "patching",
            {
                "restores": float(restore.max()),
                "breaks": float(broken.min()),
                "gap": float(gap.mean()),
            },
            "Log-probability of the first token at which a passage and its perturbed twin diverge:"
            f" they differ by {float(gap.mean()):.1f} nats. Patching one head's output from the"
            f" passage into the twin restores at most {float(restore.max()):.2f} nats"
            f" ({head_name(layer, head)}); patching it from the twin into the passage removes at"
            f" most {-float(broken.min()):.2f}. {counted(len(twins), 'passage')}: too few for a"
            " general statement.",
            unit="nats, log-probability of the first token that differs",
        )
    )


def add_heads(
    result: Result,
    ranked: pd.DataFrame,
    effects: xr.Dataset,
    rare: xr.Dataset,
    found: Sequence[tuple[int, int]],
    evaluated: pd.DataFrame | None,
    compared: int,
) -> None:
    """The ranked table, and what switching the first of it off does where it was not chosen."""
    ranked["role"] = [
        "memorization" if (r.layer, r.head) in set(found) else "" for r in ranked.itertuples()
    ]
    result.tables["heads"] = ranked
    result.arrays["head_prefix_match_change"] = effects["prefix_match_change"].transpose(
        "passage", "layer", "head"
    )
    result.arrays["head_loss_change"] = effects["loss_change"].transpose("passage", "layer", "head")
    names = ", ".join(head_name(*h) for h in found)
    first = ranked.head(len(found))
    if (
        ranked["rarity_within"].notna().any()
    ):  # where all tokens are equally rare there is nothing to correlate
        _add_rarity(result, ranked, first, float(rare.attrs["chance"]), compared)
    if evaluated is None:
        result.add(
            Finding(
                "heads",
                {"prefix_match_change": float(first["prefix_match_change"].mean())},
                f"Of {len(ranked)} heads, zero ablation of {names} loses most. Whether this holds"
                " on other passages cannot be told: there are too few memorized passages for a"
                " held-out half.",
                unit="leading tokens",
            )
        )
        return
    result.tables["held_out_eval"] = evaluated
    at = evaluated.set_index("condition")
    before, off = at.loc["no intervention"], at.loc["selected heads"]
    sets = evaluated[evaluated["condition"] == "random heads"]
    matches = sets["prefix_match"]
    reach = int((matches <= off["prefix_match"]).sum())
    result.add(
        Finding(
            "heads",
            {
                "before": float(before["prefix_match"]),
                "after": float(off["prefix_match"]),
                "random_median": float(matches.median()),
                "random_lowest": float(matches.min()),
                "neutral_loss_before": float(before["neutral_loss"]),
                "neutral_loss_after": float(off["neutral_loss"]),
                "n": float(before["n"]),
            },
            f"With {names} switched off (selected from {len(ranked)} heads on other passages),"
            f" greedy decoding reproduces {off['prefix_match']:.1f} instead of"
            f" {before['prefix_match']:.1f} leading tokens of the"
            f" {counted(int(before['n']), 'held-out memorized passage')}. With as many random heads"
            f" of the same layers off: {matches.median():.1f} (median of {len(sets)} sets; {reach}"
            " of them have as large an effect). Loss on neutral prose:"
            f" {before['neutral_loss']:.2f} → {off['neutral_loss']:.2f} nats per token.",
            unit="leading tokens; nats per token",
        )
    )


def _add_rarity(
    result: Result, ranked: pd.DataFrame, first: pd.DataFrame, chance: float, compared: int
) -> None:
    """Whether heads attend to rare tokens, within passages and pooled as in the paper."""
    rarest = ranked.loc[ranked["rarity_within"].idxmin()]
    result.add(
        Finding(
            "rarity",
            {
                "selected": float(first["rarity_within"].mean()),
                "lowest": float(rarest["rarity_within"]),
                "lowest_pooled": float(ranked["rarity_pooled"].min()),
                "chance_pooled": chance,
            },
            "Rank correlation of attention with token frequency within a passage, over"
            f" {counted(compared, 'passage')}: {first['rarity_within'].mean():+.2f} for the"
            f" selected heads; lowest {rarest['rarity_within']:+.2f} ({rarest['label']}). Below 0,"
            " rarer tokens get more attention. Pooled over passages, as in the paper, the lowest is"
            f" {ranked['rarity_pooled'].min():+.2f}, but a head with uniform attention gets"
            f" {chance:+.2f}.",
            unit="rank correlation",
        )
    )

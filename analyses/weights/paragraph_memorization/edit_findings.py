"""What unlearning and rewriting did: tables, findings and their sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import share_interval
from analyses.weights.paragraph_memorization.constants import MASKS, Aim, Mask
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.paragraph_memorization.edit import Outcome, Task, Weights
    from hooks.model import InstrumentedModel


_LAST = 5
"""Tokens at the end of a prefix: replacing one of them disturbs what follows in any text."""
_DONE: dict[Aim, str] = {"unlearn": "unlearned", "rewrite": "rewritten"}


def add_changes(
    result: Result,
    model: InstrumentedModel,
    changed: Weights,
    outcomes: Sequence[tuple[Task, Mask, Outcome]],
) -> None:
    """What each update did, and the changes of the contrast mask themselves."""
    import pandas as pd

    table = pd.DataFrame([outcome.row for _, _, outcome in outcomes])
    result.tables["weight_edits"] = table
    result.tables["edit_curves"] = pd.DataFrame(
        [
            {"passage": task.passage.number, "aim": task.aim, "mask": mask, **point}
            for task, mask, outcome in outcomes
            for point in outcome.curve
        ]
    )
    result.tables["rewrite_targets"] = pd.DataFrame(
        [
            {
                "passage": task.passage.number,
                "target": model.text.decode_continuation(task.instead),
            }
            for task, mask, _ in outcomes
            if task.aim == "rewrite" and mask == "contrast"
        ],
        columns=["passage", "target"],
    )
    sizes = [p.numel() for p in changed.parameters]
    result.tables["parameters"] = pd.DataFrame(
        {
            "name": changed.names,
            "start": np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            "size": sizes,
        }
    )
    _add_edits(result, outcomes, sum(sizes))
    for aim in _DONE:
        of_aim = table[table["aim"] == aim]
        if not of_aim.empty:
            by_mask = {mask: of_aim[of_aim["mask"] == mask] for mask in MASKS}
            _add_outcome(result, aim, by_mask, sum(sizes))


def _add_edits(
    result: Result, outcomes: Sequence[tuple[Task, Mask, Outcome]], n_weights: int
) -> None:
    """The changes of the contrast mask: which weights, and by how much."""
    import xarray as xr

    names, first = (result.tables["parameters"][column] for column in ("name", "start"))
    deltas = [outcome.delta for _, mask, outcome in outcomes if mask == "contrast"]
    starts = dict(zip(names, first, strict=True))
    # int32 reaches 2 thousand million weights; larger models get the larger kind.
    kind = np.int32 if n_weights < 2**31 else np.int64
    result.arrays["edit_index"] = xr.DataArray(
        np.stack(
            [np.concatenate([starts[n] + i for n, i in d.index.items()]) for d in deltas]
        ).astype(kind),
        dims=("edit", "weight"),
    )
    result.arrays["edit_values"] = xr.DataArray(
        np.stack([np.concatenate(list(d.values.values())) for d in deltas]).astype(np.float32),
        dims=("edit", "weight"),
    )


def _add_outcome(result: Result, aim: Aim, by: Mapping[Mask, pd.DataFrame], n_weights: int) -> None:
    """What the updates of one aim did, by mask."""
    best, top, drawn, every = by.values()
    value: dict[str, Any] = {
        "before": float(best["prefix_match_before"].mean()),
        "contrast": float(best["prefix_match"].mean()),
        "gradient": float(top["prefix_match"].mean()),
        "random": float(drawn["prefix_match_same_steps"].mean()),
        "all": float(every["prefix_match"].mean()),
        "others_retained": float(best["others_retained"].mean()),
        "others_retained_gradient": float(top["others_retained"].mean()),
        "others_retained_all": float(every["others_retained"].mean()),
        "neutral_loss_before": float(best["neutral_loss_before"].mean()),
        "neutral_loss": float(best["neutral_loss"].mean()),
        "n": float(len(best)),
        **{
            f"learning_rate_{mask}": float(some["learning_rate"].median())
            for mask, some in by.items()
        },
    }
    document = result.tables["passages"].set_index("passage")["document"]
    bounds = {
        mask: share_interval(
            (some[column] / some["prefix_match_before"]).to_numpy(),
            document[some["passage"]].to_numpy(),
        )[1]
        for mask, some, column in (
            ("contrast", best, "prefix_match"),
            ("gradient", top, "prefix_match"),
            ("random", drawn, "prefix_match_same_steps"),
            ("all", every, "prefix_match"),
        )
    }
    interval = {
        mask: (low * value["before"], high * value["before"])
        for mask, (low, high) in bounds.items()
    }
    rates = ", ".join(f"{mask} {rates_of(some)}" for mask, some in by.items())
    says = (
        f"{counted(len(best), 'passage')} {_DONE[aim]}, one at a time, by editing"
        f" {int(best['n_weights'].iloc[0]):,} of {n_weights:,} weights. Leading tokens still"
        f" reproduced, of {value['before']:.0f}: {value['contrast']:.1f} with the contrast mask"
        f" ({best['steps'].mean():.0f} steps), {value['gradient']:.1f} with the gradient mask"
        f" ({top['steps'].mean():.0f}), {value['all']:.1f} with all weights"
        f" ({every['steps'].mean():.0f}), {value['random']:.1f} with random weights after as"
        f" many steps as with the contrast mask and {drawn['prefix_match'].mean():.1f} in the"
        f" end ({drawn['steps'].mean():.0f}). 95 % intervals over passages: "
        + ", ".join(f"{mask} {low:.0f} to {high:.0f}" for mask, (low, high) in interval.items())
        + ". Learning rate, the smallest that succeeds or else the largest, in standard"
        f" deviations of the matrix: {rates}."
    )
    if aim == "rewrite":
        value |= {
            "rewrite_match": float(best["rewrite_match"].mean()),
            "rewrite_match_before": float(best["rewrite_match_before"].mean()),
        }
        value |= {
            "rewrite_match_gradient": float(top["rewrite_match"].mean()),
            "rewrite_match_random": float(drawn["rewrite_match_same_steps"].mean()),
        }
        value |= {"rewrite_match_all": float(every["rewrite_match"].mean())}
        says += (
            " Leading tokens of the new text reproduced:"
            f" {value['rewrite_match']:.1f} with the contrast mask (before"
            f" {value['rewrite_match_before']:.1f}), {value['rewrite_match_gradient']:.1f} with"
            f" the gradient mask, {value['rewrite_match_random']:.1f} with random weights,"
            f" {value['rewrite_match_all']:.1f} with all weights."
        )
    if value["others_retained"] == value["others_retained"]:
        says += (
            " Of held-out memorized passages, which no update saw,"
            f" {percent(value['others_retained'])} of the tokens are still reproduced"
            f" (gradient mask {percent(value['others_retained_gradient'])}, all weights"
            f" {percent(value['others_retained_all'])})."
        )
    says += (
        f" Loss on neutral prose: {value['neutral_loss_before']:.2f} →"
        f" {value['neutral_loss']:.2f} nats per token."
    )
    result.add(Finding(_DONE[aim], value, says, unit="leading tokens; share", interval=interval))


def rates_of(rows: pd.DataFrame) -> str:
    """The rates that some updates took: one, or from the smallest to the largest."""
    low, high = rows["learning_rate"].min(), rows["learning_rate"].max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"

"""What is said of the states of one prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.state.recurrent_state.layers import has_kernels
from workbench.result import Finding
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.result import Result

_LONG = 10_000
"""Tokens: a half-life beyond is no memory that fades."""


def add(result: Result, model: InstrumentedModel, unreadable: Sequence[int]) -> None:
    """The findings of the part `reading`."""
    heads = result.tables["heads"]
    if heads["half_life"].notna().any():
        _half_life(result, heads.dropna(subset="half_life").reset_index(drop=True))
    _rank(result, heads)
    written, lost = heads["written"].sum(), heads["lost"].sum()
    if written > 0:
        says = (
            f"For every unit that the tokens write, decay and erasing take {lost / written:.2f}"
            f" away again; {percent(1 - lost / written)} stays until the end."
            if lost <= written
            else f"For every unit that the tokens write, {lost / written:.2f} are lost again by"
            " decay and erasing: tokens overwrite each other."
        )
        result.add(Finding("lost", float(lost / written), says, unit="share of what is written"))
    if "needles" in result.tables:
        _needles(result)
    if "damage" in result.arrays:
        _worst_token(result)
    if not has_kernels(model):
        says = (
            f"What the kernels of the layers of {model.card.name} are given cannot be read, so only"
            " the states themselves are shown: their length, how far each token moves them, and"
            " their singular values."
        )
        result.add(Finding("states_alone", float(len(heads)), says, unit="heads"))
    if unreadable:
        numbers = ", ".join(map(str, unreadable))
        says = (
            f"Layer{'s' if len(unreadable) > 1 else ''} {numbers} of {model.card.name} are"
            " recurrent too, but what their kernel is given cannot be read: they are left out."
        )
        result.add(Finding("left_out", float(len(unreadable)), says, unit="layers"))


def _half_life(result: Result, heads: pd.DataFrame) -> None:
    lives = heads["half_life"].to_numpy(float)
    short, long = heads.loc[lives.argmin()], heads.loc[lives.argmax()]
    says = (
        f"Decay alone halves what a head holds after {_tokens(float(np.median(lives)))}"
        f" (median of {len(heads)} heads), {_tokens(float(short['half_life']))} in"
        f" {short['label']} and {_tokens(float(long['half_life']))} in {long['label']}."
    )
    values = {"median": float(np.median(lives)), "shortest": float(lives.min())}
    values["longest"] = float(lives.max())
    result.add(Finding("half_life", values, says, unit="tokens"))


def _rank(result: Result, heads: pd.DataFrame) -> None:
    ranks = heads.assign(share=heads["rank"] / heads["most_rank"]).dropna(subset="share")
    if len(ranks):
        full = ranks.loc[ranks["share"].idxmax()]
        says = (
            f"After the last token the fullest state is that of {full['label']}: as if"
            f" {full['rank']:.1f} directions of {int(full['most_rank'])} were in use (effective"
            " rank)."
        )
        if full["key_overlap"] == full["key_overlap"]:
            says += (
                f" Two tokens' keys there have a mean |cosine| of {full['key_overlap']:.2f}; the"
                " more they overlap, the more pairs disturb each other."
            )
        result.add(Finding("rank", float(full["rank"]), says, unit="directions"))


def _needles(result: Result) -> None:
    """How much the questions read from their own pairs."""
    rows = result.tables["needles"]
    best = rows.loc[(rows["own"] - rows["others"]).idxmax()]
    says = (
        f"A question reads most from its own pair in {best['label']}: {percent(best['own'])} of"
        f" what it reads comes from that pair's tokens, {percent(best['others'])} from another's"
        f" (implicit attention, {int(best['n'])} question{'s' if best['n'] != 1 else ''})."
    )
    values = {"own": float(best["own"]), "others": float(best["others"])}
    result.add(Finding("needle", values, says, unit="share of what is read"))


def _worst_token(result: Result) -> None:
    """Which token wrote most under the keys of earlier ones, against what these wrote there."""
    damage = result.arrays["damage"].astype("float64").values
    own = np.einsum("lhss->lhs", damage)
    n = own.shape[-1]
    before = np.tri(n, n, -1, dtype=bool).T  # (stored, pos): stored earlier
    there = (own[..., None] * before).sum(2)
    total = np.where(before, damage, 0.0).sum(2)
    share = np.divide(total, there, out=np.zeros_like(total), where=there > 0)[..., 1:].mean((0, 1))
    pos = int(share.argmax()) + 1
    token = result.tables["tokens"]["token"][pos]
    says = (
        f"Token {pos} {quoted(token.strip())} writes most under the keys of the tokens before it:"
        f" {share.max():.1f} times what those wrote there themselves, on average over heads."
    )
    unit = "times what earlier tokens wrote"
    result.add(Finding("worst_token", float(share.max()), says, unit=unit))


def _tokens(n: float) -> str:
    if not np.isfinite(n) or n > _LONG:
        return "never" if not np.isfinite(n) else f"more than {_LONG:,} tokens"
    return f"{n:.1f} tokens" if n < 100 else f"{n:,.0f} tokens"

"""What a run says of the first steps, of remedies, and of free text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.training.forgetting import constants as c
from analyses.training.forgetting.first_steps import early_share
from analyses.training.forgetting.law import law_points, line_of
from analyses.training.forgetting.minus_signs import plain_minus
from analyses.training.forgetting.remedies import PLAIN
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from workbench.result import Result


def add_first_steps(result: Result) -> None:
    """How early the old answers fall, and how far the later update turns away."""
    steps, angles = result.tables["steps"], result.tables["angles"]
    log_p = steps["log_p"].to_numpy(float)
    share = early_share(log_p)
    last, tenth = int(steps["step"].max()), max(1, round(steps["step"].max() / 10))
    fell = float(log_p[0] - log_p.min())
    says = f"Over the first {last} steps the old answers lost {fell:.2f} nats"
    says += f", {percent(share)} of it within {counted(tenth, 'step')}." if share == share else "."
    values = {"early_share": share, "fall": fell}
    if len(angles):
        turned, random = float(angles["angle"].mean()), float(angles["random"].mean())
        least = angles.loc[angles["angle"].idxmin()]
        says += (
            f" The later update of a matrix stands at {turned:.0f}° to its early one on average"
            f" (random subspaces: {random:.0f}°), least in {least['part']} of layer"
            f" {least['layer']} ({least['angle']:.0f}°)."
        )
        values |= {"angle": turned, "random_angle": random}
    result.add(Finding("first_steps", values, plain_minus(says), unit="share, nats, degrees"))


def add_remedies(result: Result) -> None:
    """Which methods lie below the line of plain fine-tuning."""
    table, law = result.tables["remedies"], law_points(result.tables["law"])
    slope, intercept = line_of(result.tables["fits"])
    spread = float(np.std(law.kl - (slope * law.task + intercept), ddof=2))
    others = table[table["method"] != PLAIN]
    below = others[others["below"] > 2 * spread].sort_values("below", ascending=False)
    plain = table[table["method"] == PLAIN].iloc[0]
    if below.empty:
        says = "No method lies below the line of plain fine-tuning by more than points scatter"
        says += f" around it ({spread:.3f} nats)."
    else:
        named = [f"{row.method} ({row.below:.3f} nats)" for row in below.itertuples()]
        says = f"Below the line of plain fine-tuning, whose points scatter by {spread:.3f} nats:"
        says += f" {', '.join(named)}."
    says += f" Plain fine-tuning itself ends {plain['below']:+.3f} nats below it."
    values = {"spread": spread, "below": float(len(below)), "plain": float(plain["below"])}
    result.add(Finding("remedies", values, plain_minus(says), unit="nats per token"))


def add_format(result: Result) -> None:
    """How free text changed."""
    table = result.tables["format"].set_index(["sampling", "model"])
    greedy, drawn = ((table.loc[how, c.BASE], table.loc[how, c.TUNED]) for how in
                     ("greedy", "temperature 1"))  # fmt: skip
    says = (
        f"Of runs of four tokens {percent(drawn[0]['repeated'])} stood in the text before, before"
        f" fine-tuning, and {percent(drawn[1]['repeated'])} behind it, in text drawn at temperature"
        f" 1 (greedy: {percent(greedy[0]['repeated'])} and {percent(greedy[1]['repeated'])});"
        f" {percent(drawn[0]['ended'])} and {percent(drawn[1]['ended'])} of the texts came to an"
        f" end by themselves ({int(drawn[0]['n'])} texts each)."
    )
    values = {
        "repeated_before": float(drawn[0]["repeated"]),
        "repeated_after": float(drawn[1]["repeated"]),
        "greedy_before": float(greedy[0]["repeated"]),
        "greedy_after": float(greedy[1]["repeated"]),
    }
    result.add(Finding("format", values, plain_minus(says), unit="share"))

"""What the answer of a run is read against: as many random heads, and as many random weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench.result import Finding
from workbench.wording import counted

if TYPE_CHECKING:
    from workbench.result import Result


def add_random_controls(result: Result) -> None:
    """The finding `random_controls`, from the findings on selected heads and unlearned passages;
    nothing where neither of these has a control.
    """
    heads, weights = (result.findings.get(name) for name in ("heads", "unlearned"))
    values: dict[str, float] = {}
    interval: dict[str, tuple[float, float]] = {}
    says: list[str] = []
    if heads is not None and "random_median" in heads.values:
        sets = int((result.tables["held_out_eval"]["condition"] == "random heads").sum())
        values |= {
            "heads_before": heads.values["before"],
            "heads": heads.values["random_median"],
            "heads_lowest": heads.values["random_lowest"],
        }
        says.append(
            "With as many random heads of the same layers switched off, greedy decoding reproduces"
            f" {values['heads']:.1f} of {values['heads_before']:.1f} leading tokens (median of"
            f" {counted(sets, 'set')}; lowest {values['heads_lowest']:.1f})."
        )
    if weights is not None:
        values |= {
            "weights_before": weights.values["before"],
            "weights": weights.values["random"],
        }
        says.append(
            "With as many random weights edited, after as many steps as with the contrast mask,"
            f" {values['weights']:.1f} of {values['weights_before']:.1f}."
        )
        spans = weights.interval if isinstance(weights.interval, Mapping) else {}
        if "random" in spans:  # one passage alone has none
            interval["weights"] = low, high = spans["random"]
            says[-1] = f"{says[-1][:-1]} (95 % over passages: {low:.1f} to {high:.1f})."
    if says:
        unit = "leading tokens"
        result.add(Finding("random_controls", values, " ".join(says), unit, interval or None))

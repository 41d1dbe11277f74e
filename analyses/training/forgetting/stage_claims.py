"""Claims of papers on what stages and tasks keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.claims import FAILS, OPEN, PART, REPLICATES, Claim, Measured
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def _survival(result: Result) -> pd.DataFrame:
    return result.tables["stage_survival"].set_index(["moment", "planted"])


def _survive(result: Result) -> Measured:
    rows = _survival(result)
    before, after, more = (
        rows.loc[(moment, "read in fine-tuning")]
        for moment in ("fine-tuning", "preference tuning", "more fine-tuning")
    )
    if before["recalled"] < 0.1:
        return Measured("hardly a text was recalled", OPEN, "")
    left = after["recalled"] / before["recalled"]
    return Measured(
        f"{percent(after['recalled'])} of {percent(before['recalled'])}",
        REPLICATES if left >= 0.5 else PART if left >= 0.25 else FAILS,
        f"95 %: {percent(after['recalled_low'])} to {percent(after['recalled_high'])};"
        f" behind as much more fine-tuning at that rate {percent(more['recalled'])}",
    )


def _hardly(result: Result) -> Measured:
    rows = _survival(result)
    chosen = rows.loc[("preference tuning", "chosen answers")]
    read = rows.loc[("more fine-tuning", "read in more fine-tuning")]
    measured = (
        f"{percent(chosen['recalled'])} of chosen answers, {percent(read['recalled'])} of texts"
        " read as often at that rate"
    )
    spread = f"95 %: {percent(chosen['recalled_low'])} to {percent(chosen['recalled_high'])}"
    if read["recalled"] < 0.1:
        return Measured(measured, OPEN, "at that rate reading plants hardly a text either")
    share = chosen["recalled"] / read["recalled"]
    return Measured(
        measured, REPLICATES if share <= 0.2 else PART if share <= 0.5 else FAILS, spread
    )


def _retentive(result: Result) -> Measured:
    found = result.findings["tasks"]
    low, high = map(float, found.interval or (0.0, 0.0))
    value = found.values["difference"]
    return Measured(
        f"{100 * value:+.1f} points of what was learned".replace("-", "−"),
        REPLICATES if low > 0 else FAILS if high < 0 else OPEN,
        f"95 % over texts: {100 * low:+.1f} to {100 * high:+.1f}".replace("-", "−"),
    )


_GROUP = "Stages and tasks"
CLAIMS = [
    Claim("Memories of fine-tuning mostly survive preference tuning",
          "code RLHF (2406.11715): mostly", _survive, _GROUP, "stage_survival"),
    Claim("Preference data are hardly memorized", "code RLHF (2406.11715): hardly ever", _hardly,
          _GROUP, "stage_survival"),
    Claim("A pre-trained model forgets less of task after task than random weights do",
          "Retentive or Forgetful (2305.09144)", _retentive, _GROUP, "retention_matrix"),
]  # fmt: skip

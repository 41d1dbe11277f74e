"""The tab of a run over several seeds; every analysis has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.views.view import View
from workbench.views.words import chart, finding, says, table

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def _often(run: Result) -> pd.DataFrame:
    table = run.tables["seed_choices"]
    title = table["choice"].str.capitalize() + ": chosen by how many of " + table["of"].map(str)
    return table.assign(title=title + " runs").groupby("choice", sort=False).head(20)


OVER_SEEDS = View("Seeds", needs="seed_findings", parts=[
    finding("seeds"),
    chart(
        "labelled_bars", _often, "item", "runs", per="title", said="{:.0f}", needs="seed_choices",
    ),
    says(
        "Every number under every seed: the interval over seeds beside the one that the first run"
        " gives over its items. Where the first is much wider, one run says too much.", small=True,
    ),
    table("seed_findings", "Numbers over the seeds"),
    table("seed_choices", "Choices over the seeds"),
])  # fmt: skip

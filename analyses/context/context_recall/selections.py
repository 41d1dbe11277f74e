"""What is looked at of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analyses.context.context_recall.constants import (
    INTACT,
    OUTCOME_WORDS,
    RANDOM,
    THRESHOLD,
)
from analyses.context.context_recall.findings import FACTOR_WORDS, in_order, task_name
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick


def map_cells(table: str) -> Callable[[Result], pd.DataFrame]:
    """A map of a table of cells, in percent, the shortest texts first."""

    def cells(run: Result) -> pd.DataFrame:
        rows = run.tables[table].sort_values(["depth", "length"])
        return rows.assign(
            depth=[percent(d) for d in rows["depth"]],
            length=[f"{n:,}" for n in rows["length"]],
            found=100 * rows["rate"],
            said=100 * rows["exact"],
        )

    return cells


def cell_options(run: Result) -> dict[str, str]:
    """Cells of the map, the worst first."""
    rows = run.tables["cells"].sort_values(["rate", "logprob"])
    return {
        f"{row.length:,} tokens, depth {percent(row.depth)}: {100 * row.rate:.0f} of 100": (
            f"{row.length}/{row.depth:.6f}"
        )
        for row in rows.itertuples()
    }


def of_cell(run: Result, pick: Pick) -> pd.DataFrame:
    """The questions of the chosen cell."""
    length, depth = str(pick["cell"]).split("/")
    rows = run.tables["needles"]
    here = (rows["length"] == int(length)) & ((rows["depth"] - float(depth)).abs() < 1e-5)
    return rows[here & (rows["task"] == "needle")]


def in_words(rows: pd.DataFrame) -> list[str]:
    """What was read and said, a sentence for each question."""
    return [
        f"“… {row.evidence} …” {quoted(row.ask)} → “{row.choice}”"
        f" ({OUTCOME_WORDS[row.outcome]}; the text says “{row.answer}”, without it the model says"
        f" “{row.closed_book}”)."
        for row in rows.itertuples()
    ]


def factors(table: str) -> Callable[[Result], pd.DataFrame]:
    """Shares of the variance, the largest first, in words."""

    def rows(run: Result) -> pd.DataFrame:
        found = in_order(run.tables[table])
        words = [FACTOR_WORDS[name] for name in found["factor"]]
        return found.assign(what=words, of="explained", mean=100 * found["share"],
                            low=100 * found["low"], high=100 * found["high"])  # fmt: skip

    return rows


def controls(run: Result) -> pd.DataFrame:
    """Both rates of the controls, with their intervals."""
    rows = run.tables["controls"]
    return rows.assign(
        likeliest=rows["rate"], likeliest_low=rows["low"], likeliest_high=rows["high"],
        said=rows["exact"], said_low=rows["exact_low"], said_high=rows["exact_high"],
    )  # fmt: skip


def confusion(run: Result) -> pd.DataFrame:
    """Which place's word is taken for which, in percent."""
    frame = run.arrays["intrusions"].to_series().rename("share").reset_index()
    return frame.assign(percent=100 * frame["share"])


def chance(run: Result) -> float:
    """A guess among the candidates of a list."""
    n = int(run.tables["position"]["position"].max())
    return 1 / (n + min(n, 8))


def level(run: Result) -> dict[str, float]:
    """The line of a guess."""
    return {"a guess": chance(run)}


def by_distance(run: Result) -> pd.DataFrame:
    """Recall by items between, a curve for each amount of neutral text."""
    rows = run.tables["distance"]
    return rows.assign(between=[f"{n} tokens" for n in rows["neutral"]])


def coefficients(run: Result) -> pd.DataFrame:
    """What changes the log-odds of recall."""
    rows = run.tables["distance_fit"]
    return rows[rows["what"] != "constant"].assign(of="log-odds")


def competition(run: Result) -> pd.DataFrame:
    """The table of competing pairs, as narrow as its place."""
    return run.tables["competition"].drop(columns=["exact", "logprob"])


def competing(run: Result) -> pd.DataFrame:
    """Competing pairs, each beside its control."""
    rows = run.tables["competition"]
    names = [f"{row.kind}: {row.condition}" for row in rows.itertuples()]
    return rows.assign(
        name=names, right=rows["rate"], right_low=rows["low"], right_high=rows["high"],
        partners=rows["partner"].fillna(0.0),
    )  # fmt: skip


def tasks(run: Result) -> pd.DataFrame:
    """Further tasks beside a guess."""
    rows = run.tables["tasks"]
    names = [task_name(row) for row in rows.itertuples()]
    return rows.assign(name=names, right=rows["rate"], right_low=rows["low"],
                       right_high=rows["high"])  # fmt: skip


def roles(run: Result) -> dict[tuple[int, int], str]:
    """Heads that are outlined: retrieval heads."""
    rows = run.tables["heads"]
    above = rows[rows["retrieval"] > THRESHOLD]
    return {
        (int(layer), int(head)): "retrieval head"
        for layer, head in zip(above["layer"], above["head"], strict=True)
    }


def without_heads(run: Result, task: str) -> pd.DataFrame:
    """Recall of one task by how many heads are off; random ones as mean and band."""
    import pandas as pd

    rows = run.tables["ablation"]
    rows = rows[rows["task"] == task]
    own = rows[rows["off"] == INTACT].iloc[0]
    found = []
    for off, part in rows[rows["off"] != INTACT].groupby("off", sort=False):
        found.append((off, 0, own["rate"], own["rate"], own["rate"]))
        for count, each in part.groupby("count"):
            ends = (
                (each["rate"].min(), each["rate"].max())
                if off == RANDOM
                else (each["low"].iloc[0], each["high"].iloc[0])
            )
            found.append((off, int(count), each["rate"].mean(), *ends))
    return pd.DataFrame(found, columns=["off", "count", "rate", "low", "high"])


def head_choices(run: Result) -> list[str]:
    """The heads that were found, for `--seeds`."""
    return [f"L{layer}H{head}" for layer, head in roles(run)]


CHOICES = {"retrieval heads": head_choices}

"""What the curves of a run are drawn from: coverage, losses, along training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analyses.features.function_tokens.coverage import CURVES
from analyses.features.function_tokens.selections import percent
from analyses.features.function_tokens.transitions import MEASURES

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
from analyses.features.function_tokens.selections import places


def what_was_read(result: Result) -> str:
    return " ".join(f"{name}: {said}." for name, said in result.provenance.notes.items())


def coverage_curves(result: Result) -> pd.DataFrame:
    """The table `coverage` in percent, with what it is of each place in words (column where)."""
    table, tokens = result.tables["coverage"], int(result.findings["list"].values["tokens"])
    title = ": features that the most frequent tokens reach"
    return percent(
        table.assign(where=table["at"] + f"{title} ({tokens} are function tokens)"), *CURVES
    )


def coverage_by_share(result: Result) -> pd.DataFrame | None:
    """Coverage for other shares of the text, in percent, where a run asked for some."""
    table, columns = result.tables.get("shares"), ("features", "content", "equal", "content_equal")
    return None if table is None else percent(table, "share", *columns)


def untrained(result: Result) -> pd.DataFrame | None:
    table = result.tables.get("untrained")
    return None if table is None else percent(table, "features", "random", "untrained")


def again(result: Result) -> pd.DataFrame | None:
    """What is active again, above chance and in percent: columns at, distance, function,
    content.
    """
    table = result.tables.get("again")
    if table is None:
        return None
    wide = 100 * table.pivot(index=["at", "distance"], columns="class", values="more")
    return wide.loc[places(result)].reset_index()


def by_condition(result: Result, name: str, named: Mapping[str, str]) -> pd.DataFrame | None:
    """A table of means over facts, conditions in words, with the wordings' examples (column
    example, its end where it is long).
    """
    table = result.tables.get(name)
    if table is None:
        return None
    lines = {
        row.wording: " ".join(row.example.split()) for row in result.tables["wordings"].itertuples()
    }
    short = {w: line if len(line) <= 60 else "…" + line[-59:] for w, line in lines.items()}
    return table.assign(
        condition=table["condition"].map(named), example=table["wording"].map(short)
    )


def losses(result: Result) -> pd.DataFrame:
    """Loss by transition with its 95 % interval (mean, low, high), measures in words."""
    table = result.tables["transitions"]
    half = 1.96 * table["error"]
    bounds = {"mean": table["loss"], "low": table["loss"] - half, "high": table["loss"] + half}
    return table.assign(**bounds, measure=table["measure"].map(MEASURES))


def listed_losses(result: Result) -> pd.DataFrame:
    table = result.tables["transitions"]
    shares = 100 * table["n"] / table.groupby("measure")["n"].transform("sum")
    return table.assign(**{"share of tokens, %": shares})


def along_training(result: Result) -> pd.DataFrame | None:
    """Losses at the steps of a training: columns model (its name), step, each group, and GROUP,
    trigrams.
    """
    if "training" not in result.tables:
        return None
    table = result.tables["training"].pivot(
        index="step", columns=["measure", "group"], values="loss"
    )
    both = table["model"].join(table["trigram"].add_suffix(", trigrams")).interpolate()
    return both.reset_index().assign(model=result.params.get("training", "a model"))


def alive(result: Result) -> pd.DataFrame | None:
    """Features alive at the steps of a training, and whose edges they are, in percent."""
    table = result.tables.get("alive")
    if table is None:
        return None
    shares = table.assign(alive=table["alive"] / table["width"])
    return percent(shares, "alive", "function_edges", "mixed_edges")


def along_means(result: Result) -> pd.DataFrame | None:
    """What steering at one token after another moves, over facts: columns wording, at, where, mean,
    low, high (95 %), n; of wordings with three tokens or more.
    """
    import pandas as pd

    from analyses.measures.statistics import mean_interval

    if "along" not in result.tables:
        return None
    rows = []
    for wording, mine in result.tables["along"].groupby("wording", sort=False):
        if mine["pos"].nunique() < 3:
            continue
        for (at, pos), some in mine.groupby(["at", "pos"], sort=False):
            token = some["token"].mode().iloc[0] if some["token"].nunique() == 1 else "subject"
            mean, (low, high) = mean_interval(some["moved"].to_numpy())
            where = f"{pos}: “{token}” ({some['class'].mode().iloc[0]})"
            rows.append((wording, at, where, mean, low, high, len(some)))
    return pd.DataFrame(rows, columns=["wording", "at", "where", "mean", "low", "high", "n"])

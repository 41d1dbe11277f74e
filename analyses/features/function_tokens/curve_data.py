"""What the curves of a run are drawn from: coverage, losses, along training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analyses.features.function_tokens.constants import ABLATIONS, CURVES, MEASURES, STEERINGS
from analyses.features.function_tokens.selections import in_percent, places
from workbench.wording import quoted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def what_was_read(result: Result) -> str:
    return " ".join(f"{name}: {text}." for name, text in result.provenance.notes.items())


def coverage_curves(result: Result) -> pd.DataFrame:
    """The table `coverage` in percent, with what it is of each place in words (column where)."""
    table, tokens = (
        result.tables["coverage"],
        int(result.findings["function_tokens"].values["n_types"]),
    )
    title = ": features that the most frequent tokens activate"
    return in_percent(
        table.assign(where=table["sae"] + f"{title} ({tokens} are function tokens)"), *CURVES
    )


def coverage_by_share(result: Result) -> pd.DataFrame | None:
    """Coverage for other shares of the text, in percent, where a run asked for some."""
    table, columns = (
        result.tables.get("coverage_by_share"),
        ("coverage", "content", "matched", "content_matched"),
    )
    return None if table is None else in_percent(table, "function_share", *columns)


def untrained(result: Result) -> pd.DataFrame | None:
    table = result.tables.get("untrained")
    return (
        None
        if table is None
        else in_percent(table, "coverage", "random_directions", "untrained_directions")
    )


def reactivation(result: Result) -> pd.DataFrame | None:
    """What is active again, above chance and in percent: columns sae, distance, function,
    content.
    """
    table = result.tables.get("reactivation")
    if table is None:
        return None
    wide = 100 * table.pivot(index=["sae", "distance"], columns="class", values="above_baseline")
    return wide.loc[places(result)].reset_index()


def _by_condition(
    result: Result, name: str, value: str, named: Mapping[str, str]
) -> pd.DataFrame | None:
    """A table of means over facts: their column as mean, low and high, conditions in words, and the
    wordings' examples (column example, its end where it is long).
    """
    table = result.tables.get(name)
    if table is None:
        return None
    lines = {
        row.wording: " ".join(row.example.split()) for row in result.tables["wordings"].itertuples()
    }
    short = {w: line if len(line) <= 60 else "…" + line[-59:] for w, line in lines.items()}
    plain = {value: "mean", f"{value}_low": "low", f"{value}_high": "high"}
    return table.rename(columns=plain).assign(
        condition=table["condition"].map(named), example=table["wording"].map(short)
    )


def ablation_means(result: Result) -> pd.DataFrame | None:
    return _by_condition(result, "ablation_means", "logprob_drop", ABLATIONS)


def steering_means(result: Result) -> pd.DataFrame | None:
    return _by_condition(result, "steering_means", "logit_diff_change", STEERINGS)


def losses(result: Result) -> pd.DataFrame | None:
    """Loss by transition with its 95 % interval (mean, low, high), measures in words."""
    table = result.tables.get("transitions")
    if table is None:
        return None
    half = 1.96 * table["standard_error"]
    bounds = {"mean": table["loss"], "low": table["loss"] - half, "high": table["loss"] + half}
    return table.assign(**bounds, predictor=table["predictor"].map(MEASURES))


def listed_losses(result: Result) -> pd.DataFrame | None:
    table = result.tables.get("transitions")
    if table is None:
        return None
    shares = 100 * table["n"] / table.groupby("predictor")["n"].transform("sum")
    return table.assign(**{"share of tokens, %": shares})


def along_training(result: Result) -> pd.DataFrame | None:
    """Losses at the steps of a training: columns model (its name), step, each group, and GROUP,
    trigrams.
    """
    if "training_losses" not in result.tables:
        return None
    table = result.tables["training_losses"].pivot(
        index="step", columns=["predictor", "transition"], values="loss"
    )
    both = table["model"].join(table["trigram"].add_suffix(", trigrams")).interpolate()
    return both.reset_index().assign(model=result.params.get("training", "a model"))


def alive(result: Result) -> pd.DataFrame | None:
    """Features alive at the steps of a training, and whose edges they are, in percent."""
    table = result.tables.get("live_features")
    if table is None:
        return None
    shares = table.assign(alive=table["n_alive"] / table["d_sae"])
    return in_percent(shares, "alive", "function_edge_share", "shuffled_edge_share")


def means_by_position(result: Result) -> pd.DataFrame | None:
    """Change of the logit difference by steering at one token after another, over facts.

    Columns wording, sae, where, mean, low, high (95 %), n; of wordings with three tokens or more.
    """
    import pandas as pd

    from analyses.measures.statistics import mean_interval

    if "steering_by_position" not in result.tables:
        return None
    rows = []
    for wording, wording_rows in result.tables["steering_by_position"].groupby(
        "wording", sort=False
    ):
        if wording_rows["pos"].nunique() < 3:
            continue
        for (at, pos), position_rows in wording_rows.groupby(["sae", "pos"], sort=False):
            token = (
                position_rows["token"].mode().iloc[0]
                if position_rows["token"].nunique() == 1
                else "subject"
            )
            mean, (low, high) = mean_interval(position_rows["logit_diff_change"].to_numpy())
            where = f"{pos}: {quoted(token)} ({position_rows['class'].mode().iloc[0]})"
            rows.append((wording, at, where, mean, low, high, len(position_rows)))
    return pd.DataFrame(rows, columns=["wording", "sae", "where", "mean", "low", "high", "n"])

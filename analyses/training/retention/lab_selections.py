"""What is looked at of the parts that train a small model many times."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

ONE_SEED = "there was one seed, so how far seeds differ is not known"
QUARTERS = ("0 to 25 %", "25 to 50 %", "50 to 75 %", "75 to 100 %")


def of_shorter(run: Result) -> pd.DataFrame:
    """Quarters of the shorter training, by readings."""
    table = run.tables["dose_timing"]
    rows = table[table["updates"] == table["updates"].min()]
    rows = rows[rows["window"].isin(QUARTERS)]
    return rows.assign(read=[f"quarter {1 + QUARTERS.index(window)}" for window in rows["window"]])


def by_length(run: Result) -> pd.DataFrame:
    """Means of all windows, by readings and length of the training."""
    table = run.tables["dose_timing"]
    mean = table.groupby(["updates", "readings"], as_index=False)["gain"].mean()
    return mean.assign(training=[f"{n:,} updates" for n in mean["updates"]])


def effects(run: Result) -> pd.DataFrame:
    """What number, time and length cause, as bars."""
    table = run.tables["dose_effects"]
    rows = table[table["measure"] == "gain"]
    return rows.assign(mean=rows["difference"], of="nats per token")


def remedies(run: Result) -> pd.DataFrame:
    """By piece, a curve for each way of reading and asking; without the oracle."""
    table = run.tables["access_remedies"]
    rows = table[table["asked"] != "passage given"]
    orders = {"as it stands": "plain", "in permuted copies": "permuted"}
    asked = {"cold": "cold", "after reciting": "recited first"}
    return rows.assign(curve=rows["order"].map(orders) + ", " + rows["asked"].map(asked))


def triples_by_readings(run: Result) -> pd.DataFrame:
    """Right answers by readings, a curve for each way of asking."""
    return run.tables["triples"].sort_values("readings")


def choices(run: Result) -> pd.DataFrame:
    """Of the texts that were read most: gain and what is left, a row for each batch and rate."""
    table = run.tables["training_choices"]
    rows = table[table["readings"] == table["readings"].max()]
    return rows.assign(trained=[f"rate {rate:g}" for rate in rows["rate"]])


def swept_sizes(table: pd.DataFrame) -> pd.DataFrame:
    """Of the sizes that were trained on repeated data, without the ladder of clean trainings."""
    return table.groupby("width").filter(lambda rows: rows["repeats"].max() > 1)


def seeds_apart(table: pd.DataFrame) -> float | None:
    """By how much the loss of two seeds differs at most, in a size and number of repeats; None
    where there was one seed.
    """
    if table["seed"].nunique() < 2:
        return None
    losses = swept_sizes(table).groupby(["width", "repeats"])["loss"]
    return float((losses.max() - losses.min()).max())


def repeated(run: Result) -> pd.DataFrame:
    """Means of the seeds, of the sizes that were trained on repeated data."""
    swept = swept_sizes(run.tables["repeated_data"])
    mean = swept.groupby(["width", "repeats"], as_index=False).mean()
    return mean.assign(model=[f"{n / 1e6:.1f} million weights" for n in mean["weights"]])

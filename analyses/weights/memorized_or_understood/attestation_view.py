"""What the part `attestation` looks like."""

from __future__ import annotations

import pandas as pd

from analyses.weights.memorized_or_understood import attestation_schema as schema
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result


def _odds(run: Result) -> pd.DataFrame:
    """Of the model itself, as rows of an interval plot."""
    rates = run.tables["attestation_rates"]
    own = rates[rates["model"] == rates["model"].iloc[0]]
    named = own.drop(columns=["low", "high"])
    return named.rename(columns={"odds": "mean", "odds_low": "low", "odds_high": "high"})


def _hues(run: Result) -> dict[str, str]:
    """The model, and its twin in grey."""
    first, *others = run.tables["attestation_tests"]["model"].unique()
    return {first: colour.MEMORY, **dict.fromkeys(others, colour.OTHER)}


VIEWS = [
    v.View("Attestation", needs="attestation_tests", otherwise="too few facts are known, or too few"
           " are not, or the part `attestation` was not run", parts=[
        v.finding("attestation", "same_subject", "supported"),
        v.says(schema.ATTESTATION, small=True),
        v.row(
            v.chart("intervals", "attestation_tests", "test", "model", hues=_hues, zero=False,
                    title="What gets more of a yes (.5: neither)", unit="AUC"),
            v.chart("intervals", _odds, "kind", "premise", title="How far it leans to yes",
                    unit="ln yes over no"),
            widths=(420, 420),
        ),
        v.table("attestation_rates", "How often it says yes"),
        v.table("attestation", "All questions", order=["fact"]),
    ]),
]  # fmt: skip

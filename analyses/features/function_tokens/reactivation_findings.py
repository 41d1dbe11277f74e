"""What is active again, and what the answer loses without it: tables, findings, sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.features.function_tokens.facts import LIST, SENTENCE
from analyses.features.function_tokens.reactivation import ABLATIONS, STEERINGS
from workbench.result import Finding, Result

if TYPE_CHECKING:
    import pandas as pd

    from analyses.features.function_tokens.coverage import Types
    from hooks.model import InstrumentedModel


def add_prompts(result: Result, tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    result.tables["prompt_tokens"], result.tables["prompt_features"] = tables


def add_retrieval(
    result: Result, model: InstrumentedModel, measured: Mapping[str, pd.DataFrame], types: Types
) -> None:
    """Ablation and steering at the last token, with intervals over facts."""
    from analyses.measures.statistics import mean_interval

    result.tables |= measured
    wordings, along = result.tables["wordings"], result.tables["along"]
    last = wordings["last"].tolist()
    ends_in_function = types.is_function[last] & (wordings["wording"] != LIST).to_numpy()
    result.tables["wordings"] = wordings.assign(
        last=model.token_strings(last), function=ends_in_function
    )
    classes = np.where(types.is_function[along["id"].to_numpy()], "function", "content")
    result.tables["along"] = along.assign(
        token=model.token_strings(along["id"].tolist()), **{"class": classes}
    )

    ablated = result.tables["ablations"]
    result.tables["ablation_means"] = means(ablated, "loss", list(ABLATIONS))
    steered = result.tables["steerings"] = measured["steerings"].assign(
        moved=measured["steerings"]["after"] - measured["steerings"]["before"]
    )
    result.tables["steering_means"] = means(steered, "moved", list(STEERINGS)).merge(
        steered.groupby(["at", "wording", "condition"], as_index=False)[["answers", "first"]].mean()
    )
    values: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    said = []
    for label in dict.fromkeys(ablated["at"]):
        mine = ablated[(ablated["at"] == label) & (ablated["wording"] == SENTENCE)].pivot(
            index="fact", columns="condition", values="loss"
        )
        for other in ("others", "at subject"):
            against = mine["some" if other == "others" else "again"] - mine[other]
            key = value_key(f"against_{other.split()[-1]}", label)
            values[key], intervals[key] = mean_interval(against.to_numpy())
        said.append(
            f"{mine['again'].mean():+.2f} nats at the last token ({mine['at subject'].mean():+.2f}"
            f" at the subject; as many others there {mine['others'].mean():+.2f}, of the first as"
            f" many {mine['some'].mean():+.2f}; {label})"
        )
    n = int(ablated["fact"].nunique())
    result.add(
        Finding(
            "ablation",
            values,
            f"Switching off what of the subject is active again costs the answer of {n} facts:"
            f" {'; '.join(said)}.",
            unit=(
                "nats of ln p(answer): re-activated features less others, and less the same at the"
                " subject"
            ),
            interval=intervals,
        )
    )
    add_steering(result, n)


def add_steering(result: Result, n: int) -> None:
    means = result.tables["steering_means"]
    values: dict[str, float] = {}
    said = []
    for label in dict.fromkeys(means["at"]):
        parts = []
        for wording in dict.fromkeys(means["wording"]):
            mine = means[(means["at"] == label) & (means["wording"] == wording)].set_index(
                "condition"
            )
            for condition in ("last", "subject", "random"):
                values[value_key(f"{wording}_{condition}", label)] = float(
                    mine.loc[condition, "answers"]
                )
            parts.append(
                f"{mine.loc['last', 'answers']:.0%} ({wording}; random"
                f" {mine.loc['random', 'answers']:.0%})"
            )
        said.append(f"{label}: {', '.join(parts)}")
    result.add(
        Finding(
            "steering",
            values,
            "Set to another subject's features at the last token, the other answer becomes"
            f" likelier than the own one in so many of {n} facts: {'; '.join(said)}. In the wording"
            f" `{LIST}` the last token is the subject, no function token.",
            unit="share of facts",
        )
    )


def means(table: pd.DataFrame, value: str, conditions: Sequence[str]) -> pd.DataFrame:
    """Mean over facts with its 95 % interval, by place, wording and condition (in this order)."""
    import pandas as pd

    from analyses.measures.statistics import mean_interval

    rows: list[dict[str, Any]] = []
    for (at, wording, condition), part in table.groupby(["at", "wording", "condition"], sort=False):
        mean, (low, high) = mean_interval(part[value].to_numpy())
        rows.append(
            {
                "at": at,
                "wording": wording,
                "condition": condition,
                "mean": mean,
                "low": low,
                "high": high,
                "features": part["features"].mean(),
                "n": len(part),
            }
        )
    found = pd.DataFrame(rows)
    # Places and wordings as they come, conditions as they are listed.
    order = [list(dict.fromkeys(table[column])) for column in ("at", "wording")] + [
        list(conditions)
    ]
    places = [
        [values.index(v) for v in found[c]]
        for c, values in zip(("at", "wording", "condition"), order, strict=True)
    ]
    return found.iloc[np.lexsort(places[::-1])].reset_index(drop=True)


def range_of(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{100 * low:.0f} to {high:.0%}"


def value_key(name: str, label: str) -> str:
    """A name for a number of a finding."""
    plain = "".join(c if c.isalnum() else "_" for c in label.replace("→", "to")).strip("_")
    return f"{name}_{plain}"

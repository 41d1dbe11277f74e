"""What is active again, and what the answer loses without it: tables, findings, sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.features.function_tokens.constants import ABLATIONS, LIST, SENTENCE, STEERINGS
from workbench.result import Finding, Result
from workbench.wording import counted, percent

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
    wordings, along = result.tables["wordings"], result.tables["steering_by_position"]
    last = wordings["last_token"].tolist()
    ends_in_function = types.is_function[last] & (wordings["wording"] != LIST).to_numpy()
    result.tables["wordings"] = wordings.assign(
        last_token=model.token_strings(last), last_is_function=ends_in_function
    )
    classes = np.where(types.is_function[along["id"].to_numpy()], "function", "content")
    result.tables["steering_by_position"] = along.assign(
        token=model.token_strings(along["id"].tolist()), **{"class": classes}
    )

    ablated = result.tables["ablations"]
    result.tables["ablation_means"] = means(ablated, "logprob_drop", list(ABLATIONS))
    steered = result.tables["steerings"] = measured["steerings"].assign(
        logit_diff_change=measured["steerings"]["logit_diff_after"]
        - measured["steerings"]["logit_diff_before"]
    )
    result.tables["steering_means"] = means(steered, "logit_diff_change", list(STEERINGS)).merge(
        steered.groupby(["sae", "wording", "condition"], as_index=False)[
            ["flipped", "top_answer"]
        ].mean()
    )
    values: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    texts = []
    for label in dict.fromkeys(ablated["sae"]):
        rows = ablated[(ablated["sae"] == label) & (ablated["wording"] == SENTENCE)].pivot(
            index="fact", columns="condition", values="logprob_drop"
        )
        for other in ("others", "reactivated_at_subject"):
            against = (
                rows["reactivated_subset" if other == "others" else "reactivated"] - rows[other]
            )
            key = value_key(f"drop_vs_{other.split('_')[-1]}", label)
            values[key], intervals[key] = mean_interval(against.to_numpy())
        texts.append(
            f"{label}: {rows['reactivated'].mean():+.2f} nats at the last token (at the subject"
            f" {rows['reactivated_at_subject'].mean():+.2f}; as many other features at the last"
            f" token {rows['others'].mean():+.2f}, an equal number of reactivated ones"
            f" {rows['reactivated_subset'].mean():+.2f})"
        )
    n = int(ablated["fact"].nunique())
    result.add(
        Finding(
            "ablation",
            values,
            "Zero ablation of the subject's reactivated features: drop of the answer's"
            f" log-probability, mean over {counted(n, 'fact')}. {'; '.join(texts)}.",
            unit=(
                "nats of ln p(answer): reactivated features less others, and less the same at the"
                " subject"
            ),
            interval=intervals,
        )
    )
    add_steering(result, n)


def add_steering(result: Result, n: int) -> None:
    means = result.tables["steering_means"]
    values: dict[str, float] = {}
    texts = []
    for label in dict.fromkeys(means["sae"]):
        parts = []
        for wording in dict.fromkeys(means["wording"]):
            rows = means[(means["sae"] == label) & (means["wording"] == wording)].set_index(
                "condition"
            )
            for condition in ("last", "subject", "random"):
                values[value_key(f"{wording}_{condition}", label)] = float(
                    rows.loc[condition, "flipped"]
                )
            parts.append(
                f"{percent(rows.loc['last', 'flipped'])} ({wording}; random features"
                f" {percent(rows.loc['random', 'flipped'])})"
            )
        texts.append(f"{label}: {', '.join(parts)}")
    result.add(
        Finding(
            "steering",
            values,
            "The features at the last token are set to another subject's values. Share of"
            f" {counted(n, 'fact')} in which that subject's answer becomes likelier than the fact's"
            f" own: {'; '.join(texts)}. In the wording `{LIST}` the last token is the subject and"
            " not a function token.",
            unit="share of facts",
        )
    )


def means(table: pd.DataFrame, value: str, conditions: Sequence[str]) -> pd.DataFrame:
    """Mean over facts with its 95 % interval, by place, wording and condition (in this order)."""
    import pandas as pd

    from analyses.measures.statistics import mean_interval

    rows: list[dict[str, Any]] = []
    for (at, wording, condition), part in table.groupby(
        ["sae", "wording", "condition"], sort=False
    ):
        mean, (low, high) = mean_interval(part[value].to_numpy())
        rows.append(
            {
                "sae": at,
                "wording": wording,
                "condition": condition,
                value: mean,
                f"{value}_low": low,
                f"{value}_high": high,
                "n_features": part["n_features"].mean(),
                "n": len(part),
            }
        )
    found = pd.DataFrame(rows)
    # Places and wordings as they come, conditions as they are listed.
    order = [list(dict.fromkeys(table[column])) for column in ("sae", "wording")] + [
        list(conditions)
    ]
    places = [
        [values.index(v) for v in found[c]]
        for c, values in zip(("sae", "wording", "condition"), order, strict=True)
    ]
    return found.iloc[np.lexsort(places[::-1])].reset_index(drop=True)


def range_of(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    first, last = percent(low), percent(high)
    return first if first == last else f"{first} to {last}"


def value_key(name: str, label: str) -> str:
    """A name for a number of a finding."""
    plain = "".join(c if c.isalnum() else "_" for c in label.replace("→", "to")).strip("_")
    return f"{name}_{plain}"

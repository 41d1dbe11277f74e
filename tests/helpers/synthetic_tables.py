"""Tables and arrays of a knowledge-conflict run, of structured random numbers, as the analysis
shapes them.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.selection import head_name

PLACES = [
    "Japan",
    "France",
    "Kenya",
    "Peru",
    "Norway",
    "Egypt",
    "Chile",
    "Nepal",
    "Cuba",
    "Ghana",
    "Italy",
    "Oman",
    "Iraq",
    "Fiji",
]
SPANS = ("subject", "context answer", "question")


def facts_table(rng: np.random.Generator, n: int, bad: Any) -> pd.DataFrame:
    """One row a fact: what is asked, what is said, how likely both answers are. `bad` is what is
    done to every string that could come from a stranger.
    """
    rows = []
    for i in range(n):
        place, other = PLACES[i % len(PLACES)], PLACES[(i + 3) % len(PLACES)]
        memory, context = rng.dirichlet([2, 2, 1])[:2]
        outcome = "memory" if memory > context else "context"
        outcome = "other" if i % 9 == 8 else outcome
        rows.append(
            {
                "fact": i,
                "subject": bad(place),
                "answer": bad(f"{place} City"),
                "counterfactual": bad(f"{other} City"),
                "split": "select" if i < n // 2 else "held_out",
                "prompt": bad(
                    f"The capital of {place} is {other} City.\nQuestion: What is the capital of"
                    f" {place}?\nAnswer:"
                ),
                "generated": bad(f" {place if outcome == 'memory' else other} City."),
                "outcome": outcome,
                "p_memory": memory,
                "p_context": context,
                "logp_memory": float(np.log(memory)) - 0.3,
                "logp_context": float(np.log(context)) - 0.2,
            }
        )
    return pd.DataFrame(rows)


def effects_array(rng: np.random.Generator, n: int, layers: int, heads: int) -> xr.DataArray:
    """(fact, method, answer, layer, head), nats; two heads stand out."""
    ramp = np.linspace(0.02, 0.2, layers)[:, None]
    values = rng.normal(0, 1, (n, 4, 2, layers, heads)) * ramp
    values[:, :, 0, layers - 2, 1 % heads] += 2.2  # the memory head
    values[:, :, 1, layers - 2, 1 % heads] -= 0.6
    values[:, :, 1, max(layers - 4, 0), 0] += 1.8  # the context head
    values[:, :, 0, max(layers - 4, 0), 0] -= 0.4
    return xr.DataArray(
        values[:, [0, 2, 3]].astype("float32"),
        dims=("fact", "method", "answer", "layer", "head"),
        coords={
            "fact": np.arange(n),
            "method": ["path", "zero", "mean"],
            "answer": ["memory", "context"],
            "layer": np.arange(layers),
            "head": np.arange(heads),
        },
        name="effects",
    )


def heads_table(rng: np.random.Generator, effects: xr.DataArray) -> pd.DataFrame:
    """One row a head: means of `effects`, its share of attention, and its role."""
    mean = effects.mean("fact")
    difference = effects.sel({"method": "path", "answer": "memory"}) - effects.sel(
        {"method": "path", "answer": "context"}
    )
    spread = 1.96 * difference.std("fact") / np.sqrt(max(effects.sizes["fact"], 1))
    rows = []
    for layer, head in itertools.product(
        range(effects.sizes["layer"]), range(effects.sizes["head"])
    ):
        at = mean.sel(layer=layer, head=head)
        middle, half = float(difference.mean("fact")[layer, head]), float(spread[layer, head])
        row: dict[str, Any] = {
            "layer": layer,
            "head": head,
            "label": head_name(layer, head),
            "effect_memory": float(at.sel({"method": "path", "answer": "memory"})),
            "effect_context": float(at.sel({"method": "path", "answer": "context"})),
            "effect_difference": middle,
            "effect_difference_low": middle - half,
            "effect_difference_high": middle + half,
        }
        for method in ("zero", "mean"):
            for answer in ("memory", "context"):
                row[f"{method}_{answer}"] = float(at.sel({"method": method, "answer": answer}))
        no_candidate = np.nan
        row |= {f"zero_all_positions_{answer}": no_candidate for answer in ("memory", "context")}
        shares = rng.dirichlet([1, 1, 1, 2])
        row |= {
            f"attends_{span.replace(' ', '_')}": share
            for span, share in zip(SPANS, shares, strict=False)
        }
        rows.append(row)
    table = pd.DataFrame(rows)
    table["role"], table["rank"], table["score"] = "", np.nan, table["effect_difference"]
    by_effect = table["effect_difference"].sort_values(ascending=False).index
    for role, order in (("memory", by_effect[:3]), ("context", by_effect[::-1][:5])):
        for rank, index in enumerate(order, 1):
            table.loc[index, ["role", "rank"]] = [role, rank]
    return table


def tokens_table(facts: pd.DataFrame) -> pd.DataFrame:
    """One row a token of each prompt, words for tokens, with the span it belongs to."""
    rows = []
    for fact in facts.itertuples():
        line = 0
        for pos, word in enumerate(str(fact.prompt).replace("\n", " \n ").split(" ")):
            line += word == "\n"
            token = word if word == "\n" or pos == 0 else f" {word}"
            span = "question" if line else "context"
            place = str(fact.subject).split(" ", 1)[0]
            if word.startswith(place):
                span = "subject"
            elif line == 0 and (
                word.startswith("City")
                or word.startswith(str(fact.counterfactual).split(" ", 1)[0])
            ):
                span = "context answer"
            rows.append(
                {
                    "fact": fact.fact,
                    "pos": pos,
                    "token": token,
                    "span": "" if word == "\n" else span,
                }
            )
    return pd.DataFrame(rows)


def attention_array(
    rng: np.random.Generator, facts: pd.DataFrame, tokens: pd.DataFrame, layers: int, heads: int
) -> xr.DataArray:
    """(fact, layer, head, pos): the attention of the last token; zero behind a prompt's end."""
    lengths = tokens.groupby("fact").size()
    values = np.zeros((len(facts), layers, heads, int(lengths.max())), dtype="float16")
    for i, length in enumerate(lengths):
        values[i, :, :, :length] = rng.dirichlet(np.full(length, 0.3), (layers, heads))
    return xr.DataArray(
        values,
        dims=("fact", "layer", "head", "pos"),
        coords={
            "fact": facts["fact"].to_numpy(),
            "layer": np.arange(layers),
            "head": np.arange(heads),
        },
        name="attention",
    )


def depth_array(rng: np.random.Generator, layers: int) -> xr.DataArray:
    """(component, answer, layer), nats."""
    ramp = np.linspace(0.02, 0.4, layers)
    return xr.DataArray(
        (rng.normal(0.3, 1, (2, 2, layers)) * ramp).astype("float32"),
        dims=("component", "answer", "layer"),
        coords={
            "component": ["attention", "mlp"],
            "answer": ["memory", "context"],
            "layer": np.arange(layers),
        },
        name="depth",
    )


def _bounded(word: str, rate: float) -> dict[str, float]:
    return {
        word: rate,
        f"{word}_first_token": rate,
        f"{word}_low": max(rate - 0.15, 0),
        f"{word}_high": min(rate + 0.15, 1),
    }


def rates_tables(rng: np.random.Generator, n_facts: int) -> dict[str, pd.DataFrame]:
    """The tables of rates, random sets, numbers of heads, dial and cost, by their names."""
    conditions = {
        "no intervention": (0.4, 0.5),
        "prune context heads": (0.88, 0.05),
        "prune memory heads": (0.02, 0.95),
        "random heads (same number)": (0.42, 0.47),
    }
    rates = []
    for split, (condition, (memory, context)) in itertools.product(
        ("select", "held_out"), conditions.items()
    ):
        row: dict[str, Any] = {"condition": condition, "split": split, "n": n_facts // 2}
        for word, rate in (
            ("memory", memory),
            ("context", context),
            ("other", 1 - memory - context),
        ):
            row |= _bounded(word, rate)
        rates.append(row)
    sets = []
    for group, k in (("context", 5), ("memory", 3)):
        for i in range(20):
            memory = float(np.clip(rng.normal(0.42, 0.08), 0, 0.9))
            sets.append(
                {
                    "group": group,
                    "k": k,
                    "set": i,
                    "heads": "L1H2 L3H0 L2H1",
                    "memory": memory,
                    "context": 0.9 - memory,
                    "other": 0.1,
                    "n": n_facts // 2,
                }
            )
    curve = [
        {
            "rank_by": "zero_all_positions",
            "group": group,
            "k": k,
            "heads": "L1H2 L3H0 L2H1",
            **_bounded("memory", m),
            **_bounded("context", 0.95 - m),
            **_bounded("other", 0.05),
            "n": n_facts // 2,
        }
        for group, toward in (("context", 0.9), ("memory", 0.03))
        for k in (0, 1, 3, 5, 7, 9, 15)
        for m in [toward + (0.4 - toward) * float(np.exp(-k / 2))]
    ]
    dial = [
        {
            "value": v,
            "memory": m,
            "context": 0.95 - m,
            "other": 0.05,
            "p_memory": 0.8 * m,
            "p_context": 0.8 * (0.95 - m),
            "n": n_facts // 2,
        }
        for v in np.linspace(-1, 1, 9)
        for m in [0.9 / (1 + float(np.exp(4 * v)))]
    ]
    cost = [
        {"condition": "no intervention", "closed_book": 1.0, "loss": 3.2},
        {"condition": "prune context heads", "closed_book": 0.96, "loss": 3.27},
        {"condition": "prune memory heads", "closed_book": 0.81, "loss": 3.25},
    ]
    return {
        "rates": pd.DataFrame(rates),
        "random_sets": pd.DataFrame(sets),
        "k_curve": pd.DataFrame(curve),
        "dial": pd.DataFrame(dial),
        "cost": pd.DataFrame(cost),
    }


def _gain(gain: float) -> dict[str, float]:
    return {"gain": gain, "gain_low": gain - 0.2, "gain_high": gain + 0.2}


def transfer_table(rng: np.random.Generator) -> pd.DataFrame:
    """Heads chosen on one relation or format, tried on another."""
    across_names = {
        "relation": ["capital", "continent", "currency"],
        "format": ["statement", "document", "dialogue", "instruction"],
    }
    rows = []
    for across, names in across_names.items():
        for selected, evaluated, group in itertools.product(names, names, ("context", "memory")):
            pull = rng.uniform(0.2, 0.5) if selected != evaluated else 0.5
            memory = 0.4 + pull if group == "context" else 0.4 - pull * 0.7
            rows.append(
                {
                    "across": across,
                    "selected_on": selected,
                    "evaluated_on": evaluated,
                    "group": group,
                    "k": 5 if group == "context" else 3,
                    "memory": memory,
                    "context": 0.95 - memory,
                    "other": 0.05,
                    "base_memory": 0.4,
                    "base_context": 0.5,
                    "base_other": 0.1,
                    "n": 20,
                    **_gain(memory - 0.4 if group == "context" else 0.45 - memory),
                }
            )
    return pd.DataFrame(rows)

"""A knowledge-conflict Result made of structured random numbers: what the front ends are tested
on without a model.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.result import Finding, Provenance, Result
from workbench.selection import head_name

HOSTILE = (
    "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'></script>$$x^2$$"
    " {{7*7}} \"'"
)
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


def synthetic_result(
    n_facts: int = 12,
    n_layers: int = 6,
    n_heads: int = 4,
    hostile: bool = False,
    transfer: bool = True,
    seed: int = 0,
) -> Result:
    """A whole result, shaped exactly as the analysis makes it.

    The strongest memory head is in the last but one layer, the strongest context head two layers
    earlier.

    Args:
        hostile: every string that could come from a stranger carries markup that tries to run a
            script.
        transfer: with the optional cross-relation table.
    """
    rng = np.random.default_rng(seed)
    bad = (lambda text: f"{text} {HOSTILE}") if hostile else (lambda text: text)
    facts = _facts(rng, n_facts, bad)
    effects = _effects(rng, n_facts // 2, n_layers, n_heads)
    heads = _heads(rng, effects)
    tokens = _tokens(facts)
    tables: dict[str, pd.DataFrame] = {
        "candidates": pd.DataFrame(
            {
                "subject": [bad(p) for p in PLACES],
                "answer": [bad(f"{p} City") for p in PLACES],
                "generated": [bad(f" {p} City.\nIt is") for p in PLACES],
                "known": [i % 3 != 0 for i in range(len(PLACES))],
                "first_token_correct": [i % 4 != 0 for i in range(len(PLACES))],
            }
        ),
        "facts": facts,
        "tokens": tokens,
        "heads": heads,
        **_rates(rng, n_facts),
    }
    if transfer:
        tables["transfer"] = _transfer(rng)
    half = n_facts - n_facts // 2
    result = Result(
        analysis="knowledge-conflict",
        question=(
            "When my context contradicts what the model knows, which does it follow, and which"
            " attention heads decide?"
        ),
        params={
            "relation": bad("capital"),
            "template": bad("Question: what is the capital of {subject}?"),
            "seed": seed,
            "random_sets": 20,
        },
        tables=tables,
        arrays={
            "effects": effects,
            "attention": _attention(rng, facts, tokens, n_layers, n_heads),
            "depth": _depth(rng, n_layers),
        },
        provenance=Provenance(
            model={
                "name": bad("toy-6l"),
                "architecture": bad("LlamaForCausalLM"),
                "n_layers": n_layers,
                "n_heads": n_heads,
                "n_kv_heads": 1,
                "d_model": 64,
                "d_head": 16,
                "d_vocab": 1000,
                "n_params": 134_515_008,
                "dtype": "float32",
                "device": "cpu",
                "weight_hash": "0123456789abcdef",
                "quantized_from": bad("Q4_1"),
            },
            seed=seed,
            versions={"python": "3.11.9", "torch": "2.6.0", "memory-workbench": "0.1.0"},
            started="2026-01-02T03:04:05+00:00",
            duration=123.4,
            machine="x86_64, 2 CPU threads",
            notes={"attention": bad("sdpa"), "bos": "none"},
        ),
    )
    result.add(
        Finding(
            "known",
            float(len(PLACES) - 5),
            bad(f"The model knows 9 of {len(PLACES)} facts closed-book."),
            unit="facts",
        ),
        _rate_finding(
            "base",
            (0.4, 0.5, 0.1),
            half,
            bad("Untouched, it follows its memory in 40\u00a0% and the context in 50\u00a0%."),
        ),
        _rate_finding(
            "prune_context",
            (0.88, 0.05, 0.07),
            half,
            bad("With 5 context heads off it follows its memory in 88\u00a0%."),
        ),
        _rate_finding(
            "prune_memory",
            (0.02, 0.95, 0.03),
            half,
            bad("With 3 memory heads off it follows the context in 95\u00a0%."),
        ),
        *(
            _rate_finding(
                f"random_for_{group}",
                rates,
                half,
                bad(
                    f"20 random sets of {k} heads give 42% {wins} on average; the {group} heads"
                    " beat 20 of them."
                ),
            )
            for group, k, wins, rates in (
                ("context", 5, "memory", (0.42, 0.48, 0.1)),
                ("memory", 3, "context", (0.48, 0.42, 0.1)),
            )
        ),
        _rate_finding(
            "random",
            (0.42, 0.47, 0.11),
            half,
            bad("With random heads off, on average 42 % memory and 47 % context."),
        ),
        Finding(
            "cost_context",
            {
                "closed_book_before": 1.0,
                "closed_book_after": 0.96,
                "loss_before": 3.2,
                "loss_after": 3.27,
            },
            bad(
                "Pruning the context heads costs 4 points of closed-book accuracy and 0.07 nats per"
                " token."
            ),
        ),
    )
    return result


def _rate_finding(name: str, rates: tuple[float, float, float], n: int, says: str) -> Finding:
    words = ("memory", "context", "other")
    spans = {
        word: (max(rate - 0.15, 0.0), min(rate + 0.15, 1.0))
        for word, rate in zip(words, rates, strict=True)
    }
    return Finding(
        name,
        {**dict(zip(words, rates, strict=True)), "n": n},
        says,
        unit="fraction of prompts",
        interval=spans,
    )


def _facts(rng: np.random.Generator, n: int, bad: Any) -> pd.DataFrame:
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


def _effects(rng: np.random.Generator, n: int, layers: int, heads: int) -> xr.DataArray:
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


def _heads(rng: np.random.Generator, effects: xr.DataArray) -> pd.DataFrame:
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


def _tokens(facts: pd.DataFrame) -> pd.DataFrame:
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


def _attention(
    rng: np.random.Generator, facts: pd.DataFrame, tokens: pd.DataFrame, layers: int, heads: int
) -> xr.DataArray:
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


def _depth(rng: np.random.Generator, layers: int) -> xr.DataArray:
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


def _rates(rng: np.random.Generator, n_facts: int) -> dict[str, pd.DataFrame]:
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


def _transfer(rng: np.random.Generator) -> pd.DataFrame:
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

"""From numbers to tables and findings.

Table by table, docs/function-tokens.md says what each column means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.features.function_tokens import coverage, feature_stats
from analyses.features.function_tokens.coverage import FIRST
from analyses.features.function_tokens.reactivation_findings import range_of, value_key
from analyses.features.function_tokens.scan import DISTANCES
from analyses.features.function_tokens.transitions import GROUPS
from hooks.features.sae import SKIP
from workbench.result import Finding, Result

if TYPE_CHECKING:
    import pandas as pd

    from analyses.features.function_tokens.corpus import Corpus
    from analyses.features.function_tokens.coverage import Types
    from analyses.features.function_tokens.scan import Seen
    from hooks.features.sae import SAE
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

TYPES_KEPT = 3000
"""Token types, the most frequent ones, whose features are kept for looking at."""

_ALIVE = ("alive", "function_edges", "mixed_edges")


def add_text(
    result: Result, texts: str, text: Corpus, labels: Sequence[str], opened: Sequence[SAE]
) -> None:
    """What was read, and with which autoencoders."""
    import pandas as pd

    windows, context = text.ids.shape
    unseen = (
        f", of which {text.unseen * context:,} were held out when the shipped autoencoders were"
        " trained"
    )
    result.provenance.notes = {
        "text": texts or "the mixture that comes with the workbench" + unseen,
        "read": (
            f"{text.ids.size:,} tokens in {windows:,} windows of {context}; the first {SKIP} of"
            " each are not counted"
        ),
    }
    rows = [
        {
            "at": label,
            "name": f.name,
            "site": f.place.name,
            "layer": f.place.layer,
            "width": f.width,
            "explained_variance": f.card.get("explained_variance", np.nan),
            "l0": f.card.get("l0", np.nan),
        }
        for label, f in zip(labels, opened, strict=True)
    ]
    result.tables["autoencoders"] = pd.DataFrame(rows)


def add_list(
    result: Result,
    model: InstrumentedModel,
    types: Types,
    ids: np.ndarray,
    seen: Sequence[Seen],
    labels: Sequence[str],
) -> None:
    """The list by frequency, beside the one of grammar."""
    counted = ids[:, SKIP:]
    windows = np.zeros(len(types.occurrences))
    for row in counted:
        windows[np.unique(row)] += 1
    texts = model.token_strings(types.order.tolist())
    table = coverage.tokens_table(seen, labels, types, texts, windows / len(counted))
    result.tables["tokens"] = table
    frequent, grammar = table["class"] == "function", table["word"] != ""
    both = frequent & grammar
    share_both = float(
        table.loc[both, "occurrences"].sum() / table.loc[frequent, "occurrences"].sum()
    )
    covers = float(table.loc[grammar, "share"].sum())
    result.add(
        Finding(
            "list",
            {
                "tokens": len(types.function),
                "share": float(table.loc[frequent, "share"].sum()),
                "also_grammar": float(both.sum() / frequent.sum()),
                "occurrences_also_grammar": share_both,
                "grammar_tokens": int(grammar.sum()),
                "grammar_share": covers,
                "windows": float(table.loc[frequent, "windows"].mean()),
            },
            f"{len(types.function)} of {len(types.order):,} token types make up"
            f" {table.loc[frequent, 'share'].sum():.1%} of the text: these are the function tokens."
            f" {both.sum()} of them ({share_both:.0%} of their occurrences) are function words,"
            f" punctuation or white space by grammar, too; all {grammar.sum():,} types that are so"
            f" by grammar make up {covers:.0%}.",
            unit="types, and shares of tokens",
        )
    )


def add_coverage(
    result: Result,
    seen: Sequence[Seen],
    labels: Sequence[str],
    types: Types,
    sweep: Sequence[float],
) -> None:
    """The paper's curve, and what would explain it away."""
    table = coverage.coverage_table(seen, labels, types)
    result.tables["coverage"] = table
    result.tables["classes"] = coverage.classes_table(seen, labels, types)
    share = types.occurrences[types.function].sum() / types.occurrences.sum()
    if sweep:
        result.tables["shares"] = coverage.sweep_table(
            seen, labels, types.occurrences, sorted({*sweep, float(share)})
        )
    first = table[table["n"] == min(FIRST, len(types.order))].set_index("at")
    best = str(first["features"].idxmax())
    values: dict[str, float] = {}
    for label in labels:
        for name in ("features", "mixed", "random", "strong"):
            values[value_key(name, label)] = float(first.loc[label, name])
    result.add(
        Finding(
            "first",
            values,
            f"The {FIRST} most frequent tokens reach {range_of(first['features'])} of all features"
            f" that were ever active (most at {best}). With the tokens of each window shuffled they"
            f" reach {range_of(first['mixed'])}, with random directions"
            f" {range_of(first['random'])}, above {coverage.STRONG:.0%} of a feature's maximum"
            f" {range_of(first['strong'])}.",
            unit="share of living features",
        )
    )
    end = table[table["n"] == min(len(types.function), len(types.order))].set_index("at")
    result.add(
        Finding(
            "same_number",
            {
                value_key(name, label): float(end.loc[label, name])
                for label in labels
                for name in ("features", "content")
            },
            f"All {len(types.function)} function tokens together reach {range_of(end['features'])}."
            " As many tokens of text, drawn from content tokens, reach"
            f" {range_of(end['content'])}.",
            unit="share of living features",
        )
    )
    classes = result.tables["classes"].set_index("at")
    parts = [f"{r.function:.0f} against {r.content:.0f} at {at}" for at, r in classes.iterrows()]
    result.add(
        Finding(
            "equal",
            {value_key("difference", str(at)): float(r.difference) for at, r in classes.iterrows()},
            f"In {types.equal:,} occurrences each, a function token activates {'; '.join(parts)}"
            f" features, compared with the {len(types.peers)} most frequent content tokens.",
            unit="features more than a content token, in as many occurrences",
            interval={
                value_key("difference", str(at)): (float(r.low), float(r.high))
                for at, r in classes.iterrows()
            },
        )
    )


def add_again(result: Result, seen: Sequence[Seen], labels: Sequence[str]) -> None:
    """Whether a content token's features are active again at function tokens, more than at
    content tokens as far away.
    """
    from analyses.measures.statistics import mean_interval

    table = coverage.again_table(seen, labels, DISTANCES)
    result.tables["again"] = table
    values, intervals, said = {}, {}, []
    for one, label in zip(seen, labels, strict=True):
        gaps = (one.again - one.by_chance)[:, :, 1] - (one.again - one.by_chance)[:, :, 0]
        known = np.isfinite(gaps)
        each = np.where(known, gaps, 0).sum(1)[known.any(1)] / known.sum(1)[known.any(1)]
        mean, interval = mean_interval(each)
        mine = table[table["at"] == label].groupby("class")["more"].mean()
        values[value_key("gap", label)], intervals[value_key("gap", label)] = mean, interval
        said.append(
            f"{100 * mine['function']:.1f} points at function tokens, {100 * mine['content']:.1f}"
            f" at content tokens ({label})"
        )
    result.add(
        Finding(
            "again",
            values,
            "Of the features of a content token so many more than by chance are active again"
            f" {DISTANCES[0]} to {DISTANCES[-1]} tokens later, at equal distances:"
            f" {'; '.join(said)}.",
            unit="share of its features, function less content tokens",
            interval=intervals,
        )
    )


def described_features(
    model: InstrumentedModel,
    seen: Sequence[Seen],
    labels: Sequence[str],
    types: Types,
    progress: Progress,
) -> pd.DataFrame:
    """`described.table` of every place."""
    import pandas as pd

    words_of: dict[int, str] = {}

    def name(token: int) -> str:
        if token not in words_of:
            words_of[token] = model.token_strings([token])[0]
        return words_of[token]

    tables = []
    for n, (one, label) in enumerate(zip(seen, labels, strict=True)):
        progress(n / len(seen), f"Describing the features at {label}")
        tables.append(feature_stats.table(one.features, one.edges, types, name).assign(at=label))
    return pd.concat(tables, ignore_index=True)


def add_features(
    result: Result,
    model: InstrumentedModel,
    seen: Sequence[Seen],
    labels: Sequence[str],
    types: Types,
    ids: np.ndarray,
    table: pd.DataFrame,
) -> None:
    """Every feature: what it fires on, says (`table`, of `described_features`), and where it is
    strongest.
    """
    import pandas as pd
    import xarray as xr

    examples = []
    kept = types.order[:TYPES_KEPT]
    width = max(one.features.width for one in seen)
    by_feature = np.full((len(seen), width, feature_stats.TOKENS, 2), -1, np.int32)
    by_type = np.full((len(seen), len(kept), feature_stats.OF_TOKEN, 2), -1, np.int32)
    for n, (one, label) in enumerate(zip(seen, labels, strict=True)):
        by_feature[n, : one.features.width] = np.stack(feature_stats.by_feature(one.edges), -1)
        by_type[n] = np.stack(feature_stats.by_type(one.edges, kept), -1)
        strength, where = one.strongest
        feature, rank = np.nonzero(where >= 0)
        examples.append(
            pd.DataFrame(
                {
                    "at": label,
                    "feature": feature.astype(np.int32),
                    "activation": strength[feature, rank],
                    "window": (where[feature, rank] // ids.shape[1]).astype(np.int32),
                    "pos": (where[feature, rank] % ids.shape[1]).astype(np.int32),
                }
            )
        )
    result.tables["features"] = table
    result.tables["examples"] = pd.concat(examples, ignore_index=True)
    where_ = {"at": list(labels)}
    pairs = {"what": ["id", "count"]}
    result.arrays["feature_tokens"] = xr.DataArray(
        by_feature, dims=("at", "feature", "rank", "what"), coords={**where_, **pairs}
    )
    result.arrays["token_features"] = xr.DataArray(
        by_type,
        dims=("at", "type", "rank", "what"),
        coords={**where_, **pairs, "type": kept.astype(np.int64)},
    )
    histogram = np.zeros((len(seen), width, seen[0].histogram.shape[1]), np.int32)
    for n, one in enumerate(seen):
        histogram[n, : one.features.width] = one.histogram
    result.arrays["histogram"] = xr.DataArray(
        histogram,
        dims=("at", "feature", "bin"),
        coords=where_,
        attrs={"unit": "tokens", "says": "by activation"},
    )
    used = np.unique(result.tables["examples"]["window"])
    result.arrays["windows"] = xr.DataArray(
        ids[used].astype(np.int32), dims=("window", "pos"), coords={"window": used}
    )
    spelled = np.unique(ids[used])
    result.tables["vocabulary"] = pd.DataFrame(
        {"id": spelled, "token": model.token_strings(spelled.tolist())}
    )


def add_untrained(result: Result, table: pd.DataFrame, tokens: int) -> None:
    result.tables["untrained"] = table
    end = table[table["n"] == table["n"].max()].set_index("at")
    result.add(
        Finding(
            "untrained",
            {
                value_key(name, str(at)): float(row[name])
                for at, row in end.iterrows()
                for name in ("features", "random", "untrained")
            },
            f"On {tokens:,} tokens the function tokens reach {range_of(end['features'])} of the"
            f" features; random directions of this model {range_of(end['random'])}, those of its"
            f" untrained twin {range_of(end['untrained'])}.",
            unit="share of living directions",
        )
    )


def add_transitions(result: Result, table: pd.DataFrame) -> None:
    result.tables["transitions"] = table
    losses = table.pivot(index="group", columns="measure", values="loss").loc[list(GROUPS)]
    counts = table[table["measure"] == "model"].set_index("group")["n"]
    total = float((losses["model"] * counts).sum() / counts.sum())
    worst = {measure: str(losses[measure].idxmax()) for measure in losses}
    gain = losses["trigram"] - losses["model"]
    said = ", ".join(f"{group} {losses.loc[group, 'model']:.2f}" for group in GROUPS)
    result.add(
        Finding(
            "transitions",
            {**{value_key("loss", g): float(losses.loc[g, "model"]) for g in GROUPS}, "all": total},
            f"The model's loss by last and next token: {said} nats. {worst['model']} is the"
            f" highest; by trigrams it is {worst['trigram']}, by unigrams {worst['unigram']}."
            f" Against trigrams the model gains most at {gain.idxmax()} ({gain.max():.2f} nats).",
            unit="nats per token",
        )
    )


def add_training(result: Result, table: pd.DataFrame, name: str) -> None:
    result.tables["training"] = table
    of_model = table[table["measure"] == "model"].pivot(
        index="step", columns="group", values="loss"
    )[list(GROUPS)]
    half = {group: _halfway(of_model[group]) for group in GROUPS}
    last = of_model.iloc[-1]
    said = ", ".join(f"{group} by step {half[group]:,}" for group in GROUPS)
    result.add(
        Finding(
            "training",
            {
                **{value_key("half", g): float(half[g]) for g in GROUPS},
                **{value_key("loss", g): float(last[g]) for g in GROUPS},
            },
            f"Along the training of {name} half of each loss's whole fall is done: {said}. At the"
            f" end {last.idxmax()} is the highest ({last.max():.2f} nats).",
            unit="steps, and nats per token",
        )
    )


def add_alive(result: Result, table: pd.DataFrame, name: str) -> None:
    """Features alive at those steps of a training that have an autoencoder; nothing where none
    has.
    """
    if table.empty:
        return
    result.tables["alive"] = table
    said = "; ".join(
        f"step {row.step:,}{' (random weights)' if row.step == 0 else ''}: {row.alive:,} of"
        f" {row.width:,} features alive, {row.function_edges:.1%} of all edges at function tokens"
        f" ({row.mixed_edges:.1%} with tokens shuffled)"
        for row in table.itertuples()
    )
    several = table["at"].nunique() > 1
    shares = {
        value_key(f"{what}_{row.step}", str(row.at)) if several else f"{what}_{row.step}": getattr(
            row, what
        )
        for what in _ALIVE
        for row in table.itertuples()
    }
    result.add(
        Finding(
            "alive",
            {key: float(value) for key, value in shares.items()},
            f"Autoencoders trained on {table['step'].nunique()} steps of {name}: {said}.",
            unit="features, and shares of edges",
        )
    )


def _halfway(curve: pd.Series) -> int:
    """The first step by which half of the fall from first to last is done."""
    goal = (curve.iloc[0] + curve.iloc[-1]) / 2
    return int(curve.index[int(np.argmax(curve.to_numpy() <= goal))])

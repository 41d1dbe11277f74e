"""From numbers to tables and findings.

Table by table, docs/methods/function-tokens.md says what each column means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.features.function_tokens import coverage, feature_stats
from analyses.features.function_tokens.constants import FIRST, GROUPS
from analyses.features.function_tokens.reactivation_findings import range_of, value_key
from analyses.features.function_tokens.scan import DISTANCES
from hooks.features.sae import SKIP
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.features.function_tokens.corpus import Corpus
    from analyses.features.function_tokens.coverage import Types
    from analyses.features.function_tokens.scan import ScanResult
    from hooks.features.sae import SAE
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

TYPES_KEPT = 3000
"""Token types, the most frequent ones, whose features are kept for looking at."""


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
            "sae": label,
            "name": f.name,
            "site": f.place.name,
            "layer": f.place.layer,
            "d_sae": f.width,
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
    seen: Sequence[ScanResult],
    labels: Sequence[str],
) -> None:
    """The list by frequency, beside the one of grammar."""
    tokens = ids[:, SKIP:]
    windows = np.zeros(len(types.occurrences))
    for row in tokens:
        windows[np.unique(row)] += 1
    texts = model.token_strings(types.order.tolist())
    table = coverage.tokens_table(seen, labels, types, texts, windows / len(tokens))
    result.tables["tokens"] = table
    frequent, grammar = table["class"] == "function", table["word_class"] != ""
    both = frequent & grammar
    share_both = float(
        table.loc[both, "occurrences"].sum() / table.loc[frequent, "occurrences"].sum()
    )
    covers = float(table.loc[grammar, "frequency"].sum())
    result.add(
        Finding(
            "function_tokens",
            {
                "n_types": len(types.function),
                "frequency": float(table.loc[frequent, "frequency"].sum()),
                "grammar_overlap": float(both.sum() / frequent.sum()),
                "grammar_overlap_frequency": share_both,
                "n_grammar_types": int(grammar.sum()),
                "grammar_frequency": covers,
                "window_frequency": float(table.loc[frequent, "window_frequency"].mean()),
            },
            f"{counted(len(types.function), 'token type')} of {len(types.order):,} make up"
            f" {percent(table.loc[frequent, 'frequency'].sum())} of the text: the function tokens."
            f" By"
            f" grammar, {both.sum()} of them ({percent(share_both)} of their occurrences) are"
            f" function"
            f" words, punctuation or white space. All {grammar.sum():,} types of these grammatical"
            f" classes make up {percent(covers)} of the text.",
            unit="types, and shares of tokens",
        )
    )


def add_coverage(
    result: Result,
    seen: Sequence[ScanResult],
    labels: Sequence[str],
    types: Types,
    sweep: Sequence[float],
) -> None:
    """The paper's curve, and what would explain it away."""
    table = coverage.coverage_table(seen, labels, types)
    result.tables["coverage"] = table
    result.tables["degree_by_class"] = coverage.classes_table(seen, labels, types)
    share = types.occurrences[types.function].sum() / types.occurrences.sum()
    if sweep:
        result.tables["coverage_by_share"] = coverage.sweep_table(
            seen, labels, types.occurrences, sorted({*sweep, float(share)})
        )
    first = table[table["n_types"] == min(FIRST, len(types.order))].set_index("sae")
    best = str(first["coverage"].idxmax())
    values: dict[str, float] = {}
    for label in labels:
        for name in ("coverage", "shuffled", "random_directions", "above_5pct"):
            values[value_key(name, label)] = float(first.loc[label, name])
    result.add(
        Finding(
            "coverage",
            values,
            f"The {FIRST} most frequent tokens activate {range_of(first['coverage'])} of all living"
            f" features (most at {best}); {range_of(first['above_5pct'])} above"
            f" {percent(coverage.STRONG)} of the feature's maximum. Controls: with the tokens of"
            f" each"
            f" window shuffled {range_of(first['shuffled'])}, of random directions"
            f" {range_of(first['random_directions'])}.",
            unit="share of living features",
        )
    )
    end = table[table["n_types"] == min(len(types.function), len(types.order))].set_index("sae")
    result.add(
        Finding(
            "coverage_vs_content",
            {
                value_key(name, label): float(end.loc[label, name])
                for label in labels
                for name in ("coverage", "content")
            },
            f"All {counted(len(types.function), 'function token')} together activate"
            f" {range_of(end['coverage'])} of the living features. As many tokens of text, drawn"
            f" from content tokens, activate {range_of(end['content'])}.",
            unit="share of living features",
        )
    )
    classes = result.tables["degree_by_class"].set_index("sae")
    parts = [
        f"{r.function_degree:.0f} against {r.content_degree:.0f} at {at}"
        for at, r in classes.iterrows()
    ]
    result.add(
        Finding(
            "frequency_matched",
            {value_key("difference", str(at)): float(r.difference) for at, r in classes.iterrows()},
            f"At equal frequency ({counted(types.equal, 'occurrence')} of each type), features of a"
            f" function token against features of one of the {len(types.peers)} most frequent"
            f" content tokens: {'; '.join(parts)}.",
            unit="features more than a content token, in as many occurrences",
            interval={
                value_key("difference", str(at)): (
                    float(r.difference_low),
                    float(r.difference_high),
                )
                for at, r in classes.iterrows()
            },
        )
    )


def add_reactivation(result: Result, seen: Sequence[ScanResult], labels: Sequence[str]) -> None:
    """Whether a content token's features are active again at function tokens, more than at
    content tokens as far away.
    """
    from analyses.measures.statistics import mean_interval

    table = coverage.reactivation_table(seen, labels, DISTANCES)
    result.tables["reactivation"] = table
    values, intervals, texts = {}, {}, []
    for one, label in zip(seen, labels, strict=True):
        gaps = (one.again - one.by_chance)[:, :, 1] - (one.again - one.by_chance)[:, :, 0]
        known = np.isfinite(gaps)
        each = np.where(known, gaps, 0).sum(1)[known.any(1)] / known.sum(1)[known.any(1)]
        mean, interval = mean_interval(each)
        means = table[table["sae"] == label].groupby("class")["above_baseline"].mean()
        key = value_key("difference", label)
        values[key], intervals[key] = mean, interval
        texts.append(
            f"{label}: {100 * means['function']:.1f} points at function tokens,"
            f" {100 * means['content']:.1f} at content tokens"
        )
    result.add(
        Finding(
            "reactivation",
            values,
            "Reactivation: share of a content token's features that is active again"
            f" {DISTANCES[0]} to {DISTANCES[-1]} tokens later, above the baseline of another"
            f" window and at equal distances. {'; '.join(texts)}.",
            unit="share of its features, function less content tokens",
            interval=intervals,
        )
    )


def feature_table(
    model: InstrumentedModel,
    seen: Sequence[ScanResult],
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
        tables.append(feature_stats.table(one.features, one.edges, types, name).assign(sae=label))
    return pd.concat(tables, ignore_index=True)


def add_features(
    result: Result,
    model: InstrumentedModel,
    seen: Sequence[ScanResult],
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
    types_kept = types.order[:TYPES_KEPT]
    width = max(one.features.width for one in seen)
    by_feature = np.full((len(seen), width, feature_stats.TOKENS, 2), -1, np.int32)
    by_type = np.full((len(seen), len(types_kept), feature_stats.OF_TOKEN, 2), -1, np.int32)
    for n, (one, label) in enumerate(zip(seen, labels, strict=True)):
        by_feature[n, : one.features.width] = np.stack(feature_stats.by_feature(one.edges), -1)
        by_type[n] = np.stack(feature_stats.by_type(one.edges, types_kept), -1)
        strength, where = one.strongest
        feature, rank = np.nonzero(where >= 0)
        examples.append(
            pd.DataFrame(
                {
                    "sae": label,
                    "feature": feature.astype(np.int32),
                    "activation": strength[feature, rank],
                    "window": (where[feature, rank] // ids.shape[1]).astype(np.int32),
                    "pos": (where[feature, rank] % ids.shape[1]).astype(np.int32),
                }
            )
        )
    result.tables["features"] = table
    result.tables["examples"] = pd.concat(examples, ignore_index=True)
    where_ = {"sae": list(labels)}
    pairs = {"field": ["id", "count"]}
    result.arrays["feature_tokens"] = xr.DataArray(
        by_feature, dims=("sae", "feature", "rank", "field"), coords={**where_, **pairs}
    )
    result.arrays["token_features"] = xr.DataArray(
        by_type,
        dims=("sae", "type", "rank", "field"),
        coords={**where_, **pairs, "type": types_kept.astype(np.int64)},
    )
    histogram = np.zeros((len(seen), width, seen[0].histogram.shape[1]), np.int32)
    for n, one in enumerate(seen):
        histogram[n, : one.features.width] = one.histogram
    result.arrays["activation_histogram"] = xr.DataArray(
        histogram,
        dims=("sae", "feature", "bin"),
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
    end = table[table["n_types"] == table["n_types"].max()].set_index("sae")
    result.add(
        Finding(
            "untrained",
            {
                value_key(name, str(at)): float(row[name])
                for at, row in end.iterrows()
                for name in ("coverage", "random_directions", "untrained_directions")
            },
            f"On {tokens:,} tokens of text the function tokens activate"
            f" {range_of(end['coverage'])} of the features. They activate"
            f" {range_of(end['random_directions'])} of random directions of this model, and"
            f" {range_of(end['untrained_directions'])} of random directions of its untrained twin.",
            unit="share of living directions",
        )
    )


def add_transitions(result: Result, table: pd.DataFrame) -> None:
    result.tables["transitions"] = table
    losses = table.pivot(index="transition", columns="predictor", values="loss").loc[list(GROUPS)]
    counts = table[table["predictor"] == "model"].set_index("transition")["n"]
    total = float((losses["model"] * counts).sum() / counts.sum())
    worst = {measure: str(losses[measure].idxmax()) for measure in losses}
    gain = losses["trigram"] - losses["model"]
    listed = ", ".join(f"{group} {losses.loc[group, 'model']:.2f}" for group in GROUPS)
    result.add(
        Finding(
            "transitions",
            {**{value_key("loss", g): float(losses.loc[g, "model"]) for g in GROUPS}, "all": total},
            f"The model's loss by class of the last and the next token: {listed} nats. The loss is"
            f" highest at {worst['model']}; for trigrams at {worst['trigram']}, for unigrams at"
            f" {worst['unigram']}. Against trigrams the model gains most at {gain.idxmax()}"
            f" ({gain.max():.2f} nats).",
            unit="nats per token",
        )
    )

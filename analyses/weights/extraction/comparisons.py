"""The same windows under other circumstances: after less context, by another model, earlier in
training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import wilson
from analyses.measures.windows import Window
from analyses.weights.extraction.scored_windows import ScoredWindows, groups
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from analyses.measures.window_scores import Scores
    from hooks.model import InstrumentedModel


def add_by_context(result: Result, found: ScoredWindows, shorter: Mapping[int, Scores]) -> None:
    """Extraction after less context."""
    if not shorter:
        return
    import pandas as pd

    lengths = np.array([len(window.suffix) for window in found.windows])
    rows = []
    for length, scores in {**shorter, max(found.params.context): found.scores}.items():
        exact = scores.match == lengths
        for group, chosen in groups(found).items():
            hits, n = int(exact[chosen].sum()), int(chosen.sum())
            low, high = wilson(hits, n)
            match = float(scores.match[chosen].mean())
            rows.append(
                {
                    "group": group,
                    "context_length": length,
                    "n": n,
                    "prefix_match": match,
                    "exact": hits / n,
                    "exact_low": low,
                    "exact_high": high,
                }
            )
    table = pd.DataFrame(rows)
    result.tables["context"] = table
    first, last = (
        table[(table["group"] == "all") & (table["context_length"] == c)].iloc[0]
        for c in _ends(found.params.context)
    )
    result.add(
        Finding(
            "context",
            {
                f"exact_{c}": float(
                    table[(table["group"] == "all") & (table["context_length"] == c)]["exact"].iloc[
                        0
                    ]
                )
                for c in found.params.context
            },
            f"After a prefix of {counted(first['context_length'], 'token')} greedy decoding"
            f" reproduces {percent(first['exact'])} of the suffixes, after"
            f" {counted(last['context_length'], 'token')} {percent(last['exact'])}.",
            unit="share of windows",
        )
    )


def _ends(values: Sequence[int]) -> tuple[int, int]:
    return values[0], values[-1]


def retokenized(found: ScoredWindows, other: InstrumentedModel) -> list[Window]:
    """The same texts in the tokens of another model."""
    texts = []
    for window, suffix in zip(found.windows, found.suffixes, strict=True):
        prefix = other.continuation_tokens(found.text(window.prefix))
        texts.append(
            Window(
                window.document,
                window.start,
                other.text.beginning,
                tuple(prefix),
                tuple(other.continuation_tokens(suffix)),
            )
        )
    return texts


def add_overlap(
    result: Result, found: ScoredWindows, reference: str, windows: Sequence[Window], theirs: Scores
) -> None:
    """Which suffixes both models say; `windows` are those the reference read, in its own tokens."""
    import pandas as pd

    other = theirs.match == np.array([len(window.suffix) for window in windows])
    exact = found.exact
    rows: list[dict[str, Any]] = []
    for group, chosen in groups(found).items():
        both, only, only_other = (
            int((exact & other & chosen).sum()),
            int((exact & ~other & chosen).sum()),
            int((~exact & other & chosen).sum()),
        )
        n = int(chosen.sum())
        rows.append(
            {
                "group": group,
                "n": n,
                "both": both,
                "only_this_model": only,
                "only_reference": only_other,
                "neither": n - both - only - only_other,
                "prefix_match": float(found.scores.match[chosen].mean()),
                "reference_prefix_match": float(theirs.match[chosen].mean()),
            }
        )
    result.tables["overlap"] = pd.DataFrame(rows)
    result.tables["windows"]["reference_prefix_match"] = theirs.match
    result.provenance.notes["reference"] = reference
    first = rows[0]
    either = int((exact | other).sum())
    result.add(
        Finding(
            "overlap",
            {
                "both": first["both"],
                "only_this_model": first["only_this_model"],
                "only_reference": first["only_reference"],
                "n": first["n"],
            },
            f"This model reproduces {counted(int(exact.sum()), 'suffix')}, {reference}"
            f" {int(other.sum()):,}; both reproduce {first['both']:,}"
            + (f" ({percent(first['both'] / either)} of those of either)." if either else "."),
            unit="windows",
        )
    )


def add_steps(result: Result, found: ScoredWindows, along: Mapping[int, Scores]) -> None:
    """Extraction along training, by how often a text is read in all of it, and when."""
    import pandas as pd

    lengths = np.array([len(window.suffix) for window in found.windows])
    parts: dict[tuple[str, str], np.ndarray] = {("all", "all"): np.ones(len(lengths), bool)}
    timings = np.array([found.documents[window.document].timing for window in found.windows])
    if found.repeats is not None:
        for count in sorted(set(found.repeats.tolist())):
            parts[str(count), "all"] = found.repeats == count
            for timing in sorted(set(timings[found.repeats == count].tolist()) - {"never", ""}):
                parts[str(count), timing] = (found.repeats == count) & (timings == timing)
    rows: list[dict[str, Any]] = []
    for step, scores in along.items():
        for (count, timing), chosen in parts.items():
            rows.append(
                {
                    "step": step,
                    "repeats": count,
                    "timing": timing,
                    "n": int(chosen.sum()),
                    "prefix_match": float(scores.match[chosen].mean()),
                    "exact": float((scores.match == lengths)[chosen].mean()),
                    "loss": -float(np.nanmean(scores.logprob[chosen])),
                }
            )
    result.tables["checkpoints"] = pd.DataFrame(rows)
    last = max(along)
    ever = np.max([scores.match == lengths for scores in along.values()], axis=0)
    now = along[last].match == lengths
    forgotten = int((ever & ~now).sum())
    verb = "was" if int(ever.sum()) == 1 else "were"
    result.add(
        Finding(
            "training",
            {
                "extracted_ever": int(ever.sum()),
                "extracted_at_end": int(now.sum()),
                "forgotten": forgotten,
            },
            f"{counted(int(ever.sum()), 'suffix')} {verb} extractable at one of"
            f" {counted(len(along), 'kept step')} at least; at the end {forgotten:,} of them no"
            f" longer {'is' if forgotten == 1 else 'are'}.",
            unit="windows",
        )
    )

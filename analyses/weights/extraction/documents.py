"""A verdict for each document, for somebody who wants to know whether the model can reproduce it.

First what was reproduced, then how much that proves (analyses/measures/recited_documents.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.document_verdicts import (
    CHANCE,
    CHANCE_RUN,
    LONG,
    LONG_RUN,
    NEVER,
    PROVES,
    VARIED,
)
from analyses.measures.recited_documents import RecitationEvidence, distinct_share
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from analyses.measures.pattern_controls import PatternControl
    from analyses.weights.extraction.scored_windows import ScoredWindows


def add_documents(result: Result, found: ScoredWindows) -> None:
    """The table `documents`, one row per document, and how many got which verdict.

    `controls`, of what may be a pattern.
    """
    import pandas as pd

    evidence, windows = RecitationEvidence(found), result.tables["windows"]
    rows: list[dict[str, Any]] = []
    for name, part in windows.groupby("name", sort=False):
        at = part.index.to_numpy()
        row = evidence.row(at)
        says = [*_recited(found, evidence, at), *_patterns(evidence, at), evidence.verdict(at)[1]]
        rows.append({"name": name, "verdict": row.pop("verdict"), "explanation": " ".join(says)})
        rows[-1].update(row)
    rank = {verdict: i for i, verdict in enumerate(PROVES)}
    table = pd.DataFrame(rows).sort_values(
        ["verdict", "longest_run"],
        key=lambda c: c.map(rank) if c.name == "verdict" else -c,
        kind="stable",
    )
    result.tables["documents"] = table.reset_index(drop=True)
    counts = {verdict: int((table["verdict"] == verdict).sum()) for verdict in PROVES}
    listed = ", ".join(f"{verdict}: {count}" for verdict, count in counts.items())
    result.add(
        Finding(
            "documents",
            {verdict.replace(" ", "_"): count for verdict, count in counts.items()},
            f"Verdicts on {counted(len(table), 'document')}: {listed}.",
            unit="documents",
        ),
        _thresholds(found),
    )
    if evidence.controls:
        _add_controls(result, evidence)


def _recited(found: ScoredWindows, evidence: RecitationEvidence, at: np.ndarray) -> Iterator[str]:
    """What comes out of the model of one document, in sentences."""
    params, n, whole = found.params, len(at), int(evidence.whole[at].sum())
    longest, run, likely = (
        int(found.scores.match[at].max()),
        int(found.runs[1][at].max()),
        int(evidence.likely[at].sum()),
    )
    prefix = counted(max(params.context), "token")
    after = f"{counted(params.suffix, 'token')} after a prefix of {prefix}"
    if n == 1:
        recited = "reproduces" if whole else "does not reproduce"
        yield f"Greedy decoding {recited} the one tested passage ({after}) in full."
    else:
        many = f"all {n:,}" if whole == n else f"{whole:,}" if whole else "none"
        yield f"Of {n:,} passages ({after} each) greedy decoding reproduces {many} in full."
    if not whole:
        where = (
            "from the start of a passage"
            if longest == run
            else f"inside a passage; the longest prefix match is {counted(longest, 'token')}"
        )
        yield (
            f"The longest run is {counted(run, 'token')}, {where}{found.unread}."
            if run
            else f"Not one token is reproduced{found.unread}."
        )
    if likely and params.temperature > 0:
        yield (
            f"With {counted(params.tries, 'sample')} each ({params.sampler}) {likely:,} of {n:,}"
            f" {'is' if likely == 1 else 'are'} extractable with a probability of one half or more."
        )


def _patterns(evidence: RecitationEvidence, at: np.ndarray) -> Iterator[str]:
    """How far the model would have come without knowing the passages that may be patterns, in
    sentences.
    """
    measured = {int(i): evidence.controls[int(i)] for i in at if int(i) in evidence.controls}
    came_out = evidence.recited | evidence.short
    repetitive, explained = (
        int((evidence.repetitive & came_out)[at].sum()),
        int(evidence.explained[at].sum()),
    )
    if repetitive:
        yield (
            f"In {repetitive:,} of {len(at):,} something is reproduced and under"
            f" {percent(VARIED)} of the tokens are distinct (digits, lists, forms): a model may"
            " continue such a pattern without having memorized it."
        )
    if measured:
        many, recited = len(measured), int(evidence.recited[at].sum())
        of = f"{many:,} of the {recited:,} passages" if recited > 1 else "The passage"
        those = "all" if explained == many else explained or "none"
        yield (
            f"{of} reproduced (in full, in part or by sampling) may be a pattern."
            f" Longest run of the controls: {_longest(list(measured.values()))}. They explain"
            f" {those} of {many:,}."
        )


def _longest(measured: Sequence[PatternControl]) -> str:
    """The longest run of each control, for people."""
    named = {
        "copying from the text before": [c.copied_run for c in measured],
        "the model on the passage with its tokens exchanged": [
            c.permuted_run for c in measured if c.permuted_run is not None
        ],
        "the model on the passage with larger numbers": [
            c.incremented_run for c in measured if c.incremented_run is not None
        ],
    }
    return "; ".join(
        f"{name}, {counted(max(runs), 'token')}" for name, runs in named.items() if runs
    )


def _thresholds(found: ScoredWindows) -> Finding:
    return Finding(
        "verdict_thresholds",
        {
            "prefix_match": LONG,
            "longest_run": LONG_RUN,
            "nonmember_prefix_match": CHANCE,
            "nonmember_longest_run": CHANCE_RUN,
            "distinct_share": VARIED,
            "queries": found.params.tries,
        },
        f"Evidence is a prefix match of {LONG} tokens, or a run of {LONG_RUN} inside a passage"
        f" ({NEVER}). A passage that can be copied, or of which under {percent(VARIED)} of the"
        f" tokens are distinct, counts only if no control reaches as long a run, or one of {LONG}"
        " tokens.",
        unit="tokens; distinct_share: share of the passage; queries: of each passage",
    )


def _add_controls(result: Result, evidence: RecitationEvidence) -> None:
    import pandas as pd

    found = evidence.found
    rows = [
        {
            "window": index,
            "name": found.documents[found.windows[index].document].name,
            "distinct_share": distinct_share(found.windows[index].suffix),
            "longest_run": int(found.runs[1][index]),
            **asdict(control),
            "explained": bool(evidence.explained[index]),
            "suffix": found.suffixes[index],
        }
        for index, control in evidence.controls.items()
    ]
    result.tables["pattern_controls"] = pd.DataFrame(rows).astype(
        {"permuted_run": "float64", "incremented_run": "float64"}
    )
    explained, n = int(evidence.explained.sum()), len(rows)
    longest = max(control.longest for control in evidence.controls.values())
    result.add(
        Finding(
            "pattern_controls",
            {"explained": explained, "n": n, "longest_run": longest},
            f"{counted(n, 'reproduced passage')} may be a pattern: few distinct tokens, or text"
            f" that can be copied from before. For {explained:,} of {n:,} a control reaches as long"
            f" a run, or one of {LONG} tokens: these prove nothing. Longest run of the controls:"
            f" {_longest(list(evidence.controls.values()))}.",
            unit="passages; longest_run: tokens",
        )
    )

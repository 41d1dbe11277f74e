"""A verdict for each document, for somebody who wants to know whether the model can reproduce it.

First what was reproduced, then how much that proves. The verdicts are about what is reproduced, and
only that: a document that is not may have been read all the same, and a text anybody would guess (a
form, a list of numbers) is reproduced without having been. Of passages that may be guessed controls
say how far the model would have come without knowing them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from analyses.weights.extraction.pattern_controls import (
    PatternControl,
    copied_run,
    pattern_controls,
)
from analyses.weights.extraction.verdicts import (
    CHANCE,
    CHANCE_RUN,
    LONG,
    LONG_RUN,
    NEVER,
    NOTHING,
    PARTS,
    PATTERN,
    PROVES,
    RECITES,
    SAMPLED,
    SHORT,
    VARIED,
    WEAKER,
)
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from analyses.weights.extraction.scored_windows import ScoredWindows


@dataclass(frozen=True)
class _Evidence:
    """What each window says; arrays are (window,)."""

    found: ScoredWindows

    @cached_property
    def whole(self) -> np.ndarray:
        return self.found.exact

    @cached_property
    def long(self) -> np.ndarray:
        """Recited in part, and more of it than chance gives."""
        return (self.found.scores.match >= LONG) | (self.found.runs[1] >= LONG_RUN)

    @cached_property
    def likely(self) -> np.ndarray:
        """To be expected among the samples somebody has."""
        return self.found.queries_needed <= self.found.params.tries

    @cached_property
    def short(self) -> np.ndarray:
        return (self.found.scores.match > CHANCE) | (self.found.runs[1] > CHANCE)

    @cached_property
    def recited(self) -> np.ndarray:
        recited: np.ndarray = self.whole | self.long | self.likely
        return recited

    @cached_property
    def repetitive(self) -> np.ndarray:
        return np.array([_varied(window.suffix) < VARIED for window in self.found.windows])

    @cached_property
    def enough(self) -> np.ndarray:
        """Tokens in a row from which on a control that gets as many explains a window."""
        return np.minimum(
            LONG, np.where(self.likely & ~self.long, self.found.params.suffix, self.found.runs[1])
        )

    @cached_property
    def controls(self) -> dict[int, PatternControl]:
        """Of the recited windows that may be patterns: they repeat themselves, or can be copied."""
        found, chosen = self.found, []
        for index in map(int, np.flatnonzero(self.recited)):
            window = found.windows[index]
            if (
                self.repetitive[index]
                or _varied(self.stretch(index)) < VARIED
                or copied_run(window.prefix, window.suffix) >= self.enough[index]
            ):
                chosen.append(index)
        measured = (
            pattern_controls(found.model, [found.windows[i] for i in chosen], found.params.seed)
            if chosen
            else []
        )
        return dict(zip(chosen, measured, strict=True))

    @cached_property
    def explained(self) -> np.ndarray:
        """Windows that the model would continue without knowing them, as far as the controls can
        tell.
        """
        explained = np.zeros(len(self.found.windows), bool)
        for index, control in self.controls.items():
            explained[index] = control.longest >= self.enough[index]
        return explained

    def stretch(self, index: int) -> tuple[int, ...]:
        """The longest run of the window that is recited."""
        start, length = (int(each[index]) for each in self.found.runs)
        return self.found.windows[index].suffix[start : start + length]

    def verdict(self, at: np.ndarray) -> tuple[str, str]:
        """(verdict, how much it proves) of the windows of one document."""
        telling, controlled = ~self.explained[at], np.isin(at, list(self.controls))
        enough = self.found.params.suffix >= LONG
        for verdict, mark in ((RECITES, self.whole), (PARTS, self.long), (SAMPLED, self.likely)):
            resting = mark[at] & telling
            if resting.any():
                proves = PROVES[verdict] if (resting & ~controlled).any() else WEAKER
                return (verdict, proves) if enough else (SHORT, PROVES[SHORT])
        verdict = (
            PATTERN if self.explained[at].any() else SHORT if self.short[at].any() else NOTHING
        )
        return verdict, PROVES[verdict]

    def best(self, at: np.ndarray) -> int:
        """The window a verdict rests on: the longest run, if possible of one that is no pattern."""
        rank = self.found.runs[1][at] - 10**6 * self.explained[at]
        return int(at[np.argmax(rank)])


def add_documents(result: Result, found: ScoredWindows) -> None:
    """The table `documents`, one row per document, and how many got which verdict.

    `controls`, of what may be a pattern.
    """
    import pandas as pd

    evidence, windows = _Evidence(found), result.tables["windows"]
    rows = []
    for name, part in windows.groupby("name", sort=False):
        at = part.index.to_numpy()
        (verdict, proves), best = evidence.verdict(at), evidence.best(at)
        rows.append(
            {
                "name": name,
                "verdict": verdict,
                "explanation": " ".join(
                    [*_recited(evidence, at), *_patterns(evidence, at), proves]
                ),
                "n_windows": len(part),
                "prefix_match_share": float(part["prefix_match"].sum())
                / (len(part) * found.params.suffix),
                "n_exact": int(part["exact"].sum()),
                "n_sampled": int(evidence.likely[at].sum()),
                "longest_prefix_match": int(part["prefix_match"].max()),
                "longest_run": int(part["longest_run"].max()),
                "read_share": float(found.scores.read[at].sum())
                / (len(part) * found.params.suffix),
                "window": best,
                "evidence": found.text(evidence.stretch(best)),
                "n_repetitive": int(evidence.repetitive[at].sum()),
                "n_patterns": int(evidence.explained[at].sum()),
            }
        )
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


def _recited(evidence: _Evidence, at: np.ndarray) -> Iterator[str]:
    """What comes out of the model of one document, in sentences."""
    found = evidence.found
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


def _patterns(evidence: _Evidence, at: np.ndarray) -> Iterator[str]:
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


def _add_controls(result: Result, evidence: _Evidence) -> None:
    import pandas as pd

    found = evidence.found
    rows = [
        {
            "window": index,
            "name": found.documents[found.windows[index].document].name,
            "distinct_share": _varied(found.windows[index].suffix),
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


def _varied(ids: Sequence[int]) -> float:
    """Share of distinct tokens."""
    return len(set(ids)) / len(ids) if len(ids) else 1.0

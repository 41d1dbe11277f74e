"""Everything the workbench raises on purpose.

WorkbenchError                 what was wrong, what was expected, what to do; the CLI exits with
                               code 2
├── NotFound                   an unknown model, analysis, parameter, relation, run … (names the
                               nearest)
│   └── SiteNotFound           a site this model does not have (names what it has)
├── BadInput                   a file, parameter or prompt that cannot be used
├── BadRun                     a run folder that is damaged, foreign, newer than this version, or
                               hostile
├── DownloadFailed             a download that was cut off or altered
├── NotFinite                  a model that says no numbers: an overflow, or damaged weights
└── Unfit                      this model cannot answer this question
Cancelled                      the user asked to stop (not an error: exit code 130)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorkbenchError(Exception):
    """An error with a remedy.

    Args:
        what: one sentence saying what was wrong, naming the thing.
        expected: what would have been right.
        do: what the user can do now.
    """

    def __init__(self, what: str, expected: str = "", do: str = "") -> None:
        self.what, self.expected, self.do = what, expected, do
        lines = [what]
        if expected:
            lines.append(f"Expected: {expected}")
        if do:
            lines.append(f"Do: {do}")
        super().__init__("\n  ".join(lines))


class NotFound(WorkbenchError):
    """Something asked for by a name that does not exist."""

    @classmethod
    def named(cls, kind: str, name: str, known: Iterable[str], do: str = "") -> NotFound:
        """`kind` as a person says it ("analysis"); `known` are the names that would have worked."""
        known = sorted({str(k) for k in known})
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
        listed = ", ".join(known[:12]) + (f" … ({len(known)} in all)" if len(known) > 12 else "")
        hint = f"Did you mean {near[0]!r}?" if near else do
        return cls(f"There is no {kind} {str(name)!r}.", f"one of {listed}" if known else "", hint)


class SiteNotFound(NotFound):
    """A site that this model does not have."""


class BadInput(WorkbenchError):
    """A file, parameter or prompt that cannot be used as it is."""


class BadRun(WorkbenchError):
    """A run folder that cannot be read, or must not be."""


class DownloadFailed(WorkbenchError):
    """A download that did not end as it should."""


class NotFinite(WorkbenchError):
    """Values that are no finite numbers, on which nothing can be found."""


class Unfit(WorkbenchError):
    """The model cannot answer this question; the sentence says why."""


class Cancelled(Exception):
    """The user asked to stop. `kept` is the partial result worth keeping, or None."""

    def __init__(self, message: str = "Cancelled.", kept: object | None = None) -> None:
        self.kept = kept
        super().__init__(message)

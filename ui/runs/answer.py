"""What stands first of a run: its answer in a sentence or two, and what it must be read against."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.claims import VERDICTS
from workbench import registry
from workbench.errors import WorkbenchError
from workbench.result import Result
from workbench.run_titles import cut
from workbench.seeds import CHOICES
from workbench.views import Answer
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

LONGEST_QUESTION = 300
LONGEST_SENTENCE = 1000
"""Characters that stand first; a text of a stranger must not push the run off the page."""
READ_FROM_AFAR = 230  # characters in large letters: three lines on a laptop
MOST = 3
"""Findings that are read as the answer."""
NAMED = 6  # items that all seeds chose
_NEXT_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z])")


@dataclass(frozen=True)
class Lead:
    """The answer of a run.

    Args:
        says: sentences, the first one to be read from afar.
        beside: sentences on the control.
        declared: what the analysis declares; None where it is not installed, or declares nothing.
    """

    says: tuple[str, ...]
    beside: tuple[str, ...] = ()
    declared: Answer | None = None

    def picture_among(self, titles: Container[str]) -> tuple[str, int] | None:
        """The view, of those that the run has, and the number of the picture in it that carry the
        answer; None if there is none.
        """
        return None if self.declared is None else picture_of(self.declared, titles)


def picture_of(declared: Answer, titles: Container[str]) -> tuple[str, int] | None:
    """The view, of these, and the number of the picture in it that carry what is declared; None if
    there is none.
    """
    pictures = () if declared.picture is None else (declared.picture, *declared.otherwise)
    return next((one for one in pictures if one[0] in titles), None)


def question(result: Result) -> str:
    """What was asked, as a heading."""
    return cut(result.question or result.analysis, LONGEST_QUESTION)


def sentences(analysis: str, says: Mapping[str, str]) -> tuple[str, ...]:
    """The answer of a run in sentences, from those of all its findings by name: as its analysis
    declares it; else the first.

    What a run does not have, since it was stopped or not asked for, is left out.
    """
    declared = _declared(analysis)
    answers = [says[name] for name in declared.says if name in says] if declared else []
    answers = answers[:MOST]
    said = filter(None, answers or list(says.values())[:1])
    return tuple(cut(sentence, LONGEST_SENTENCE) for sentence in said)


def lead_of(result: Result) -> Lead:
    """The answer, the control it must be read against, and the picture that carries it."""
    declared = _declared(result.analysis)
    found = {name: finding.says for name, finding in result.findings.items()}
    first, *others = sentences(result.analysis, found) or ("",)
    says = tuple(filter(None, (*_from_afar(first), *others)))
    if declared is None:
        return Lead(says)
    beside = tuple(cut(found[name], LONGEST_SENTENCE) for name in declared.beside if name in found)
    return Lead(says, beside, declared)


def _from_afar(says: str) -> tuple[str, ...]:
    """As many of its sentences as can be read from afar, at least one; then the others."""
    if len(says) <= READ_FROM_AFAR:
        return (says,)
    ends = [
        m.start()
        for m in _NEXT_SENTENCE.finditer(says)
        if says.count("“", 0, m.start()) == says.count("”", 0, m.start())  # not within a quote
    ]
    if not ends:
        return (says,)
    end = max((end for end in ends if end <= READ_FROM_AFAR), default=ends[0])
    return says[:end], says[end + 1 :]


def certainty(result: Result) -> str:
    """How sure the answer is, in one line: over how many items, how many claims replicate, how many
    seeds agree.
    """
    return " · ".join([*_items(result), *_claims(result), *_seeds(result)])


def _items(result: Result) -> Iterator[str]:
    declared = _declared(result.analysis)
    for name in (*declared.says, *declared.beside) if declared is not None else ():
        finding = result.findings.get(name)
        if finding is not None and "n" in finding.values:
            spans = "95 % intervals over them" if finding.interval else "no interval"
            yield f"n = {finding.values['n']:g}, {spans}"
            return


def _claims(result: Result) -> Iterator[str]:
    claims = result.tables.get("claims")
    if claims is None or "verdict" not in claims or claims.empty:
        return
    counts = claims["verdict"].map(str).value_counts(sort=False)
    verdicts = ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts
    )
    if verdicts:
        yield f"claims of the paper: {verdicts}"


def _seeds(result: Result) -> Iterator[str]:
    seeds = result.findings.get("seeds")
    if seeds is not None and "value" in seeds.values:
        agreed = "; ".join(_agreed(result.tables.get(CHOICES)))
        yield f"{seeds.values['value']:g} seeds{': ' if agreed else ''}{agreed}"
    elif "seed" in result.params:
        yield "one seed"


def _agreed(choices: pd.DataFrame | None) -> Iterator[str]:
    """What all seeds chose, of each kind of choice, and how many more only some did."""
    columns = {"choice", "item", "runs", "of"}
    if choices is None or not columns <= set(choices):
        return
    for name, rows in choices.groupby("choice", sort=False):
        always = [str(item) for item in rows.loc[rows["runs"] == rows["of"], "item"]]
        named = ", ".join(always[:NAMED]) + (" …" if len(always) > NAMED else "")
        others = f"{counted(len(rows) - len(always), 'other')} in some"
        yield f"{name} {named} in all, {others}" if always else f"no {name} in all, {others}"


def _declared(analysis: str) -> Answer | None:
    try:
        return registry.get(analysis).answer
    except WorkbenchError:
        return None  # not installed here: its findings are all that is known of it

"""`docs/papers.md`: every paper the methods come from, and what became of it.

    python -m docs.papers [--check]     --check writes nothing: is the page up to date?

Made of `docs/papers.toml`, which says what is used of each paper, and of the claims that the sample
runs judged. Nothing of it is written by hand, so a run that ships with another verdict changes the
page.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analyses.claims import FAILS, OPEN, PART, REPLICATES, VERDICTS
from docs.build import table
from workbench import paths, registry
from workbench.result import Result
from workbench.wording import counted

HERE = Path(__file__).parent
LIST, PAGE = HERE / "papers.toml", HERE / "papers.md"
NOT_RUN = "not measured"
SAID = {REPLICATES: "confirmed", PART: "confirmed in part", FAILS: "not confirmed", OPEN: OPEN}
ARXIV = "https://arxiv.org/abs/"
CAUTION = (
    "A verdict is of the models named beside it, which are far smaller than those of the papers,"
    " mostly with one seed; where two models, or two runs of one, differ, the less favourable"
    " verdict is counted. It says what came out here; it neither proves nor refutes a paper."
    " *Cannot be told* means that the interval holds both answers, or that nobody ran that part."
    " What the numbers are stands in each run, on its tab *Claims*."
)


@dataclass(frozen=True)
class Paper:
    """A paper of the list.

    Attributes:
        paper: authors, year and name.
        says: what is used of it, or why nothing is.
        by: analyses that use it; none where it is used otherwise, or not at all.
        named: what stands in a claim that is of this paper.
        id: on arXiv, "" where it is not known.
    """

    paper: str
    says: str
    by: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim, and what each sample run that measured it says.

    Attributes:
        reported: what the paper reports of it.
        verdicts: by the model of the run.
    """

    analysis: str
    text: str
    reported: str
    verdicts: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The least favourable of those that runs could tell; a run that cannot tell takes nothing
        from one that can.
        """
        return _less_favourable(*self.verdicts.values())

    def is_of(self, paper: Paper) -> bool:
        """Whether the paper made it."""
        words = f"{self.text} | {self.reported}"
        return self.analysis in paper.by and any(name in words for name in paper.named)


def read_list(file: Path = LIST) -> dict[str, list[Paper]]:
    """The papers of each group, in the order of the file."""
    groups = tomllib.loads(file.read_text(encoding="utf-8"))["group"]
    return {group["title"]: [_paper(each) for each in group["papers"]] for group in groups}


def _paper(entry: Mapping[str, Any]) -> Paper:
    lists = {key: tuple(entry.get(key, ())) for key in ("by", "named")}
    return Paper(**{**entry, **lists})


def judged_claims(folders: Iterable[Path] | None = None) -> list[JudgedClaim]:
    """The claims of all sample runs.

    Args:
        folders: runs to read; None: those that ship.
    """
    found: dict[tuple[str, str], JudgedClaim] = {}
    for folder in _sample_runs() if folders is None else folders:
        run = Result.open(folder)
        if "claims" not in run.tables:
            continue
        model = str(run.provenance.model["name"])
        for row in run.tables["claims"].to_dict("records"):
            key = (run.analysis, row["claim"])
            claim = found.setdefault(key, JudgedClaim(*key, str(row["paper"])))
            if row["measured"] != NOT_RUN:
                claim.verdicts.pop(NOT_RUN, None)
                before = claim.verdicts.get(model, OPEN)
                claim.verdicts[model] = _less_favourable(before, row["verdict"])
            elif not claim.verdicts:
                claim.verdicts[NOT_RUN] = row["verdict"]
    return list(found.values())


def _less_favourable(*verdicts: str) -> str:
    """The one that says least for a claim, of those that could be told."""
    return max((each for each in verdicts if each != OPEN), key=VERDICTS.index, default=OPEN)


def _sample_runs() -> Iterator[Path]:
    for place in paths.sample_runs_dirs():
        yield from sorted(file.parent for file in place.glob("*/result.json"))


def page(groups: Mapping[str, list[Paper]], claims: list[JudgedClaim]) -> str:
    """The page as Markdown.

    Raises:
        SystemExit: a paper names an analysis that does not exist.
    """
    papers = [paper for group in groups.values() for paper in group]
    known = {analysis.name for analysis in registry.all_analyses()[0]}
    if lost := {name for paper in papers for name in paper.by} - known:
        sys.exit(f"docs/papers.toml names analyses that do not exist: {', '.join(sorted(lost))}")
    own = [claim for claim in claims if not any(claim.is_of(paper) for paper in papers)]
    judged = [paper for paper in papers if any(claim.is_of(paper) for claim in claims)]
    used = [paper for paper in papers if not paper.says.startswith(("Not done", "Left out"))]
    counts = Counter(claim.verdict for claim in claims)
    lines = [
        "# Papers, and what became of their claims",
        "",
        f"*Made by `python -m docs.papers`.* The methods of the workbench come from"
        f" {counted(len(papers), 'paper')} or groups of papers. {len(used)} are used,"
        f" {len(papers) - len(used)} are not, each with the reason. Claims of {len(judged)} are"
        f" judged by sample runs that ship: of {counted(len(claims), 'claim')}"
        f" {counts[REPLICATES]} are confirmed, {counts[PART]} in part, {counts[FAILS]} are not, and"
        f" {counts[OPEN]} cannot be told.",
        "",
        CAUTION,
        "",
    ]
    for title, group in groups.items():
        lines += [f"## {title}", ""]
        lines += table(
            ["paper", "analysis", "what came of it"],
            ([_name(paper), _methods(paper), _came(paper, claims)] for paper in group),
        )
    lines += ["## The claims", ""]
    for analysis in dict.fromkeys(claim.analysis for claim in claims):
        lines += [f"### {_method(analysis)}", ""]
        rows = [claim for claim in claims if claim.analysis == analysis]
        head = ["claim", "in the paper", "verdict, and on which model"]
        lines += table(head, ([c.text, c.reported, _verdicts(c)] for c in rows))
    if own:
        lines += ["Of no single paper (our own expectations, or what many take for granted):", ""]
        lines += [f"- {claim.text} ({claim.analysis})" for claim in own] + [""]
    return "\n".join(lines).rstrip() + "\n"


def _name(paper: Paper) -> str:
    return f"[{paper.paper}]({ARXIV}{paper.id})" if paper.id else paper.paper


def _methods(paper: Paper) -> str:
    return ", ".join(map(_method, paper.by)) or "–"


def _method(analysis: str) -> str:
    file = HERE / "methods" / f"{analysis}.md"
    return f"[{analysis}](methods/{file.name})" if file.exists() else f"`{analysis}`"


def _came(paper: Paper, claims: list[JudgedClaim]) -> str:
    mine = Counter(claim.verdict for claim in claims if claim.is_of(paper))
    if not mine:
        return paper.says
    told = ", ".join(f"{mine[verdict]} {said}" for verdict, said in SAID.items() if mine[verdict])
    return f"{paper.says} **Claims: {told}.**"


def _verdicts(claim: JudgedClaim) -> str:
    if NOT_RUN in claim.verdicts:
        return f"{OPEN}: {NOT_RUN} in a sample run"
    told = claim.verdicts.items()
    return "; ".join(f"**{SAID[verdict]}** ({model})" for model, verdict in told)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Make docs/papers.md.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    text = page(read_list(), judged_claims())
    if check and text != PAGE.read_text(encoding="utf-8"):
        sys.exit("docs/papers.md is out of date: python -m docs.papers")
    if not check:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What of a paper replicates: its claims, each with what a run measured of it and how sure that is.

    CLAIMS = [
        Claim("Gradients of memorized passages are smaller over all", "9.7 against 53.0", _larger),
    ]

    def _larger(result: Result) -> Measured:
        ...
        return Measured("0.88 against 3.33", verdict_of([sign(low, high)]), "95 %: 0.1 to 0.4")

`say_claims(result, CLAIMS, "Stoehr et al. 2024")` judges them all, and `part(CLAIMS)` shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from workbench import views as v
from workbench.result import Finding, Result
from workbench.schema import Column, FindingSchema, TableSchema
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

REPLICATES, PART, FAILS, OPEN = VERDICTS = (
    "replicates",
    "in part",
    "does not replicate",
    "cannot be told",
)

TABLE = TableSchema("claims", "One row per claim of the paper.", [
    Column("claim", "The claim."),
    Column("paper", "What the paper reports of it.", title="in the paper"),
    Column("measured", "What this run measured on its own model.", title="in this run"),
    Column("verdict", f"One of: {', '.join(VERDICTS)}."),
    Column(
        "uncertainty", "The interval that the verdict rests on, and what it was taken over.",
        optional=True,
    ),
])  # fmt: skip
FINDING = FindingSchema("claims", "Claims of the paper that replicate", "claims")


class Measured(NamedTuple):
    """What a run measured of a claim, and the interval that the verdict rests on."""

    measured: str
    verdict: str
    uncertainty: str


NOT_MEASURED = Measured("not measured", OPEN, "this part was not run")


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Args:
        paper: what the paper reports of it, in its own numbers.
        measure: what a run says of it.
        group: the claims of one group stand in one table under this caption.
        needs: a table of the run without which it was not measured.
    """

    text: str
    paper: str
    measure: Callable[[Result], Measured]
    group: str = "Claim by claim"
    needs: str = ""


def verdict_of(comparisons: Sequence[bool | None]) -> str:
    """One verdict from several comparisons.

    Args:
        comparisons: True holds, False does not, None cannot be told (and so is no reason to say
            that the claim holds).
    """
    if not any(c is True for c in comparisons):
        return FAILS if any(c is False for c in comparisons) else OPEN
    return REPLICATES if all(c is True for c in comparisons) else PART


def say_claims(result: Result, claims: Sequence[Claim], paper: str) -> None:
    """The table `claims`, and how many of them replicate.

    Args:
        paper: whose claims they are, and on which model, e.g. "Doe et al. 2024 (GPT-2)".
    """
    import pandas as pd

    rows = []
    for claim in claims:
        there = not claim.needs or claim.needs in result.tables
        rows.append((claim.text, claim.paper, *(claim.measure(result) if there else NOT_MEASURED)))
    table = pd.DataFrame(rows, columns=[column.name for column in TABLE.columns])
    result.tables["claims"] = table
    counts = {verdict: int((table["verdict"] == verdict).sum()) for verdict in VERDICTS}
    missing = "; ".join(table.loc[table["verdict"] == FAILS, "claim"])
    values = {verdict.replace(" ", "_"): count for verdict, count in counts.items()}
    says = f"Of {counted(len(table), 'claim')} of {paper}, {_summary(counts, missing)}."
    result.add(Finding("claims", values, says, unit="claims"))


def _summary(counts: Mapping[str, int], missing: str) -> str:
    """How many have which verdict, in words, and those that do not replicate."""
    full, part, fails, undetermined = (counts[verdict] for verdict in VERDICTS)
    phrases = [f"{full or 'none'} {'replicate' if full > 1 else 'replicates'} on this model"]
    if part:
        phrases.append(f"{part} {'replicates' if part == 1 else 'replicate'} in part")
    if fails:
        phrases.append(f"{fails} {'does' if fails == 1 else 'do'} not replicate ({missing})")
    if undetermined:
        phrases.append(f"{undetermined} cannot be told")
    return " and ".join(filter(None, (", ".join(phrases[:-1]), phrases[-1])))


def about(paper: str) -> str:
    """What the claims of a paper say beside a run, and what they do not."""
    return (
        f"The claims of {paper}, and what this run measured of each on its own model. A claim that"
        " replicates on one model need not hold on every model; one that does not may depend on"
        " the size or training of the paper's model."
    )


def view(claims: Sequence[Claim], about: str, *more: v.ViewPart) -> v.View:
    """The tab of an analysis that follows a paper: how many of its claims replicate, and each."""
    parts = [v.finding("claims"), v.says(about, small=True), part(claims), *more]
    return v.View("Claims", parts, needs="claims")


def part(claims: Sequence[Claim]) -> v.ViewPart:
    """The claims of a run as tables, one for each group."""
    return v.show(lambda run: _tables(run.tables["claims"], claims), needs="claims")


def _tables(table: pd.DataFrame, claims: Sequence[Claim]) -> list[v.Table]:
    group = table["claim"].map({claim.text: claim.group for claim in claims})
    # A claim whose words changed since the run was saved stands in a table of its own.
    return [
        v.Table(rows, str(caption), of="claims")
        for caption, rows in table.groupby(group.fillna("Further claims"), sort=False)
    ]

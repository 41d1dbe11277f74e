"""What the pictures of a grid show: one number over what varies, and how often each item was
chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench import registry
from workbench.errors import WorkbenchError
from workbench.schema import fits

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

MANY, TOGETHER = 8, 4
"""So many small multiples at most, with so many numbers in each; the others are one click away."""
STEP = re.compile(r"@step-(\d+)$")
_SHARES = ("share", "fraction")
_ITEMS, _LEVELS = 20, 3


@dataclass(frozen=True)
class GridNumber:
    """One number of one finding.

    Attributes:
        share: it is part of a whole, and shown as percent.
        varies: it is not the same in all runs, as a setting or a count of items is.
    """

    finding: str
    value: str
    title: str
    unit: str
    share: bool
    varies: bool

    @property
    def says(self) -> str:
        """ "Answers with memory heads off: memory (share of facts)"."""
        name = "" if self.value == "value" else f": {self.value.replace('_', ' ')}"
        return f"{self.title}{name}"


def numbers(run: Result) -> list[GridNumber]:
    """All numbers of the runs, those of their answer first, and last those that never vary."""
    table = run.tables.get("over_seeds")
    if table is None:
        return []
    lead = _lead(run)
    found = []
    for (finding, value), rows in table.groupby(["finding", "value"], sort=False):
        title, unit = rows["title"].iloc[0], str(rows["unit"].iloc[0])
        share = is_share(rows["mean"].dropna().tolist(), unit)
        # A finding has one unit: that of its rate. What is counted beside it has none that is said.
        unit = "" if unit.startswith(_SHARES) and not share else unit
        varies = rows["largest"].max() > rows["smallest"].min()
        found.append(GridNumber(finding, value, title, unit, share, bool(varies)))

    def place(number: GridNumber) -> tuple[bool, int, bool, bool]:
        at = (n for n, name in enumerate(lead) if fits(name, number.finding))
        # The rate, or the one number, is what a finding is about.
        main = number.value in ("rate", "value")
        return not number.varies, next(at, len(lead)), not main, not number.share

    return sorted(found, key=place)


def _lead(run: Result) -> tuple[str, ...]:
    """Findings that are the answer of the analysis that was run."""
    try:
        answer = registry.get(str(run.params.get("analysis"))).answer
    except WorkbenchError:  # not installed here
        return ()
    return () if answer is None else (*answer.says, *answer.beside)


def multiples(run: Result) -> list[list[GridNumber]]:
    """The numbers that are shown as small multiples, those of one finding in one picture: of the
    answer's findings, else of the first.
    """
    lead, known = _lead(run), numbers(run)
    found = [n for n in known if n.varies] or known
    mine = [n for n in found if any(fits(name, n.finding) for name in lead)] or found
    groups: dict[Any, list[GridNumber]] = {}
    for number in mine:
        # Only shares, and probabilities, of one finding surely stand on one scale.
        one_scale = number.share or number.unit == "probability"
        key = number.finding if one_scale else number
        groups.setdefault(key, []).append(number)
    return [group[:TOGETHER] for group in groups.values()][:MANY]


def rows_of(run: Result, number: GridNumber, table: str = "over_seeds") -> pd.DataFrame:
    """Rows of one number. Of a combination with one run, the interval is the run's own, over its
    items.
    """
    found = run.tables[table]
    mine = found[(found["finding"] == number.finding) & (found["value"] == number.value)]
    if table != "over_seeds":
        return mine
    alone = mine["n"] < 2
    return mine.assign(
        low=mine["low"].where(~alone, mine["items_low"]),
        high=mine["high"].where(~alone, mine["items_high"]),
    )


def varying(run: Result) -> list[str]:
    """Columns of what varies, but the seed."""
    own = {column.name for column in _columns()}
    return [name for name in run.tables["over_seeds"] if name not in own]


def _columns() -> Iterator[Any]:
    from workbench.grid_page.schema import SCHEMA

    table = SCHEMA.table("over_seeds")
    return iter(table.columns if table is not None else ())


def axis(run: Result, frame: pd.DataFrame) -> tuple[str, pd.Series] | None:
    """What stands along x, where something that varies is a number with three values at least:
    its name, and its value for each row. Steps of a training come first.
    """
    import pandas as pd

    columns = varying(run)
    if "model" in columns:
        steps = frame["model"].astype(str).str.extract(STEP)[0]
        if steps.notna().all() and steps.nunique() >= _LEVELS:
            return "training step", steps.astype(int)
    for name in columns:
        if pd.api.types.is_numeric_dtype(frame[name]) and frame[name].nunique() >= _LEVELS:
            return name.removeprefix("param_"), frame[name]
    return None


def series(run: Result, frame: pd.DataFrame, along: str) -> pd.Series:
    """What tells rows apart that stand at the same place along x; "" where nothing does."""
    import pandas as pd

    texts = []
    for row in frame.to_dict("records"):
        words = [
            STEP.sub("", str(row[name])) if name == "model" else f"{_word(name)} {row[name]}"
            for name in varying(run)
            if _word(name) != along
        ]
        texts.append(", ".join(word for word in words if word))
    apart = texts if len(set(texts)) > 1 else [""] * len(texts)
    return pd.Series(apart, index=frame.index, dtype=object)


def _word(name: str) -> str:
    return name.removeprefix("param_")


def together(run: Result, numbers: Sequence[GridNumber]) -> tuple[pd.DataFrame, str]:
    """Rows of several numbers of one finding, their name in the column `name`; shares as percent;
    and the unit that is written at the axis.
    """
    import pandas as pd

    parts = [rows_of(run, n).assign(name=n.value.replace("_", " ")) for n in numbers]
    frame, unit = pd.concat(parts, ignore_index=True).dropna(subset=["mean"]), numbers[0].unit
    if numbers[0].share:
        ends = ["mean", "low", "high"]
        return frame.assign(**{c: 100 * frame[c] for c in ends}), f"%, {unit}"
    return frame, unit


def short_names(combinations: pd.Series) -> pd.Series:
    """Names of combinations without the folder that all begin with."""
    texts = combinations.astype(str)
    begin = texts.iloc[0].partition("/")[0] + "/"
    return texts.str.removeprefix(begin) if texts.str.startswith(begin).all() else texts


def is_share(values: list[float], unit: str) -> bool:
    """Whether numbers are parts of a whole."""
    return unit.startswith(_SHARES) and all(not v < 0 and not v > 1 for v in values)


def often(run: Result) -> pd.DataFrame:
    """Of each choice the items that most runs chose, and in which share of the seeds: columns
    choice, item, combination, percent.
    """
    table = run.tables["choices"]
    total = table.groupby(["choice", "item"], sort=False)["runs"].sum().reset_index()
    first = total.sort_values("runs", ascending=False).groupby("choice", sort=False).head(_ITEMS)
    kept = table.merge(first[["choice", "item"]], on=["choice", "item"])
    order = {item: n for n, item in enumerate(first["item"])}
    kept = kept.sort_values("item", key=lambda items: items.map(order), kind="stable")
    return kept.assign(percent=100 * kept["runs"] / kept["of"])


def is_drawn(run: Result) -> bool:
    """Whether a seed decides anything in the analysis that was run."""
    try:
        return "seed" in registry.get(str(run.params.get("analysis"))).Params.model_fields
    except WorkbenchError:  # not installed here
        return has_seeds(run)


def has_seeds(run: Result) -> bool:
    """Whether any combination was run under several seeds."""
    table = run.tables.get("over_seeds")
    return table is not None and bool((table["n"] > 1).any())

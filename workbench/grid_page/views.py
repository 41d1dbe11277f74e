"""The pages of a grid: what holds over seeds, every number over what varies, and the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup

from workbench import draw
from workbench import views as v
from workbench.grid_page import selections
from workbench.grid_page.selections import GridNumber

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

ANSWER = v.Answer(
    says=("stability", "extremes", "runs"), picture=("Overview", 0), beside=("spread",)
)
_COLUMNS = 12  # combinations of one matrix


def _stable(run: Result) -> list[Any]:
    """How often each item was chosen: bars for one combination, else a matrix of them."""
    if "choices" not in run.tables or not selections.has_seeds(run):
        return []
    table, pictures = selections.often(run), []
    for choice, rows in table.groupby("choice", sort=False):
        title = f"{str(choice).capitalize()} chosen"
        if rows["combination"].nunique() == 1:
            bars = rows.assign(name=rows["item"])
            pictures.append(
                v.picture(
                    "labelled_bars",
                    bars,
                    "name",
                    "percent",
                    title=f"{title} (% of seeds)",
                    said="{:.0f} %",
                )
            )
        else:
            pictures.append(
                v.picture(
                    "matrix", _whole(rows), "combination", "item", "percent", title=title,
                    unit="% of seeds", top=100.0, longest=32,
                )
            )  # fmt: skip
    return pictures


def _whole(rows: pd.DataFrame) -> pd.DataFrame:
    """A cell for every item and combination; what was never chosen is 0."""
    rows = rows.assign(combination=selections.short_names(rows["combination"]))
    names = list(dict.fromkeys(rows["combination"]))[:_COLUMNS]
    wide = rows.pivot(index="item", columns="combination", values="percent").fillna(0.0)
    wide = wide.loc[list(dict.fromkeys(rows["item"])), names]
    return wide.reset_index().melt("item", var_name="combination", value_name="percent")


def _picture(run: Result, numbers: Sequence[GridNumber]) -> list[Any]:
    """Numbers of one finding over what varies: curves where that is a number, else rows."""
    frame, unit = selections.together(run, numbers)
    if frame.empty:
        return []
    one, title = len(numbers) == 1, numbers[0].says if len(numbers) == 1 else numbers[0].title
    along = selections.axis(run, frame)
    if along is not None:
        name, places = along
        names = selections.series(run, frame, name)
        of = names if one else names.where(names == "", names + ", ") + frame["name"]
        data = frame.assign(at=places, of=of.where(of != "", "mean"))
        return [
            v.picture(
                "curves", data, "at", "mean", "of", title=title, ylabel=unit, xlabel=name,
                interval=("low", "high"),
            )
        ]  # fmt: skip
    over = "mean over seeds" if (frame["n"] > 1).any() else "one run"
    of = over if one else frame["name"]
    data = frame.assign(of=of, combination=selections.short_names(frame["combination"]))
    return [
        v.picture(
            "intervals", data, "combination", "of", title=title, unit=unit, zero=False, longest=32
        )
    ]


def _multiples(run: Result) -> list[Any]:
    drawn = [one for numbers in selections.multiples(run) for one in _picture(run, numbers)]
    return [v.Beside(drawn[n : n + 2], width=520) for n in range(0, len(drawn), 2)]


def _by_number(run: Result) -> dict[str, GridNumber]:
    return {f"{number.says} ({number.finding})": number for number in selections.numbers(run)}


def _one(run: Result, pick: v.Pick) -> list[Any]:
    """One number as a picture, and its runs from the largest to the smallest."""
    number = pick["number"]
    if number is None:
        return []
    rows = selections.rows_of(run, number, "numbers").sort_values("number", ascending=False)
    names = run.tables["runs"].set_index("id")["run"]
    table = rows.assign(run=rows["id"].map(names))[["run", "number", "unit", "id"]]
    return [
        *_picture(run, [number]),
        v.Table(table, "Every run, largest first", of="numbers", picks="run", by="id"),
    ]


def _open(run: Result, pick: v.Pick) -> Any:
    """The chosen run: what it says, and the way to its page."""
    table = run.tables["runs"]
    chosen = table[table["id"] == pick["run"]]
    if chosen.empty:
        return None
    row = chosen.iloc[0]
    if row["state"] != "done":
        return draw.paragraph(f"{row['run']}: {row['state']}. {row['says']}")
    return Markup(
        '<p class="wb-says"><b>{}</b> {} <a href="explorer?run={}">Open this run</a></p>'
    ).format(row["run"], row["says"], quote(str(row["id"]), safe=""))


_PICKED = {"run": lambda run, pick: pick.kept("run")}

VIEWS = [
    v.View("Overview", needs="over_seeds", parts=[
        v.finding("stability"),
        v.show(_stable),
        v.finding("extremes", "spread"),
        v.show(_multiples),
        v.says(
            "Intervals are 95 %: over the seeds (Student's) where there are several, else the run's"
            " own over its items.", small=True,
        ),
    ]),
    v.View("One number", needs="over_seeds", first=_PICKED, parts=[
        v.knob("number", "Number", _by_number, width=520),
        v.on("run", _open, examples=v.live_only),
        v.on(("number",), _one, picks="run"),
        v.table("over_seeds", "All numbers over the seeds"),
    ]),
    v.View("Choices", needs="choices", otherwise="this analysis chooses nothing", parts=[
        v.finding("stability"),
        v.table("choices", "How many of the runs chose each item", order=["combination", "-runs"]),
    ]),
    v.View("Runs", needs="runs", first=_PICKED, parts=[
        v.finding("runs"),
        v.on("run", _open, examples=v.live_only),
        v.table("runs", "All runs", picks="run", by="id"),
    ]),
]  # fmt: skip

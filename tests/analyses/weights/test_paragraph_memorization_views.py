"""How a paragraph-memorization run looks: drawn from its folder without a model, linked,
escaped, honest about gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import panel as pn
import pytest

from analyses.weights.paragraph_memorization import views, weight_edits
from ui.runs.static_views import Fragment, fragment
from workbench import registry
from workbench.draw import passage, view
from workbench.draw.view import View, pictures
from workbench.paths import sample_runs_dirs
from workbench.result import Result

SAMPLES = Path(__file__).parents[3] / "sample_runs"
SAMPLE = SAMPLES / "where-an-organism-keeps-passages"
OLDER = sample_runs_dirs()[1] / "where-planted-smollm2-keeps-passages"
TITLES = ["Passages", "Triggers", "Weights", "Heads", "Patching", "Removal", "Claims", "Seeds"]
HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1> \n$$x$$"


@pytest.fixture
def result() -> Result:
    return Result.open(SAMPLE)


class Noting(dict[str, pd.DataFrame]):
    """Tables that note which of them are asked for."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        super().__init__(tables)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> pd.DataFrame:
        self.asked.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Fragment, set[str]]]:
    """Every tab of the sample, and the tables that it asks for."""
    result = Result.open(SAMPLE)
    result.tables = tables = Noting(result.tables)
    found = {}
    for title, one in views_of(result).items():
        tables.asked = set()
        made = fragment(title, one)
        found[title] = made, tables.asked
    return found


def views_of(result: Result) -> dict[str, View]:
    return registry.get("paragraph-memorization").views(result)


def html_of(result: Result) -> dict[str, str]:
    from ui.runs.static_views import fragments

    return {title: made.html for title, made in fragments(result)}


def test_every_tab_draws_from_the_folder(drawn: dict[str, tuple[Fragment, set[str]]]) -> None:
    made = {title: one for title, (one, _) in drawn.items()}
    assert list(made) == TITLES
    assert not [
        title
        for title, one in made.items()
        if "cannot be drawn" in one.html or "Not shown" in one.html
    ]
    assert [len(one.items) for one in made.values()] == [0, 2, 10, 5, 2, 4, 0, 1]


@pytest.mark.parametrize("sample", [SAMPLE, OLDER])
def test_a_run_holds_what_the_schema_says(sample: Path) -> None:
    analysis = registry.get("paragraph-memorization")
    assert list(analysis.schema.problems(Result.open(sample))) == []


def test_headings_say_units_and_what_they_mean() -> None:
    result = Result.open(OLDER)
    table = view.still_parts(views_of(result)["Removal"])
    (every,) = [part for part in table if isinstance(part, view.Table)]
    heading, says = every.headings["prefix_match_same_steps"]
    assert "(tokens)" in heading
    assert "contrast mask" in says
    parts = view.still_parts(views_of(result)["Claims"])
    (claims,) = [part for part in parts if isinstance(part, view.Table)]
    assert set(claims.frame["verdict"]) == {"replicates", "does not replicate", "cannot be told"}


@pytest.mark.parametrize(
    "lacking", ["by_position", "weight_gradients", "heads", "weight_edits", "claims"]
)
def test_a_run_stopped_in_the_middle_says_what_was_not_measured(
    result: Result, drawn: dict[str, tuple[Fragment, set[str]]], lacking: str
) -> None:
    """Of the tabs those that would ask for it; the others cannot know."""
    del result.tables[lacking]
    concerned = [title for title, (_, asked) in drawn.items() if lacking in asked]
    assert concerned
    views = views_of(result)
    text = " ".join(fragment(title, views[title]).html for title in concerned)
    assert "cannot be drawn" not in text
    assert "again" in text


def test_a_run_without_traces_and_changes_says_why(result: Result) -> None:
    result.params |= {"parts": ["heads"]}
    del result.arrays["patch_heads"], result.tables["weight_edits"]
    views = views_of(result)
    assert "'patching' was not run" in views["Patching"].why_not
    assert "'edits' was not run" in views["Removal"].why_not


def texts_of(page: Any) -> list[Any]:
    return page.select(lambda part: hasattr(part, "object") and isinstance(part.object, str))


def test_passage_token_and_layer_are_linked(result: Result) -> None:
    page, pick = views_of(result)["Passages"].live([]), result.selection
    texts, name = texts_of(page), result.tables["passages"]["name"][1]
    (what,) = page.select(pn.widgets.Select)
    replaced, listed = page.select(pn.widgets.Tabulator)
    before = [part.object for part in texts]
    pick.prompt = 1
    changed = [part.object for part in texts]
    assert sum(a != b for a, b in zip(before, changed, strict=True)) >= 3
    assert any(f"{name} – memorized" in text for text in changed)
    assert listed.selection == [1]
    pick.param.update(pos=49, layer=2)
    after = [part.object for part in texts]
    assert sum(a != b for a, b in zip(changed, after, strict=True)) >= 2
    assert any("Token 49" in text for text in after)
    draws = result.tables["perturbed"].query("passage == 1 and pos == 49")
    assert list(replaced.value.iloc[:, 0]) == [f"“{token}”" for token in draws["replacement"]]
    table = cells_of(texts)
    assert "passage into twin" in table
    what.value = what.options["gradient at rot_q"]
    assert "rot_q, largest gradient" in cells_of(texts)
    assert 'data-at="2,49" class="wb-here"' in cells_of(texts)
    not_memorized = result.tables["passages"].query("group == 'not memorized'")["passage"].iloc[0]
    pick.prompt = int(not_memorized)
    assert any("Choose one of those" in part.object for part in texts)
    assert listed.selection == [list(result.tables["passages"]["passage"]).index(not_memorized)]


def cells_of(texts: list[Any]) -> str:
    """The table of layers by tokens on the page."""
    (found,) = [part.object for part in texts if 'class="wb-cells"' in part.object]
    return found


def test_a_row_and_a_click_choose_passage_layer_and_token(result: Result) -> None:
    page, pick = views_of(result)["Passages"].live([]), result.selection
    listed = page.select(pn.widgets.Tabulator)[-1]
    for call in listed._on_click_callbacks[None]:
        call(SimpleNamespace(row=3))
    assert pick.prompt == 3
    strip, cells = page.select(pn.widgets.TextInput)
    strip.value = "12 1"
    assert pick.pos == 12
    cells.value = "4,30 2"
    assert (pick.layer, pick.pos) == (4, 30)
    cells.value = "4,3000 3"  # no such token
    assert (pick.layer, pick.pos) == (4, 30)


def test_heads_are_linked_to_the_selection(result: Result) -> None:
    made = views_of(result)["Heads"]
    page = made.live(pictures(made))
    texts = texts_of(page)
    figures = [pane.object for pane in page.select(pn.pane.Bokeh)]
    (choose,) = page.select(pn.widgets.Select)
    (table,) = page.select(pn.widgets.Tabulator)
    result.selection.choose(3, 5)
    assert any("L3H5" in part.object and "not selected" in part.object for part in texts)
    assert "L3H5 switched off: change of leading tokens, by passage" in [
        f.title.text for f in figures
    ]
    assert choose.value == (3, 5)
    assert list(table.value["label"])[table.selection[0]] == "L3H5"
    for call in table._on_click_callbacks[None]:
        call(SimpleNamespace(row=0))
    assert result.selection.head == (0, 3)
    (card,) = [part.object for part in texts if "wb-card-name" in part.object]
    assert "L0H3" in card
    assert "selected, rank 1 of 48 by the tokens lost without it" in card
    assert "12\u00a0%, 2.4 times chance" in card
    choose.value = (5, 1)
    assert result.selection.head == (5, 1)
    assert "L5H1 switched off: change of leading tokens, by passage" in titles_of(figures)


def titles_of(figures: list[Any]) -> list[str]:
    return [figure.title.text for figure in figures]


def test_attention_on_triggers_is_counted_from_chance(result: Result) -> None:
    from workbench.draw.head_grids import cells_of as cells

    made = views_of(result)["Heads"]
    grid = made.live(pictures(made)).select(pn.pane.Bokeh)[1].object
    data = cells(grid).data
    lift = result.tables["heads"].set_index("label")["trigger_attention_ratio"]
    shown = dict(zip(data["name"], data["value"], strict=True)) if "value" in data else {}
    assert grid.title.text == "Attention to triggers"
    assert shown == pytest.approx(dict(lift - 1))


def test_a_change_can_be_taken_from_the_page(result: Result, tmp_path: Path) -> None:
    made = views_of(result)["Removal"]
    page = made.live(pictures(made))
    (button,) = page.select(pn.widgets.FileDownload)
    file = tmp_path / "it.safetensors"
    file.write_bytes(button.callback().getvalue())
    from workbench.models import weight_delta

    names = list(weight_edits.names(result))
    assert weight_delta.read(file).about == weight_edits.delta(result, names[0]).about
    (choose,) = [w for w in page.select(pn.widgets.Select) if w.name == "Edit"]
    choose.value = names[1]
    (button,) = page.select(pn.widgets.FileDownload)
    assert button.filename == f"{names[1]}.safetensors"
    file.write_bytes(button.callback().getvalue())
    assert weight_delta.read(file).about == weight_edits.delta(result, names[1]).about


def test_text_of_a_stranger_stays_text(result: Result) -> None:
    for column in ("name", "suffix", "generated", "prefix"):
        result.tables["passages"][column] = HOSTILE
    result.tables["tokens"]["token"] = HOSTILE
    result.tables["perturbed_twins"]["replacement"] = HOSTILE
    result.tables["rewrite_targets"]["target"] = HOSTILE
    text = " ".join(html_of(result).values())
    assert "<script>window" not in text
    assert "<img src=x" not in text


def test_the_strip_shows_what_is_given_and_what_is_said(result: Result) -> None:
    table, pick = result.tables["passages"], views.VIEWS[0].pick(result)
    memorized = views.text(result, pick.at(prompt=int(table["passage"].iloc[0])))[0].markup
    assert "50 leading tokens reproduced" in memorized
    assert passage.SAID in memorized
    assert passage.ELSE not in memorized
    other: Any = table.query("group == 'not memorized'")["passage"].iloc[0]
    strip, instead = views.text(result, pick.at(prompt=int(other)))
    assert passage.ELSE in strip.markup
    assert "greedy decoding generates" in instead

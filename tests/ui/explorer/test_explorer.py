"""The Explorer without a browser: what it shows of good, broken, unknown and foreign runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markupsafe import Markup

from tests.helpers.synthetic import synthetic_result
from ui.explorer import address, compare, parts
from ui.explorer.page import Explorer
from ui.runs import answer, numbers
from ui.runs.static_views import fragment
from ui.runs.thumbnails import thumbnail
from workbench import registry
from workbench.draw.view import View
from workbench.result import Finding
from workbench.schema import Schema


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    synthetic_result().save(root / "one")
    synthetic_result(seed=2).save(root / "two")
    foreign = synthetic_result()
    foreign.analysis = "not-installed"
    foreign.save(root / "foreign")
    (root / "broken").mkdir()
    (root / "broken" / "result.json").write_text("{")
    return root


def texts(explorer: Explorer) -> str:
    return " ".join(
        str(p.object)
        for column in (explorer.side, explorer.main)
        for p in column.select()
        if type(p).__name__ == "HTML"
    )


def test_a_run_with_findings_tabs_and_provenance(runs: Path) -> None:
    explorer = Explorer(runs, {"run": "one", "head": "L2H0", "view": "Heads"})
    shown = texts(explorer)
    for words in (
        "which attention heads decide?",
        "88\u00a0%",
        "toy-6l",
        "workbench run knowledge-conflict",
        "L2H0",
    ):
        assert words in shown


def test_the_answer_stands_first_with_its_picture_and_its_control(runs: Path) -> None:
    explorer = Explorer(runs, {"run": "one"})
    tabs = next(w for w in explorer.main.select() if type(w).__name__ == "RadioButtonGroup")
    assert tabs.value == tabs.options[0] == "Answer"
    assert tabs.options[-2:] == ["All numbers", "Tables"]
    top = str(explorer.main[0].object)
    result = synthetic_result()
    base, control = result.findings["base"].says, result.findings["random"].says
    assert top.index(result.question) < top.index(base) < top.index("How sure?")
    assert f"n = {result.findings['base'].values['n']:g}" in top
    assert control not in top
    assert control in texts(explorer)


def test_a_run_is_found_by_words_and_what_is_open_stays_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.paths.sample_runs_dirs", lambda: [])
    for n in range(8):
        synthetic_result().save(tmp_path / f"run-{n}")
    explorer = Explorer(tmp_path, {"run": "run-1"})
    find, choose, other = (w for w in explorer.side.select() if hasattr(w, "value"))
    assert len(choose.options) == 9
    find.value_input = "RUN-7 knowledge"
    assert set(choose.options.values()) == {"", "run-1", "run-7"}
    assert choose.value == "run-1"
    find.value_input = "no such run"
    assert set(choose.options.values()) == {"", "run-1"}
    assert set(other.options.values()) == {"", "run-1"}


def test_how_sure_counts_known_verdicts_and_survives_a_strangers_run() -> None:
    result = synthetic_result()
    assert "one seed" in answer.certainty(result)
    result.tables["claims"] = pd.DataFrame(
        {"verdict": ["replicates", "replicates", "cannot be told", "<b>", ["a list"], None]}
    )
    assert "claims of the paper: 2 replicates, 1 cannot be told" in answer.certainty(result)
    result.params = {}
    result.add(Finding("seeds", {"other": 3.0}, "No value.", unit="runs"))
    assert "seed" not in answer.certainty(result)


def test_a_run_stopped_before_its_picture_says_so_in_its_place(runs: Path) -> None:
    result = synthetic_result()
    del result.tables["rates"]
    assert "stopped" in texts(Explorer(result=result))
    whole = fragment("Rates", registry.get(result.analysis).views(result)["Rates"])
    assert whole.picture(0) == whole
    drawn = fragment("Rates", registry.get(result.analysis).views(synthetic_result())["Rates"])
    assert [len(drawn.picture(n).items) for n in range(2)] == [1, 1]
    assert drawn.picture(0).items != drawn.picture(1).items


def test_what_an_address_asks_for_and_is_not_here_is_said_once_and_forgotten(runs: Path) -> None:
    wrong = {"view": "<b>Nowhere", "Heads.who": "x", "Tables.table": "<i>", "Other.a": "1"}
    explorer = Explorer(runs, {"run": "one", "Tables.page-rates": "99", **wrong})
    shown = texts(explorer)
    assert shown.count("asks for what is not here") == 1
    for told in ("“&lt;b&gt;Nowhere”", "“Heads.who”", "“Tables.table”", "“Other.a”"):
        assert told in shown
    assert explorer._result.selection.in_views == {"Tables.page-rates": "99"}
    assert "asks for" not in texts(Explorer(runs, {"run": "one", "Tables.table": "facts"}))


def test_a_table_that_was_looked_at_is_opened_again(runs: Path) -> None:
    explorer = Explorer(runs, {"run": "one", "view": "Tables", "Tables.table": "tokens"})
    (choose,) = (w for w in explorer._slots["Tables"].select() if type(w).__name__ == "Select")
    assert choose.value == "tokens"
    choose.value = "facts"
    assert explorer._result.selection.in_views == {"Tables.table": "facts"}


def test_two_runs_each_have_their_own_state(runs: Path) -> None:
    mine = {"head": "L2H0", "Tables.table": "facts"}
    theirs = {"with.head": "L3H1", "with.prompt": "2", "with.Tables.table": "tokens"}
    explorer = Explorer(runs, {"run": "one", "with": "two", **mine, **theirs})
    a, b = explorer._result.selection, explorer._other.selection
    assert (a.head, a.prompt, a.in_views) == ((2, 0), 0, {"Tables.table": "facts"})
    assert (b.head, b.prompt, b.in_views) == ((3, 1), 2, {"Tables.table": "tokens"})
    assert address.as_text(explorer._result, explorer._other).items() >= {**mine, **theirs}.items()
    explorer._follow({"run": "one", "with": "two", "with.head": "L1H1"})
    assert (b.head, b.prompt, b.in_views) == ((1, 1), 0, {})
    assert a.in_views == {}


def test_to_compare_keeps_what_was_chosen_in_the_run_that_stays(runs: Path) -> None:
    explorer = Explorer(runs, {"run": "one", "view": "Heads", "head": "L2H0", "Heads.who": "x"})
    explorer._result.selection.choose(4, 2)
    explorer._with.value = "two"
    assert explorer._result.selection.head == (4, 2)
    assert explorer._tabs.value == "Heads"
    assert "asks for" not in texts(explorer)


def test_runs_of_different_analyses_show_the_views_of_both(runs: Path) -> None:
    foreign = texts(Explorer(runs, {"run": "one", "with": "foreign", "view": "Rates"}))
    assert "Run B has no pictures here" in foreign
    assert foreign.count("cannot be drawn here") == 1
    turned = Explorer(runs, {"run": "foreign", "with": "one"})
    assert {"A − B", "Rates", "All numbers", "Tables"} <= set(turned._makers)
    assert list(turned._makers)[-2:] == ["All numbers", "Tables"]


def test_a_page_is_called_by_the_runs_it_shows(runs: Path) -> None:
    one, two = (parts.page_title(runs, {"run": run}) for run in ("one", "two"))
    assert one.endswith(" · Memory Workbench")
    both = parts.page_title(runs, {"run": "two", "with": "one"})
    names = [title.removesuffix(" · Memory Workbench") for title in (two, one)]
    assert both == f"{' and '.join(names)} · Memory Workbench"
    assert parts.page_title(runs, {"run": "nothing"}) == "Explorer · Memory Workbench"
    assert len(parts.window_title(["T" * 10_000] * 2)) < 300


def test_two_runs_keep_where_the_first_comes_from(runs: Path) -> None:
    shown = texts(Explorer(runs, {"run": "one", "with": "two"}))
    assert "workbench run knowledge-conflict" in shown


def test_every_number_has_a_title_and_a_unit() -> None:
    result = synthetic_result()
    frame = numbers.table(result)
    assert len(frame) == sum(len(f.values) for f in result.findings.values())
    assert "_" not in " ".join(frame["title"])
    assert list(frame.columns) == list(numbers.HEADINGS)


def test_all_numbers_have_headings_that_a_stranger_reads(runs: Path) -> None:
    explorer = Explorer(runs, {"run": "one", "view": "All numbers"})
    (table,) = (w for w in explorer._slots["All numbers"].select() if hasattr(w, "titles"))
    assert table.titles["title"] == "finding"
    assert "in words" in table.titles.values()


def test_two_runs_side_by_side(runs: Path) -> None:
    explorer = Explorer(runs, {"run": "one", "with": "two"})
    shown = texts(explorer)
    assert "Two runs" in shown
    assert "all three on one scale" in shown


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "Choose a run"),
        ({"run": "broken"}, "damaged"),
        ({"run": "nothing-like-it"}, "There is no run"),
        ({"run": "../../etc"}, "There is no run"),
        ({"run": "foreign"}, "cannot be drawn here"),
    ],
)
def test_what_cannot_be_shown_is_said(runs: Path, query: dict[str, str], words: str) -> None:
    shown = texts(Explorer(runs, query))
    assert words in shown
    assert "Traceback" not in shown


def test_no_runs_at_all_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.explorer.parts.listing", lambda runs: [])
    assert "no finished run yet" in texts(Explorer(tmp_path))


def test_one_broken_view_leaves_the_page_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench import registry

    class Odd:
        answer, schema = None, Schema()

        @staticmethod
        def views(result: Any) -> dict[str, Any]:
            return {"Bad": View(lambda: [1 / 0]), "Good": View(lambda: ["all well"])}

    monkeypatch.setattr(registry, "get", lambda name: Odd)
    monkeypatch.setattr("workbench.commands.changed_params", lambda result: {})
    shown = texts(Explorer(result=synthetic_result()))
    assert "ZeroDivisionError" in shown
    assert str(Markup.escape(next(iter(synthetic_result().findings.values())).says)) in shown


def test_thumbnail_is_drawn_once_and_kept(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    drawn = thumbnail(runs / "one")
    assert drawn is not None
    assert drawn.startswith(b"\x89PNG")
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 1
    assert thumbnail(runs / "one") == drawn
    assert thumbnail(runs / "broken") is None


def test_what_two_runs_measured_has_its_unit() -> None:
    result = synthetic_result()
    assert compare._unit(result, "heads", "effect_difference") == "logits"
    result.analysis = "not-installed"
    assert compare._unit(result, "heads", "effect_difference") == ""

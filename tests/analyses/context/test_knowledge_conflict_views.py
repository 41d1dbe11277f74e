"""The views of knowledge-conflict on a synthetic run: whole, partial and hostile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

from analyses.context.knowledge_conflict import selections
from tests.helpers.synthetic import synthetic_result
from ui.runs import static_views
from workbench import registry
from workbench.draw import view as drawing
from workbench.draw.head_grids import cells_of
from workbench.draw.view import still_parts
from workbench.result import Finding, Result

TITLES = ["Rates", "Heads", "Depth", "Facts", "Dial", "How many heads", "Cost", "Transfer"]
ROOT = Path(__file__).parents[3]
SAMPLES = [
    ROOT / "sample_runs/capitals",
    ROOT / "packages/samples/memory_workbench_samples/languages-in-a-dialogue",
]


def views(result: Result) -> dict[str, drawing.View]:
    return registry.get("knowledge-conflict").views(result)


def live(result: Result, title: str) -> Any:
    """The live form as a page makes it: over the pictures that the still one drew."""
    view = views(result)[title]
    return view.live(static_views.fragment(title, view).figures())


def said(part: Any) -> str:
    """All the text of a live page's HTML, or of a still page's."""
    if isinstance(part, list):
        return " ".join(str(p) for p in part if isinstance(p, str))
    return " ".join(str(p.object) for p in part.select() if type(p).__name__ == "HTML")


def figures(page: Any) -> list[Any]:
    return [p.object for p in page.select() if type(p).__name__ == "Bokeh"]


def the(page: Any, kind: str, name: str = "") -> Any:
    """The one widget of a kind and name."""
    found = [p for p in page.select() if type(p).__name__ == kind and name in (p.name or "")]
    assert len(found) == 1, [p.name for p in found]
    return found[0]


def click(table: Any, row: int) -> None:
    for call in table._on_click_callbacks[None]:
        call(SimpleNamespace(row=row, column="label"))


def ringed(grid: Any) -> list[tuple[int, int]]:
    """The heads in a ring in a drawn grid."""
    rings = next(
        r.data_source.data for r in grid.renderers if {"thick", "hue"} <= set(r.data_source.data)
    )
    return [
        (round(y + 0.45), round(x + 0.46)) for x, y in zip(rings["x0"], rings["y0"], strict=True)
    ]


def test_every_view_has_a_still_form() -> None:
    result = synthetic_result()
    assert [*TITLES, "Evidence"] == list(views(result))
    for title in TITLES:
        assert list(still_parts(views(result)[title]))


@pytest.mark.parametrize("title", TITLES)
def test_a_run_with_nothing_in_it_says_why(title: str) -> None:
    empty = Result("knowledge-conflict", tables={}, arrays={})
    parts = list(still_parts(views(empty)[title]))
    assert any("wb-empty" in str(part) for part in parts)
    assert views(empty)[title].__panel__() is not None


@pytest.mark.parametrize("title", ["Dial", "How many heads", "Cost"])
def test_what_cannot_be_told_is_said_instead_of_a_picture(title: str) -> None:
    result = synthetic_result()
    for name in ("selected_heads", "k_curve", "random_sets"):
        result.tables[name] = result.tables.get(name, result.tables["heads"]).head(0)
    del result.tables["dial"]
    result.tables["cost"] = result.tables["cost"].head(1)
    for group in ("context", "memory"):
        result.add(Finding(f"undetermined_{group}", 1.0, f"No {group} heads: no room."))
    parts = views(result)[title].still()
    text = said(parts)
    assert text.count("cannot be told") == 2
    assert "No context heads: no room." in text
    assert "not measured" not in text
    assert not [p for p in parts if not isinstance(p, str)]


def test_what_could_not_be_told_of_one_group_stands_beside_the_other() -> None:
    result = synthetic_result()
    result.add(Finding("undetermined_memory", 1.0, "No memory heads: no room."))
    for title in ("Rates", "Heads", "Dial", "How many heads", "Cost", "Transfer"):
        parts = views(result)[title].still()
        assert "Memory heads cannot be told." in said(parts)
        assert [p for p in parts if not isinstance(p, str)]


def test_transfer_is_hidden_with_its_reason() -> None:
    assert "option" in views(synthetic_result(transfer=False))["Transfer"].why_not
    assert not views(synthetic_result())["Transfer"].why_not


def test_the_claim_says_how_many_heads_were_compared_and_shows_the_control() -> None:
    result = synthetic_result()
    text = said(views(result)["Rates"].still())
    assert "24 heads were compared; selected: 3 memory heads and 5 context heads" in text
    for name in ("base", "prune_context", "prune_memory", "random_for_context"):
        assert result.findings[name].says in text
    sets, beside = selections.random_sets(result), selections.beside_random(result)
    assert list(beside) == ["5 heads off → memory", "3 heads off → context"]
    assert beside["5 heads off → memory"] == {"no intervention": 0.4, "selected heads off": 0.88}
    of_memory = sets[sets["line"] == "3 heads off → context"]
    assert list(of_memory["favoured"]) == list(of_memory["context"])
    assert len(of_memory) == 20


def test_a_head_chosen_anywhere_is_the_head_everywhere() -> None:
    result = synthetic_result()
    page = live(result, "Heads")
    grids, bars = figures(page)[:3], figures(page)[3]
    heads, table = the(page, "Select", "Head"), the(page, "Tabulator")
    assert result.selection.head == (4, 1)  # the strongest, when nothing was chosen before
    assert "L4H1 on each of 6 facts" in bars.title.text

    def shown(label: str, at: tuple[int, int], about: str) -> None:
        assert result.selection.head == heads.value == at
        assert f"{label} <" in said(page)
        assert about in said(page)
        assert f"{label} on prompt {result.selection.prompt}" in said(page)
        assert [ringed(grid) for grid in grids] == [[at]] * 3
        assert f"{label} on each of 6 facts" in bars.title.text
        assert list(table.value["label"].iloc[table.selection]) == [label]
        effects = result.arrays["effects"].sel({"method": "path", "layer": at[0], "head": at[1]})
        each = (effects.sel(answer="memory") - effects.sel(answer="context")).values
        drawn = next(r.data_source.data["v"] for r in bars.renderers if "v" in r.data_source.data)
        assert np.allclose(sorted(drawn), sorted(each))

    shown("L4H1", (4, 1), "memory head 1; rank 1 of 24 by path patching")
    result.selection.choose(2, 0)
    shown("L2H0", (2, 0), "context head 1; rank")
    heads.value = (1, 3)
    shown("L1H3", (1, 3), "by path patching")
    click(table, list(table.value["label"]).index("L5H2"))
    shown("L5H2", (5, 2), "by path patching")
    result.selection.choose(0, 1, add=True)
    assert sorted(table.value["label"].iloc[table.selection]) == ["L0H1", "L5H2"]


def test_a_prompt_chosen_anywhere_is_the_prompt_everywhere() -> None:
    result = synthetic_result()
    heads, facts = live(result, "Heads"), live(result, "Facts")
    prompts, table = the(heads, "Select", "Prompt"), the(facts, "Tabulator")
    assert prompts.value == 0
    assert "Prompt 0" in said(facts)
    result.selection.choose(2, 0)
    click(table, 3)
    assert result.selection.prompt == prompts.value == 3
    assert "L2H0 on prompt 3" in said(heads)
    assert "Prompt 3" in said(facts)
    assert f"the model followed: {result.tables['facts']['outcome'][3]}" in said(facts)
    prompts.value = 5
    assert result.selection.prompt == 5
    assert table.selection == [5]
    assert "L2H0 on prompt 5" in said(heads)
    assert "Prompt 5" in said(facts)


def test_what_this_run_does_not_have_cannot_be_looked_at() -> None:
    result = synthetic_result()
    result.selection.choose(40, 9)
    result.selection.prompt = 99
    page, facts = live(result, "Heads"), live(result, "Facts")
    assert "L4H1 on prompt 0" in said(page)
    assert "Prompt 0" in said(facts)


def test_the_strongest_heads_can_be_unfolded_on_a_page_without_python() -> None:
    parts = views(synthetic_result())["Heads"].still()
    folds = [str(p) for p in parts if isinstance(p, str) and "<details" in p]
    names = [fold.split("<summary>")[1].split(" ")[0] for fold in folds]
    heads = synthetic_result().tables["heads"]
    first = heads[heads["role"] != ""].sort_values(["rank", "role"])["label"].head(6)
    assert names == list(first)
    for name, fold in zip(names, folds, strict=True):
        assert all(f"{name} on prompt {n}" in fold for n in range(3))
        assert "path patching</th><td>memory +" in fold or "path patching</th><td>memory -" in fold
        assert "nan" not in fold
    assert [" open>" in fold for fold in folds] == [True, True, False, False, False, False]


def test_the_grids_show_the_table_on_one_scale_with_the_picked_heads_outlined() -> None:
    result = synthetic_result()
    result.tables["selected_heads"] = pd.DataFrame({"group": ["memory"], "layer": [4], "head": [1]})
    table = result.tables["heads"].set_index("label")
    limits = set()
    for grid, column in zip(
        figures(live(result, "Heads"))[:3],
        ("effect_memory", "effect_context", "effect_difference"),
        strict=True,
    ):
        cells = cells_of(grid).data
        assert np.allclose(cells["value"], table[column].reindex(list(cells["name"])))
        roles = dict(zip(cells["name"], cells["role"], strict=True))
        assert {n: role for n, role in roles.items() if role != "–"} == {"L4H1": "memory"}
        mapper = next(
            r.glyph.fill_color["transform"] if isinstance(r.glyph.fill_color, dict)
            else r.glyph.fill_color.transform
            for r in grid.renderers if r.data_source is cells_of(grid)
        )  # fmt: skip
        limits.add(mapper.high)
    assert limits == {
        table[["effect_memory", "effect_context", "effect_difference"]].abs().to_numpy().max()
    }


def test_only_the_runs_own_ranking_is_drawn() -> None:
    result = synthetic_result()
    mine = result.tables["k_curve"]
    other = mine.assign(rank_by="path", memory=0.0)
    result.tables["k_curve"] = pd.concat([mine, other])
    drawn = dict(list(selections.k_curve(result).groupby("title", sort=False)))
    assert list(drawn) == [
        "Context heads switched off: answers (%)",
        "Memory heads switched off: answers (%)",
    ]
    for rows, group in zip(drawn.values(), ("context", "memory"), strict=True):
        assert np.allclose(rows["memory"], 100 * mine.loc[mine["group"] == group, "memory"])


def test_gains_without_room_are_dashes() -> None:
    result = synthetic_result()
    table = result.tables["transfer"]
    full = (table["evaluated_on"] == "currency") & (table["group"] == "memory")
    table.loc[full, "base_context"] = 1.0
    gains = selections.transfer_gains(result)
    drawn = dict(iter(gains.groupby("title", sort=False)))
    assert list(drawn) == [
        f"{kind}s, {group} heads off:\ngain in {wins}"
        for kind in ("relation", "format")
        for group, wins in (("context", "memory"), ("memory", "context"))
    ]
    toward_context = drawn["relations, memory heads off:\ngain in context"].set_index(
        "evaluated_on"
    )
    assert toward_context.loc["currency", "points"].isna().all()
    row = toward_context.loc["capital"].iloc[0]
    assert row["points"] == pytest.approx(100 * (row["context"] - row["base_context"]))


def test_what_a_run_holds_is_in_the_schema() -> None:
    schema = registry.get("knowledge-conflict").schema
    for result in (synthetic_result(), synthetic_result(transfer=False)):
        assert list(schema.problems(result)) == []
    for path in SAMPLES:
        assert list(schema.problems(Result.open(path))) == []


def test_a_hostile_run_stays_text() -> None:
    result = synthetic_result(hostile=True)
    for title, view in views(result).items():
        for part in still_parts(view):
            assert "<script>window" not in str(part) or not isinstance(part, Markup)
        assert "<script>window" not in said(live(result, title) if view.live else view.still())
    attention = [str(part) for part in views(result)["Heads"].still() if isinstance(part, Markup)]
    assert any("L4H1 on prompt 0" in part for part in attention)
    assert not any("<img src=x" in part for part in attention)

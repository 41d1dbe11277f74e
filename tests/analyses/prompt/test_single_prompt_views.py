"""How an `inside` run looks: drawn from its folder without a model, linked, escaped, and said
where something lacks.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import panel as pn
import pytest

import workbench as wb
from analyses.prompt.single_prompt import selections
from tests.helpers import families, tiny
from workbench import registry
from workbench.draw.layer_token_table import Cell, listening, token_table, window
from workbench.draw.view import View, pictures
from workbench.result import Result
from workbench.selection import parse_head
from workbench.views import Pick

HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1> \n$$x$$"


@pytest.fixture(scope="module")
def run(llama: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wb.run("inside", llama, {"answer": "Paris", "other": "Rome", "sites": ["q"]}).save(
        tmp_path_factory.mktemp("runs") / "inside"
    )


@pytest.fixture
def result(run: Path) -> Result:
    return Result.open(run)


def views_of(result: Result) -> dict[str, View]:
    return registry.get("inside").views(result)


def live(result: Result, title: str) -> Any:
    view = views_of(result)[title]
    assert view.live is not None
    return view.live(pictures(view))


def figures(page: Any) -> list[Any]:
    return [pane.object for pane in page.select(pn.pane.Bokeh)]


def texts(page: Any) -> list[str]:
    return [pane.object for pane in page.select(pn.pane.HTML)]


def knobs(page: Any) -> dict[str, Any]:
    return {knob.name: knob for knob in page.select(pn.widgets.Select)}


def heard(page: Any) -> list[Any]:
    """Where clicks on text and cells arrive."""
    return page.select(lambda part: "wb-said" in getattr(part, "css_classes", []))


def click(table: Any, row: int) -> None:
    for call in table._on_click_callbacks[None]:
        call(SimpleNamespace(row=row, column="label"))


def tap(figure: Any, x: float, y: float) -> None:
    from bokeh.events import Tap

    for call in figure._event_callbacks["tap"]:
        call(Tap(figure, x=x, y=y, modifiers={}))


def drawn_lines(figure: Any) -> list[list[float]]:
    from bokeh.models import Line

    lines = [r.data_source.data["y"] for r in figure.renderers if isinstance(r.glyph, Line)]
    return [list(line) for line in lines]


def html_of(result: Result) -> dict[str, str]:
    from ui.runs.static_views import fragments

    return {title: made.html for title, made in fragments(result)}


def test_every_tab_draws_from_the_folder(result: Result) -> None:
    from ui.runs.static_views import fragments

    made = dict(fragments(result))
    assert list(made) == ["Attention", "Logit lens", "Heads", "Residual norms", "Neurons"]
    assert not [
        title
        for title, one in made.items()
        if "cannot be drawn" in one.html or "Not shown" in one.html
    ]
    assert [len(one.items) for one in made.values()] == [2, 1, 2, 1, 0]


@pytest.mark.parametrize("title", ["Attention", "Logit lens", "Heads", "Residual norms", "Neurons"])
def test_every_tab_is_linked_by_token_head_and_layer(result: Result, title: str) -> None:
    page = live(result, title)
    texts = page.select(lambda part: hasattr(part, "object") and isinstance(part.object, str))
    before = [part.object for part in texts]
    result.selection.choose(1, 2)
    result.selection.pos = 1
    assert [part.object for part in texts] != before


def test_a_run_is_as_its_schema_says(result: Result) -> None:
    schema = registry.get("inside").schema
    assert "site-q" in result.arrays
    assert list(schema.problems(result)) == []
    del result.tables["logit_lens"]["rank"]
    result.arrays["site-q"] = result.arrays["site-q"].rename("other")
    result.arrays["norms"] = result.arrays["norms"].T
    assert len(list(schema.problems(result))) == 2


def test_a_click_chooses_everywhere(result: Result) -> None:
    page, other = live(result, "Logit lens"), live(result, "Residual norms")
    said = heard(page)[0]
    said.value = "2,3 1700000000"
    assert (result.selection.layer, result.selection.pos) == (2, 3)
    assert {name: knobs(other)[name].value for name in ("Token", "Layer")} == {
        "Token": 3,
        "Layer": 2,
    }
    for nonsense in ("", "9999", "-1,2", "a,b", "1,²", "1,9999999999999"):
        said.value = nonsense
    assert (result.selection.layer, result.selection.pos) == (2, 3)


def test_a_cell_of_the_lens_is_listed_and_its_token_drawn(result: Result) -> None:
    page = live(result, "Logit lens")
    heard(page)[0].value = "1,2 1700000000"
    assert any("Layer 1, token 2" in text for text in texts(page))
    assert 'data-at="1,2" class="wb-here"' in "".join(texts(page))
    lens = result.tables["logit_lens"]
    best = lens[(lens["layer"] == 1) & (lens["pos"] == 2) & (lens["rank"] == 1)].iloc[0]
    (table,) = page.select(pn.widgets.Tabulator)
    assert table.value["percent"].iloc[0] == pytest.approx(100 * best["probability"])
    assert {"answer", "other"} <= set(table.value["target"])
    (curve,) = figures(page)
    assert curve.title.text.startswith("Probability in the lens at token 2 ")
    answers = result.tables["answer_lens"]
    expected = answers[(answers["pos"] == 2) & (answers["target"] == "other")]
    assert drawn_lines(curve)[1] == pytest.approx(list(expected["probability"]))
    knobs(page)["Layer"].value = 0  # and by the lists
    knobs(page)["Token"].value = 4
    assert (result.selection.layer, result.selection.pos) == (0, 4)
    assert any("Layer 0, token 4" in text for text in texts(page))


def test_the_first_head_is_the_one_that_writes_most_and_is_chosen(result: Result) -> None:
    heads = result.tables["heads"]
    best = heads.loc[heads["logits"].abs().idxmax()]
    assert result.selection.head is None
    page = live(result, "Attention")
    assert result.selection.head == (best["layer"], best["head"])
    assert any(f.title.text.startswith(f"{best['label']}:") for f in figures(page))


def test_the_large_pattern_is_that_of_the_chosen_head(result: Result) -> None:
    from workbench.draw.patterns import image_of

    page = live(result, "Attention")
    result.selection.choose(2, 1)
    large = next(figure for figure in figures(page) if figure.title.text.startswith("L2H1"))
    shown = np.asarray(image_of(large).data["image"][0])
    expected = result.arrays["patterns"].sel(layer=2).values[1].astype("float32")
    np.testing.assert_allclose(np.nan_to_num(shown), expected)
    assert np.isnan(shown[0, 1:]).all()


def test_a_tile_chooses_the_head_and_a_row_the_token_that_looks(result: Result) -> None:
    page = live(result, "Attention")
    tiles, large = figures(page)
    tap(tiles, x=3.1, y=1.2)
    assert result.selection.head == (1, 3)
    tap(large, x=0.0, y=2.2)
    assert result.selection.pos == 2
    assert any("L1H3 from token 2 " in text for text in texts(page))
    heard(page)[0].value = "1 1700000000"
    assert any("L1H3 from token 1 " in text for text in texts(page))
    result.selection.hover = (2, 0)
    row = result.arrays["patterns"].sel(layer=2).values[0][1].astype("float32")
    assert any(f"attends most to {int(row.argmax())} " in text for text in texts(page))


def test_heads_follow_the_token(result: Result) -> None:
    from workbench.draw.head_grids import cells_of

    page = live(result, "Heads")
    result.selection.pos = 1
    grid = next(figure for figure in figures(page) if figure.title.text == "Heads at token 1")
    cells = cells_of(grid).data
    shown = dict(zip(cells["name"], cells["value"], strict=True))
    expected = selections.heads_at(result, 1)
    assert shown["L2H3"] == pytest.approx(float(expected.sel({"layer": 2, "head": 3})))
    bars = next(f for f in figures(page) if f.title.text.startswith("Components at token 1"))
    total = float(result.arrays["components"].isel(pos=1).sum())
    assert f"{total:+.2f}" in bars.title.text
    heads, parts = page.select(pn.widgets.Tabulator)
    assert heads.value["logits"].abs().iloc[0] == pytest.approx(float(abs(expected).max()))
    assert parts.value["logits"].sum() == pytest.approx(total, abs=1e-3)


def test_a_row_of_heads_is_chosen_marked_and_read_over_the_text(result: Result) -> None:
    page = live(result, "Heads")
    assert any("All components together" in text for text in texts(page))
    heads = page.select(pn.widgets.Tabulator)[0]
    label = heads.value["label"].iloc[3]
    click(heads, 3)
    assert result.selection.head == parse_head(label)
    assert heads.selection == [3]
    result.selection.pos = 0  # the order is another at another token
    assert heads.value["label"].iloc[heads.selection[0]] == label
    assert any(f">{label} <" in text for text in texts(page))


def test_norms_of_a_site_and_of_a_token(result: Result) -> None:
    page = live(result, "Residual norms")
    assert "q" in knobs(page)["Site"].options.values()
    assert knobs(page)["Site"].value == "resid_post"
    knobs(page)["Site"].value = "q"
    q = result.arrays["norms"].sel({"site": "q", "layer": 2}).values
    assert any(f"{q[1]:.4f}" in text and "Norm of q" in text for text in texts(page))
    result.selection.pos = 0
    (curve,) = figures(page)
    first = result.arrays["norms"].sel(site="resid_post").values[:, 0]
    assert drawn_lines(curve)[-1] == pytest.approx(first.tolist())
    assert curve.y_range.end > first.max()
    (table,) = page.select(pn.widgets.Tabulator)
    assert list(table.value["resid_post"]) == pytest.approx(first.tolist())


def test_neurons_of_one_layer_and_one_of_them_over_the_text(result: Result) -> None:
    page = live(result, "Neurons")
    (table,) = page.select(pn.widgets.Tabulator)
    assert len(table.value) == 15
    assert not knobs(page)["Layer"].visible
    knobs(page)["Neurons of"].value = 1
    assert knobs(page)["Layer"].visible
    knobs(page)["Layer"].value = 1
    assert result.selection.layer == 1
    assert set(table.value["layer"]) == {1}
    assert knobs(page)["Neuron, strongest first"].value == table.value["label"].iloc[0]
    click(table, 2)
    label = table.value["label"].iloc[2]
    assert knobs(page)["Neuron, strongest first"].value == label
    assert table.selection == [2]
    heard(page)[0].value = "1 1700000000"
    value = float(result.arrays["neurons"].sel(label=label).values[1])
    assert any(f"{label} at token 1 " in t and f"{value:+.3f}" in t for t in texts(page))
    result.selection.layer = 2  # chosen in another tab
    assert set(table.value["layer"]) == {2}


def test_the_still_page_has_eight_neurons_over_the_text(result: Result) -> None:
    html = html_of(result)["Neurons"]
    assert html.count('<p class="wb-strip-title">') == 8
    best = selections.ranked_neurons(result)["label"]
    assert f">{best[0]} <" in html
    assert f">{best[8]} <" not in html


def test_hostile_text_stays_text(llama: Any) -> None:
    result = wb.run("inside", llama, {"prompt": HOSTILE, "answer": "<b>x", "other": "Paris<i>"})
    for html in html_of(result).values():
        low = html.lower()
        assert "<script>window" not in low
        assert "<img" not in low
        assert "<b>x" not in low
    for title, view in views_of(result).items():
        assert view.live is not None, title
        page = view.live(pictures(view))
        for part in page.select(lambda part: isinstance(getattr(part, "object", None), str)):
            assert "<img" not in part.object


def test_a_family_without_attention_leaves_tabs_out_and_says_why() -> None:
    result = wb.run("inside", wb.load((families.module("mamba"), tiny.tiny_tokenizer())))
    why = {title: view.why_not for title, view in views_of(result).items()}
    assert why["Attention"] == "its layers have no attention heads"
    assert why["Neurons"]
    assert not why["Logit lens"]
    assert not why["Heads"]
    html = html_of(result)
    assert "Single heads are not shown" in html["Heads"]
    assert not live(result, "Heads").select(lambda part: "wb-key-Enter" in part.css_classes)
    assert list(registry.get("inside").schema.problems(result)) == []
    assert not [title for title, one in html.items() if "cannot be drawn" in one]


def test_a_stopped_run_says_so() -> None:
    for view in views_of(Result("inside")).values():
        assert not view.why_not
        assert "The run was stopped" in str(view.still()[0])


def test_a_link_to_what_is_not_there_is_no_trouble(result: Result) -> None:
    result.selection.from_query({"head": "L900H7", "pos": "4000"})
    pick = Pick(result, {}, {})
    assert selections.pattern_head(result, pick) == selections.first_head(result)
    assert not [
        t for t, v in views_of(result).items() if v.live is None or v.live(pictures(v)) is None
    ]


def test_long_prompts_show_a_window_around_the_chosen_token(llama: Any) -> None:
    result = wb.run("inside", llama, {"prompt": "The capital of Peru is Lima. " * 6, "neurons": 1})
    n = len(result.tables["tokens"])
    assert n > 24
    result.selection.pos = 0
    for title in ("Logit lens", "Residual norms"):
        html = html_of(result)[title]
        assert 'data-at="0,0"' in html
        assert f'data-at="0,{n - 1}"' not in html
        assert f"Shown are 24 of {n} tokens" in html
    assert "cannot be drawn" not in html_of(result)["Attention"]


@pytest.mark.parametrize(
    ("n", "pos", "first", "last"),
    [(5, 4, 0, 4), (100, 0, 0, 23), (100, 99, 76, 99), (100, 50, 38, 61)],
)
def test_windows(n: int, pos: int, first: int, last: int) -> None:
    shown = window(n, pos)
    assert (shown[0], shown[-1]) == (first, last)


def test_cells_are_escaped_and_tokens_seen() -> None:
    cells = {(0, 0): Cell(" <b>\n", 0.5, '"><script>', token=True), (1, 0): Cell("<i>", 2.0)}
    html = listening(
        token_table([HOSTILE, "b"], cells, columns=range(2), chosen=(0, 0), caption='"x')
    )
    assert "<script>" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert "·</span>&lt;b&gt;↵" in html
    assert html.count("<td>–</td>") == 2


def test_tiles_keep_the_narrow_stripe_of_a_long_prompt() -> None:
    import xarray as xr

    from workbench.draw.patterns import _mosaic, pattern_grid

    values = np.zeros((2, 3, 200, 200), "float16")
    values[:, :, np.arange(1, 200), np.arange(199)] = 1.0  # each looks at the token before it
    tiles = _mosaic(values, [0, 2])
    side = tiles.shape[1] // 3
    assert side == 42
    assert tiles.shape[0] == 3 * side  # a missing layer keeps its place, empty
    assert not tiles[side : 2 * side].any()
    assert (tiles[1 : side - 1, 1 : side - 1].max(0) == 255).all()
    assert (
        pattern_grid(
            xr.DataArray(values, dims=("layer", "head", "query", "key"), coords={"layer": [0, 2]})
        )
        is not None
    )

"""How an `inside` run looks: drawn from its folder without a model, linked, escaped, and said
where something lacks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from analyses.prompt.single_prompt import attention_view, heads_view, lens_view, norms_view
from tests.helpers import families, tiny
from workbench import registry
from workbench.draw.layer_token_table import Cell, listening, token_table, window
from workbench.draw.view import View, pictures
from workbench.result import Result

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


def html_of(result: Result) -> dict[str, str]:
    from ui.static_views import fragments

    return {title: made.html for title, made in fragments(result)}


def test_every_tab_draws_from_the_folder(result: Result) -> None:
    from ui.static_views import fragments

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
    view = views_of(result)[title]
    assert view.live is not None
    page = view.live(pictures(view))
    texts = page.select(lambda part: hasattr(part, "object") and isinstance(part.object, str))
    before = [part.object for part in texts]
    result.selection.choose(1, 2)
    result.selection.pos = 1
    assert [part.object for part in texts] != before


def test_a_click_chooses_everywhere(result: Result) -> None:
    lens, norms = (views_of(result)[title] for title in ("Logit lens", "Residual norms"))
    page, other = lens.live(pictures(lens)), norms.live(pictures(norms))
    said = page.select(lambda part: "wb-said" in getattr(part, "css_classes", []))[0]
    said.value = "2,3 1700000000"
    assert (result.selection.layer, result.selection.pos) == (2, 3)
    names = {
        part.name: part.value
        for part in other.select(lambda part: getattr(part, "name", "") in ("Token", "Layer"))
    }
    assert names == {"Token": 3, "Layer": 2}
    for nonsense in ("", "9999", "-1,2", "a,b", "1,²", "1,9999999999999"):
        said.value = nonsense
    assert (result.selection.layer, result.selection.pos) == (2, 3)


def test_the_large_pattern_is_that_of_the_chosen_head(result: Result) -> None:
    from workbench.draw.patterns import image_of

    view = views_of(result)["Attention"]
    page = view.live(pictures(view))
    result.selection.choose(2, 1)
    figures = [
        part.object
        for part in page.select(
            lambda part: hasattr(part, "object") and hasattr(part.object, "renderers")
        )
    ]
    large = next(figure for figure in figures if figure.title.text.startswith("L2H1"))
    shown = np.asarray(image_of(large).data["image"][0])
    expected = result.arrays["patterns"].sel(layer=2).values[1].astype("float32")
    np.testing.assert_allclose(np.nan_to_num(shown), expected)
    assert np.isnan(shown[0, 1:]).all()


def test_heads_follow_the_token(result: Result) -> None:
    from workbench.draw.head_grids import cells_of

    view = views_of(result)["Heads"]
    page = view.live(pictures(view))
    result.selection.pos = 1
    figures = [
        part.object
        for part in page.select(
            lambda part: hasattr(part, "object") and hasattr(part.object, "renderers")
        )
    ]
    grid = next(figure for figure in figures if figure.title.text == "Heads at token 1")
    cells = cells_of(grid).data
    shown = dict(zip(cells["name"], cells["value"], strict=True))
    expected = heads_view.heads_at(result, 1)
    assert shown["L2H3"] == pytest.approx(float(expected.sel({"layer": 2, "head": 3})))
    bars = next(figure for figure in figures if figure.title.text.startswith("Parts at token 1"))
    assert f"{float(result.arrays['parts'].isel(pos=1).sum()):+.2f}" in bars.title.text


def test_a_kept_site_is_among_the_norms(result: Result) -> None:
    assert "q" in norms_view.sites(result).values()
    assert "layer 2" in norms_view.table(result, "q", (None, None))


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
    assert not [title for title, one in html.items() if "cannot be drawn" in one]


def test_a_stopped_run_says_so() -> None:
    why = {title: view.why_not for title, view in views_of(Result("inside")).items()}
    assert set(why.values()) == {"the run was stopped before it was measured"}


def test_a_link_to_what_is_not_there_is_no_trouble(result: Result) -> None:
    result.selection.from_query({"head": "L900H7", "pos": "4000"})
    assert attention_view.chosen(result) == attention_view.interesting(result)
    assert not [
        t for t, v in views_of(result).items() if v.live is None or v.live(pictures(v)) is None
    ]


def test_long_prompts_show_a_window_around_the_chosen_token(llama: Any) -> None:
    result = wb.run("inside", llama, {"prompt": "The capital of Peru is Lima. " * 6, "neurons": 1})
    n = len(result.tables["tokens"])
    assert n > 24
    result.selection.pos = 0
    first = lens_view.table(result, (None, 0))
    assert 'data-at="0,0"' in first
    assert f'data-at="0,{n - 1}"' not in first
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
        token_table([HOSTILE, "b"], cells, columns=range(2), here=(0, 0), caption='"x')
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

"""How a paragraph-memorization run looks: drawn from its folder without a model, linked,
escaped, honest about gaps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analyses.weights.paragraph_memorization import passage_view, weight_edits
from workbench import registry
from workbench.draw.view import View, pictures
from workbench.result import Result

SAMPLE = Path(__file__).parents[3] / "sample_runs" / "where-an-organism-keeps-passages"
TITLES = ["Passages", "Triggers", "Weights", "Heads", "Patching", "Removal", "Claims"]
HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1> \n$$x$$"


@pytest.fixture
def result() -> Result:
    return Result.open(SAMPLE)


def views_of(result: Result) -> dict[str, View]:
    return registry.get("paragraph-memorization").views(result)


def html_of(result: Result) -> dict[str, str]:
    from ui.static_views import fragments

    return {title: made.html for title, made in fragments(result)}


def test_every_tab_draws_from_the_folder(result: Result) -> None:
    from ui.static_views import fragments

    made = dict(fragments(result))
    assert list(made) == TITLES
    assert not [
        title
        for title, one in made.items()
        if "cannot be drawn" in one.html or "Not shown" in one.html
    ]
    assert [len(one.items) for one in made.values()] == [0, 2, 10, 5, 2, 4, 0]


@pytest.mark.parametrize("lacking", ["along", "weights", "heads", "removals", "claims"])
def test_a_run_stopped_in_the_middle_says_what_was_not_measured(
    result: Result, lacking: str
) -> None:
    del result.tables[lacking]
    text = " ".join(html_of(result).values())
    assert "cannot be drawn" not in text
    assert "again" in text


def test_a_run_without_traces_and_changes_says_why(result: Result) -> None:
    result.params |= {"traced": 0, "edits": 0}
    views = views_of(result)
    assert "traced is 0" in views["Patching"].why_not
    assert "edits is 0" in views["Removal"].why_not


def test_passage_token_and_layer_are_linked(result: Result) -> None:
    page, pick = views_of(result)["Passages"].live([]), result.selection
    texts = page.select(lambda part: hasattr(part, "object") and isinstance(part.object, str))
    before = [part.object for part in texts]
    pick.prompt = 1
    changed = [part.object for part in texts]
    assert sum(a != b for a, b in zip(before, changed, strict=True)) >= 3
    pick.param.update(pos=49, layer=2)
    after = [part.object for part in texts]
    assert sum(a != b for a, b in zip(changed, after, strict=True)) >= 2
    assert any("Token 49" in text for text in after)
    not_memorized = result.tables["passages"].query("group == 'not memorized'")["passage"].iloc[0]
    pick.prompt = int(not_memorized)
    assert any("Choose one of those" in part.object for part in texts)


def test_heads_are_linked_to_the_selection(result: Result) -> None:
    view = views_of(result)["Heads"]
    page = view.live(pictures(view))
    texts = page.select(lambda part: hasattr(part, "object") and isinstance(part.object, str))
    result.selection.choose(3, 5)
    assert any("L3H5" in part.object for part in texts)
    result.selection.choose(0, 3)
    assert any("L0H3" in part.object for part in texts)


def test_a_change_can_be_taken_from_the_page(result: Result, tmp_path: Path) -> None:
    import panel as pn

    view = views_of(result)["Removal"]
    page = view.live(pictures(view))
    (button,) = page.select(pn.widgets.FileDownload)
    file = tmp_path / "it.safetensors"
    file.write_bytes(button.callback().getvalue())
    from workbench.models import weight_delta

    names = list(weight_edits.names(result))
    assert weight_delta.read(file).about == weight_edits.delta(result, names[0]).about
    (choose,) = [w for w in page.select(pn.widgets.Select) if w.name == "Change"]
    choose.value = names[1]
    assert button.filename == f"{names[1]}.safetensors"


def test_text_of_a_stranger_stays_text(result: Result) -> None:
    for column in ("name", "suffix", "said", "prefix"):
        result.tables["passages"][column] = HOSTILE
    result.tables["tokens"]["token"] = HOSTILE
    result.tables["twins"]["replacement"] = HOSTILE
    result.tables["rewritten"]["instead"] = HOSTILE
    text = " ".join(html_of(result).values())
    assert "<script>window" not in text
    assert "<img src=x" not in text


def test_the_strip_shows_what_is_given_and_what_is_said(result: Result) -> None:
    table = result.tables["passages"]
    memorized = passage_view.strip(result, int(table["passage"].iloc[0]))
    assert "50 tokens said" in memorized
    assert passage_view.SAID in memorized
    assert passage_view.ELSE not in memorized
    other: Any = table.query("group == 'not memorized'")["passage"].iloc[0]
    assert passage_view.ELSE in passage_view.strip(result, int(other))
    assert "model says" in passage_view.instead(result, int(other))

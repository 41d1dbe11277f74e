"""The pages of a function-tokens run: what is chosen on one part is shown by the others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import panel as pn
import pytest
from panel.models.tabulator import CellClickEvent

import workbench as wb
from analyses.features.function_tokens import curve_data, selections
from analyses.features.function_tokens.constants import BINS
from tests.helpers.autoencoders import made, saved
from workbench import registry
from workbench.draw import steering, view
from workbench.draw.figure import drawn, render
from workbench.paths import sample_runs_dirs
from workbench.result import Result

PLACES = ["L1", "L4"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run with two random autoencoders of the organism, saved."""
    folder = tmp_path_factory.mktemp("run")
    refs = [
        str(
            saved(
                made("jumprelu", 160, 256, hook=f"blocks.{n}.hook_resid_post", seed=n),
                folder / f"{n}",
            )
        )
        for n in (1, 4)
    ]
    asked = {"features": refs, "tokens": 20_000, "context": 64, "untrained": 4000}
    asked |= {"parts": ["untrained"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hooks.features.load.LEAST", -1e9)
        result = wb.run("function-tokens", wb.load("organism/planted"), asked)
    return result.save(folder / "kept")


@pytest.fixture
def run(kept: Any) -> Result:
    """With nothing chosen."""
    return wb.open_run(kept)


def page(run: Result, title: str) -> Any:
    """A tab as the page shows it, around pictures that are drawn already."""
    shown = registry.get("function-tokens").views(run)[title]
    assert not shown.why_not
    return shown.live([drawn(picture) for picture in view.pictures(shown)])


def texts(shown: Any) -> str:
    return "\n".join(str(pane.object) for pane in shown.select(pn.pane.HTML))


def tables(shown: Any) -> list[Any]:
    return shown.select(pn.widgets.Tabulator)


def click(table: Any, row: int) -> None:
    table._process_event(CellClickEvent(None, table.value.columns[0], row))


def test_tables_arrays_and_findings_are_those_of_the_schema(run: Result) -> None:
    schema = registry.get("function-tokens").schema
    assert not list(schema.problems(run))
    for table in schema.tables:
        assert all(c.says.endswith(".") for c in table.columns)


def test_the_sample_run_is_as_the_schema_says_and_has_every_tab() -> None:
    result = wb.open_run(sample_runs_dirs()[0] / "what-function-tokens-open")
    assert not list(registry.get("function-tokens").schema.problems(result))
    shown = registry.get("function-tokens").views(result)
    assert [title for title, one in shown.items() if not one.why_not] == [
        "Claims", "Coverage", "Tokens", "Features", "Prompts", "Retrieval", "Transitions",
    ]  # fmt: skip
    captions = [p.caption for p in shown["Claims"].still() if isinstance(p, view.Table)]
    assert captions[:3] == ["Tokens and features", "Retrieval", "Losses and training"]


def test_a_feature_is_chosen_by_its_place_its_number_or_a_row(run: Result) -> None:
    at, first = selections.middle(run), selections.example_features(run)
    shown = page(run, "Features")
    (place,), (number,) = shown.select(pn.widgets.Select), shown.select(pn.widgets.IntInput)
    tokens, everything = tables(shown)
    chosen = registry.get("function-tokens").module.VIEWS[3].pick(run).feature
    assert (place.value, number.value) == (chosen, chosen[1])
    assert chosen[0] == at
    assert f"Feature {chosen[1]} at {at}: active at" in texts(shown)
    assert {"feature": selections.first_feature(run, at)} != first  # the page starts elsewhere

    row = 3
    other = int(selections.of_place(run, at)["feature"].iloc[row])
    click(everything, row)
    assert run.selection.feature == (at, other)
    assert number.value == other
    assert place.value == (at, other)
    assert everything.selection == [row]
    assert f"Feature {other} at {at}: active at" in texts(shown)
    figure = shown.select(pn.pane.Bokeh)[0].object
    assert figure.title.text == f"Feature {other} at {at}: tokens by activation"
    assert list(tokens.value.iloc[:, 2]) == list(selections.fires_on(run, at, other)["active at"])

    elsewhere = next(p for p in PLACES if p != at)
    place.value = place.options[elsewhere]
    top = selections.first_feature(run, elsewhere)
    assert run.selection.feature == (elsewhere, top)
    assert number.value == top
    assert list(everything.value["feature"]) == list(selections.of_place(run, elsewhere)["feature"])
    assert f"All living features of {elsewhere}" in texts(shown)
    assert everything.selection == [0]

    number.value = other_there = int(selections.of_place(run, elsewhere)["feature"].iloc[5])
    assert run.selection.feature == (elsewhere, other_there)
    assert f"Feature {other_there} at {elsewhere}" in texts(shown)


def test_a_feature_that_is_not_there_is_not_shown(run: Result) -> None:
    shown = page(run, "Features")
    (number,) = shown.select(pn.widgets.IntInput)
    first = number.value
    for _ in range(2):
        number.value = 9999
        assert number.value == first
        assert f"Feature {first} at" in texts(shown)
    run.selection.feature = ("L9", 3)
    assert number.value == first
    assert "has no" not in texts(shown)
    assert "nowhere" in selections.described(run, selections.middle(run), 9999)[0]


def test_a_still_page_reads_the_features_worth_reading(run: Result) -> None:
    parts = registry.get("function-tokens").views(run)["Features"].still()
    words = "\n".join(str(part) for part in parts if isinstance(part, str))
    for example in selections.example_features(run):
        at, feature = example["feature"]
        assert f"Feature {feature} at {at}" in words
    assert "wb-steer" not in words
    assert isinstance(parts[-1], view.Table)
    assert "max_activation" in parts[-1].headings
    assert {"Features", "Tokens"} <= set(registry.get("function-tokens").views(run))


def test_steering_is_offered_where_there_is_a_server(
    run: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = selections.middle(run)
    feature = int(selections.of_place(run, at)["feature"].iloc[3])
    row, (*_, goal) = selections.row_of(run, at, feature), selections.to_steer(run, at, feature)
    assert 0 < goal <= row["max_activation"]
    counts = run.arrays["activation_histogram"].sel(sae=at).values[feature]
    assert goal == row["max_activation"] or counts[BINS[1:] <= goal].sum() >= 0.9 * counts.sum()
    assert counts[BINS[1:] < goal].sum() < 0.9 * counts.sum()
    assert "wb-steer" not in texts(page(run, "Features"))
    monkeypatch.setattr(steering, "is_served", lambda: True)
    run.selection.feature = (at, feature)
    shown = page(run, "Features")
    assert f'name="feature" value="{feature}"' in texts(shown)
    assert f'value="{goal:.1f}"' in texts(shown)
    click(tables(shown)[1], 0)
    assert f'name="feature" value="{run.selection.feature[1]}"' in texts(shown)


def test_a_token_shows_its_features_and_one_of_them_is_chosen_everywhere(run: Result) -> None:
    shown = page(run, "Tokens")
    (place,) = shown.select(pn.widgets.Select)
    features, everything = tables(shown)
    ids, words = run.tables["tokens"]["id"], run.tables["tokens"]["token"]
    at = selections.middle(run)
    assert place.value == at
    assert everything.selection == [0]
    assert f"“{words[0]}”, a" in texts(shown).replace("&#39;", "'")
    click(everything, 4)
    assert everything.selection == [4]
    expected = selections.of_token(run, at, int(ids[4]))
    assert list(features.value["feature"]) == list(expected["feature"])
    assert expected["of its occurrences, %"].between(0, 100).all()
    elsewhere = next(p for p in PLACES if p != at)
    place.value = elsewhere
    expected = selections.of_token(run, elsewhere, int(ids[4]))
    assert list(features.value["feature"]) == list(expected["feature"])
    assert f"active on it at {elsewhere}" in texts(shown)
    click(features, 1)
    assert run.selection.feature == (elsewhere, int(expected["feature"][1]))
    assert features.selection == [1]
    rare = int(ids.iloc[-1])
    assert selections.of_token(run, at, rare).shape[1] == 4


def test_clouds_stand_in_pairs_and_are_the_ones_drawn_before(run: Result) -> None:
    parts = registry.get("function-tokens").views(run)["Tokens"].still()
    rows = [part for part in parts if isinstance(part, view.Row)]
    assert [len(row.parts) for row in rows] == [2, 2]
    panes = page(run, "Tokens").select(pn.pane.Bokeh)
    titles = [pane.object.title.text for pane in panes]
    assert titles == [
        f"{at}: {what}"
        for at in PLACES
        for what in ("features of each token", "in equal occurrences")
    ]
    table = selections.degrees(run)
    assert (table["function"].groupby(table["where"]).sum() > 0).all()
    assert table.notna().all(axis=None)


def test_a_token_of_a_prompt_is_chosen_by_a_click_and_a_feature_by_a_row(run: Result) -> None:
    shown = page(run, "Prompts")
    which, place = shown.select(pn.widgets.Select)
    (heard,) = shown.select(pn.widgets.TextInput)
    (table,) = tables(shown)
    at = selections.middle(run)
    assert place.value == at
    assert which.value == 0
    heard.value = "6 1"
    assert run.selection.pos == 6
    assert "Chosen: token 6" in texts(shown)
    expected = selections.links(run, at, 0, 6)
    assert list(table.value["feature"]) == list(expected["feature"])
    assert f"Features active at token 6, {at}" in texts(shown)
    assert "activation" not in texts(shown).replace("max_activation", "")
    click(table, 2)
    chosen = int(expected["feature"][2])
    assert run.selection.feature == (at, chosen)
    assert table.selection == [2]
    assert f"Feature {chosen} at {at}." in texts(shown)
    heard.value = "9999 2"
    assert run.selection.pos == 6
    which.value = 1
    assert run.selection.pos is None
    last = selections.chosen_pos(run, SimpleNamespace(prompt=1, selection=run.selection))
    assert f"Chosen: token {last}" in texts(shown)
    place.value = elsewhere = next(p for p in PLACES if p != at)
    assert f"Features active at token {last}, {elsewhere}" in texts(shown)
    assert f"Feature {chosen} at" not in texts(shown)


def test_a_still_page_has_every_prompt(run: Result) -> None:
    parts = registry.get("function-tokens").views(run)["Prompts"].still()
    prompts = selections.prompts(run)
    assert sum("wb-strip" in str(part) for part in parts) == len(prompts) == 3
    assert sum(isinstance(part, view.Table) for part in parts) == 3


def test_features_are_linked_to_the_content_tokens_before(run: Result) -> None:
    at = selections.middle(run)
    for prompt, pos in ((0, 0), (0, 5), (1, 7)):
        table, active = selections.links(run, at, prompt, pos), selections.active(run, at, prompt)
        classes = selections.tokens_of(run, prompt).set_index("pos")["class"]
        assert table["activation"].is_monotonic_decreasing
        for row in table.itertuples(index=False, name=None):
            mine = active[(active["feature"] == row[0]) & (active["pos"] < pos)]
            mine = mine[mine["pos"].map(classes) == "content"]
            assert row[2].count("“") == len(mine)
            assert (row[3] == mine["activation"].max()) or not len(mine)
    pos = 5
    shares = selections.shared(run, at, 0, pos)
    active = selections.active(run, at, 0)
    here = set(active.loc[active["pos"] == pos, "feature"])
    for p, share in enumerate(shares):
        mine = active.loc[active["pos"] == p, "feature"]
        wanted = mine.isin(here).mean() if len(mine) and p != pos else 0.0
        assert share == pytest.approx(wanted)


def test_a_run_without_facts_says_so_beside_what_it_measured(run: Result) -> None:
    parts = registry.get("function-tokens").views(run)["Retrieval"].still()
    assert any("part retrieval was not run" in str(part) for part in parts)
    titles = [render(picture).title.text for picture in parts if view.is_drawing(picture)]
    assert len(titles) == len(PLACES)
    assert all("reactivation" in title for title in titles)


def test_a_run_that_was_stopped_says_so_and_one_without_prompts_leaves_them_out(
    run: Result,
) -> None:
    for name in ("claims", "transitions", "training_losses", "prompt_tokens", "prompt_features"):
        run.tables.pop(name, None)
    run.params = {**run.params, "parts": ["coverage"]}
    shown = registry.get("function-tokens").views(run)
    for title in ("Claims", "Transitions", "Prompts"):
        assert not shown[title].why_not
        assert "stopped" in str(shown[title].still())
    run.params = {**run.params, "parts": ["retrieval"]}
    alone = registry.get("function-tokens").views(run)["Transitions"]
    assert "coverage and training were not run" in str(alone.still())
    run.params = {**run.params, "prompts": []}
    run.tables["prompt_tokens"] = pd.DataFrame(columns=["prompt", "pos", "token", "class"])
    assert "no prompts" in registry.get("function-tokens").views(run)["Prompts"].why_not


def test_shares_are_drawn_in_percent_and_only_where_there_are_any(run: Result) -> None:
    curves = curve_data.coverage_curves(run)
    assert curves["coverage"].max() == 100
    parts = registry.get("function-tokens").views(run)["Coverage"].still()
    titles = {render(p).title.text: p for p in parts if view.is_drawing(p)}
    tokens = int(run.findings["function_tokens"].values["n_types"])
    for at in PLACES:
        of = f"{at}: features that the most frequent tokens activate ({tokens} are function"
        assert of in str(list(titles))
        fair = render(titles[f"{at}: at equal frequency"])
        assert fair.x_range.end <= tokens * 1.2


def test_a_run_of_retrieval_alone_says_that_no_losses_were_measured(run: Result) -> None:
    del run.tables["transitions"]
    run.params = {**run.params, "parts": ["retrieval"]}
    parts = registry.get("function-tokens").views(run)["Transitions"].still()
    assert "parts coverage and training were not run" in str(parts[0])

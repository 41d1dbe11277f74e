"""Knowledge conflict where nothing can be told: all answers are so already, or too few facts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import workbench as wb
from analyses.context import knowledge_conflict as analysis
from analyses.context.knowledge_conflict import experiment, headroom, params, parts
from analyses.context.knowledge_conflict.answer_rates import Rates
from tests.helpers import planted
from tests.helpers.planted import TEMPLATE
from workbench import registry
from workbench.errors import BadInput, NotFound
from workbench.progress import Progress
from workbench.result import Result


@pytest.fixture(scope="module", params=["context", "memory"])
def full(request, tmp_path_factory):
    """A model that always follows one side, and a run on it: (that side, model, result)."""
    side = request.param
    strong = {"context": 0.6, "memory": 1.6}[side]
    model = wb.load((planted.planted_module([strong] * 16), planted.planted_tokenizer()))
    file = planted.planted_facts(tmp_path_factory.mktemp("full"))
    # One of the two also tries its heads elsewhere, which is slow.
    asked = {
        "facts_file": str(file),
        "template": TEMPLATE,
        "k_grid": [1, 2],
        "parts": [*parts.DEFAULT, *(["transfer"] if side == "context" else [])],
    }
    return side, model, wb.run("knowledge-conflict", model, asked)


def test_no_head_is_named_where_all_answers_are_so_already(full):
    """Toward the side that always wins nothing can be seen; the other direction is told as ever."""
    side, _, result = full
    winner, loser = side, {"context": "memory", "memory": "context"}[side]
    # Memory heads are those whose absence gives the context, and the other way round.
    unknown, known = loser, winner
    assert result.findings["base"].values[winner] == 1.0
    assert set(result.tables["selected_heads"].group) == {known}
    assert set(result.tables["heads"].role) <= {known, ""}
    assert (
        set(result.tables["random_sets"].group) == set(result.tables["stability"].group) == {known}
    )
    assert set(result.tables["cost"].condition) == {"no intervention", f"prune {known} heads"}
    for name in ("prune", "random_for", "cost", "stability"):
        assert f"{name}_{known}" in result.findings
        assert f"{name}_{unknown}" not in result.findings
    assert f"undetermined_{known}" not in result.findings
    said = result.findings[f"undetermined_{unknown}"]
    assert said.values["rate"] == 1.0
    assert said.values["could_change"] == 0
    for words in (
        "cannot be told",
        "8 of 8 facts (100\u00a0%, 95 %: 68\u00a0% to 100\u00a0%)",
        "What would help",
    ):
        assert words in said.says
    assert result.findings[f"prune_{known}"].values[loser] == 1.0


def test_the_dial_turns_only_where_heads_are_known(full):
    side, model, result = full
    low, high = (-1.0, 0.0) if side == "context" else (0.0, 1.0)
    dial = analysis.controls(result)["dial"]
    assert (dial.low, dial.high) == (low, high)
    assert sorted({*result.tables["dial"].value}) == [
        v for v in np.arange(-1, 1.25, 0.25) if low <= v <= high
    ]
    with (
        pytest.raises(BadInput, match=f"from {low:g} to {high:g}"),
        result.control("dial")(model, 0.5 if high == 0 else -0.5),
    ):
        pass
    row = result.tables["facts"].iloc[0]
    with result.control("dial")(model, low or high):
        said = model.generate(row.prompt, max_new_tokens=2).strip()
    assert said.startswith(row.answer if side == "context" else row.counterfactual)


def test_transfer_leaves_out_what_has_no_room(full):
    side, _, result = full
    if "transfer" not in result.tables:
        pytest.skip("only one of the two runs tries its heads elsewhere")
    table = result.tables["transfer"]
    known = result.tables["selected_heads"].group.iloc[0]
    assert set(table.group) == {known}
    finding = result.findings[f"transfer_format_{known}"]
    other = table[(table.across == "format") & (table.selected_on != table.evaluated_on)]
    open_ = other[
        other[f"base_{side}"] >= 0.5
    ]  # where the winner wins, there is room toward the other
    assert finding.values["pairs"] == len(other)
    assert finding.values["testable"] == len(open_)
    assert finding.values["transferred"] == int((open_.gain_low > 0).sum())


def test_a_run_that_cannot_tell_opens_and_is_drawn(full, tmp_path):
    from ui.runs.static_views import fragments
    from workbench.draw.view import still_parts

    _, _, result = full
    for name in (
        "selected_heads",
        "random_sets",
        "k_curve",
        "dial",
        "stability",
    ):  # and what is left where neither side is told
        result.tables[name] = result.tables[name].iloc[:0]
    opened = wb.open_run(result.save(tmp_path / "run"))
    assert analysis.controls(opened) == {}
    shown = dict(fragments(opened))
    assert not [title for title, one in shown.items() if "cannot be drawn" in one.html]
    for title in ("Rates", "Heads", "Dial", "How many heads", "Cost"):
        assert any(
            "cannot be told" in str(part)
            for part in still_parts(registry.get("knowledge-conflict").views(opened)[title])
        )
        assert registry.get("knowledge-conflict").views(opened)[title].__panel__() is not None


def test_too_few_facts_tell_nothing(planted_model, tmp_path):
    file = tmp_path / "few.csv"
    lines = [f"{s},{a}" for s, a in list(zip(planted.SUBJECTS, planted.ANSWERS, strict=True))[:8]]
    file.write_text("\n".join(["subject,answer", *lines]), encoding="utf-8")
    result = wb.run(
        "knowledge-conflict",
        planted_model,
        {"facts_file": str(file), "template": TEMPLATE, "k_grid": [1]},
    )
    assert result.tables["selected_heads"].empty
    assert "only 4 facts" in result.findings["undetermined_memory"].says
    assert "only 4 facts" in result.findings["undetermined_context"].says
    assert not {"prune_memory", "prune_context", "random", "dial", "cost_memory"} & set(
        result.findings
    )
    with pytest.raises(NotFound, match="no control of this knowledge-conflict run 'dial'"):
        result.control("dial")(planted_model, 0.5)


@pytest.mark.parametrize(
    ("after", "told"),
    [(["memory"] * 4 + ["context"] * 8, True), (["memory"] + ["context"] * 11, False)],
)
def test_ties_with_no_head_at_all_choose_none(after, told):
    """Twelve facts with room, and heads whose absence changes one answer or four."""
    result, base = Result("knowledge-conflict"), Rates.of(["context"] * 12)
    ranking = ([(0, 1)], [(0, 0)])
    each = np.ones((12, 1, 2))
    found = SimpleNamespace(ranking=lambda rank_by: ranking, each=lambda rank_by: (each, each))
    choosing = SimpleNamespace(rates=lambda factors: Rates.of(after))
    untold = {"memory": "at the ceiling"}
    groups = experiment._choose(
        result, params.Params(k_grid=[1]), found, base, choosing, untold, Progress()
    )
    assert groups == ({"context": [(0, 0)]} if told else {})
    assert ("context" in untold) is not told
    if not told:
        assert "1 head off, gives +8 points on 12 facts (95 %: +0 to +25)" in untold["context"]


@pytest.mark.parametrize(
    ("already", "n", "says"),
    [
        (12, 12, "no fact is left"),
        (11, 12, "the one other answer could be chance"),
        (9, 12, "all other 3 answers could be chance"),
        (8, 12, ""),
        (3, 5, "only 5 facts"),
        (0, 5, "only 5 facts"),
        (29, 30, "the one other answer"),
        (15, 30, ""),
        (0, 30, ""),
    ],
)
def test_room_is_what_would_show_if_all_changed(already, n, says):
    why = headroom.reason_no_headroom(already, n)
    assert (says in why) if says else why == ""

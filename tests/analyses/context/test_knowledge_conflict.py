"""Findings whose truth is known, against plain loops, and on the real model."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from analyses.context import knowledge_conflict as analysis
from analyses.context.knowledge_conflict import cases as made
from analyses.context.knowledge_conflict import experiment, headroom, params, parts, stability
from analyses.context.knowledge_conflict.answer_rates import CaseRunner, Rates, wilson
from analyses.context.knowledge_conflict.held_out_eval import RandomSets
from analyses.context.knowledge_conflict.rank_heads import measure_heads
from analyses.measures import closed_book
from tests.helpers import planted
from workbench import facts, registry
from workbench.errors import BadInput, NotFound
from workbench.progress import Progress
from workbench.result import Result

TEMPLATE = "The capital of {subject} is"


@pytest.fixture(scope="module")
def planted_model():
    return wb.load((planted.planted_module(), planted.planted_tokenizer()))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    file = planted.planted_facts(tmp_path_factory.mktemp("facts"))
    return {"facts_file": str(file), "template": TEMPLATE, "k_grid": [1, 2]}


@pytest.fixture(scope="module")
def planted_run(planted_model, asked):
    return wb.run("knowledge-conflict", planted_model, asked)


def test_finds_the_planted_heads_and_no_other(planted_run):
    chosen = planted_run.tables["selected_heads"]
    assert {(r.layer, r.head): r.group for r in chosen.itertuples()} == {
        planted.MEMORY_HEAD: "memory",
        planted.CONTEXT_HEAD: "context",
    }
    heads = planted_run.tables["heads"].set_index(["layer", "head"])
    for column, head in (
        ("effect_memory", planted.MEMORY_HEAD),
        ("effect_context", planted.CONTEXT_HEAD),
    ):
        mine, rest = heads.loc[head, column], heads.drop(index=[head])[column]
        assert mine > 1
        assert rest.abs().max() < 0.05 * mine


def test_proves_them_on_subjects_it_did_not_choose_them_on(planted_run):
    f = planted_run.findings
    table = planted_run.tables["facts"]
    held_out = table[table.split == "held_out"]
    strong = {
        s for s, m in zip(planted.SUBJECTS, planted.MEMORIES, strict=True) if m > planted.CONTEXT
    }
    assert f["base"].values["memory"] == pytest.approx(held_out.subject.isin(strong).mean())
    assert (
        table.outcome == table.subject.map(lambda s: "memory" if s in strong else "context")
    ).all()
    assert f["prune_context"].values["memory"] == 1.0
    assert f["prune_memory"].values["context"] == 1.0
    assert f["random"].values["memory"] == pytest.approx(f["base"].values["memory"])
    assert f["cost_context"].values["closed_book_after"] == 1.0
    assert f["cost_memory"].values["closed_book_after"] == 0.0
    assert set(table[table.split == "select"].subject).isdisjoint(held_out.subject)


def test_says_where_the_planted_heads_look(planted_run):
    heads = planted_run.tables["heads"].set_index(["layer", "head"])
    assert heads.loc[planted.CONTEXT_HEAD, "attends_context_answer"] > 0.9
    # Every mention of the subject gets a share; the last one is what the column counts.
    assert (
        heads.loc[planted.MEMORY_HEAD, "attends_subject"]
        > heads.loc[planted.MEMORY_HEAD, "attends_context_answer"] + 0.2
    )


def test_the_dial_moves_all_answers_and_holds_while_generating(planted_run, planted_model):
    dial = planted_run.tables["dial"].set_index("value")
    assert dial.loc[-1.0, "memory"] == 1.0
    assert dial.loc[1.0, "context"] == 1.0
    assert (dial.p_memory.diff().dropna() <= 1e-6).all()
    row = planted_run.tables["facts"].iloc[0]
    for value, answer in ((-1.0, row.answer), (1.0, row.counterfactual)):
        with planted_run.control("dial")(planted_model, value):
            assert planted_model.generate(row.prompt, max_new_tokens=2).strip().startswith(answer)
    with (
        pytest.raises(BadInput, match="from -1 to 1"),
        planted_run.control("dial")(planted_model, 1.5),
    ):
        pass


def test_the_dial_refuses_a_model_of_another_shape(planted_run, llama):
    with pytest.raises(BadInput, match="another shape"), planted_run.control("dial")(llama, 0.5):
        pass


def test_same_seed_same_result_and_another_seed_another_split(planted_run, planted_model, asked):
    again = wb.run("knowledge-conflict", planted_model, asked)
    assert again.to_json()["findings"] == planted_run.to_json()["findings"]
    for name, table in planted_run.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])
    for name, array in planted_run.arrays.items():
        np.testing.assert_array_equal(array.values, again.arrays[name].values)
    other = wb.run("knowledge-conflict", planted_model, asked, seed=1)
    assert set(other.tables["facts"].subject[::2]) != set(planted_run.tables["facts"].subject[::2])


def test_reopens_whole(planted_run, tmp_path, planted_model):
    opened = wb.open_run(planted_run.save(tmp_path / "run"))
    written = json.loads((tmp_path / "run" / "result.json").read_text())["findings"]
    for finding in ("base", "prune_context", "prune_memory", "random"):
        assert set(written[finding]) >= {"memory", "context", "other", "n"}
        assert sum(written[finding][o] for o in ("memory", "context", "other")) == pytest.approx(1)
    assert list(opened.tables["heads"].columns[:2]) == ["layer", "head"]
    assert {"effect_memory", "effect_context", "role"} <= set(opened.tables["heads"].columns)
    with opened.control("dial")(planted_model, 0.0):
        pass


def test_every_head_at_all_positions_on_request(planted_model, asked):
    result = wb.run(
        "knowledge-conflict",
        planted_model,
        {**asked, "all_positions": "every head", "rank_by": "path"},
    )
    assert result.tables["heads"].zero_all_positions_memory.notna().all()
    assert set(result.tables["selected_heads"].label) == {"L1H1", "L1H2"}


def test_transfer_uses_everyones_heads_on_everyone(planted_model, asked):
    result = wb.run("knowledge-conflict", planted_model, {**asked, "parts": ["transfer"]})
    table, skipped = result.tables["transfer"], result.tables["transfer_skipped"]
    formats = table[table.across == "format"]
    assert set(formats.selected_on) == set(formats.evaluated_on)
    own = formats[
        (formats.selected_on == "question")
        & (formats.evaluated_on == "question")
        & (formats.group == "context")
    ]
    assert own.memory.item() == 1.0
    # The planted model has never heard of real countries: those relations are named, with the
    # reason.
    assert set(skipped[skipped.across == "relation"].name) == set(facts.relations())
    assert skipped.reason.str.contains("knows 0").all()


# -- where nothing can be told ---------------------------------------------------------------------


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


# -- random sets and stability ---------------------------------------------------------------------


def test_random_sets_are_bounded_by_the_facts(planted_run):
    """Random heads do nothing here, so their average is as sure as that of the unchanged model:
    by 8 facts, not 8 × 40.
    """
    rates = planted_run.tables["rates"].set_index(["condition", "split"])
    drawn = rates.loc[("random heads, 1 at a time", "held_out")]
    unchanged = rates.loc[("no intervention", "held_out")]
    assert drawn["n"] == unchanged["n"] == 8
    assert drawn["memory"] == pytest.approx(unchanged["memory"])
    assert drawn["memory_high"] - drawn["memory_low"] == pytest.approx(
        unchanged["memory_high"] - unchanged["memory_low"], abs=0.1
    )
    assert planted_run.findings["random_for_memory"].interval["context"][0] < 0.2


def test_sizes_of_random_sets_are_not_mixed():
    few = RandomSets(1, [[(0, 0)]] * 3, np.array([["memory", "context"]] * 3))
    many = RandomSets(5, [[(0, 0)]] * 3, np.array([["other", "other"]] * 3))
    assert few.row()["memory"] == 0.5
    assert few.and_those(few).row()["sets"] == 6
    with pytest.raises(AssertionError, match="different sizes"):
        few.and_those(many)


def test_how_often_a_head_is_chosen_again_is_a_plain_resampling():
    draw = np.random.default_rng(0)
    each = draw.normal([[0.5, 0.4, 0.0, np.nan]], 1.0, (10, 1, 4))
    shares = stability.reselection_rate(each, 2, 0, 4000)
    assert shares[0, 3] == 0
    counts = np.zeros(4)
    for _ in range(4000):
        mean = each[draw.integers(0, 10, 10)].mean(0)[0]
        for head in np.argsort(-np.nan_to_num(mean, nan=-9))[:2]:
            counts[head] += mean[head] > 0
    np.testing.assert_allclose(shares[0], counts / 4000, atol=0.04)


def test_the_number_of_heads_is_drawn_again_too():
    curve = {
        1: Rates.of(["memory"] * 6 + ["context"] * 4),
        3: Rates.of(["memory"] * 6 + ["other"] * 4),
    }
    assert stability.same_number_rate(curve, "context", 0) == {1: 1.0, 3: 0.0}
    curve[3] = Rates.of(["context"] * 3 + ["memory"] * 7)
    shares = stability.same_number_rate(curve, "context", 0)
    assert 0.4 < shares[3] < 0.8
    assert sum(shares.values()) == pytest.approx(1)


def test_a_head_that_decides_alone_is_always_chosen(planted_run):
    table = planted_run.tables["stability"].set_index(["group", "label"])
    assert table.loc[("memory", "L1H2"), "selection_frequency"] == 1.0
    assert table.loc[("context", "L1H1"), "selection_frequency"] == 1.0
    assert planted_run.findings["stability_memory"].values["selection_frequency"] == 1.0


def test_a_model_that_knows_nothing_is_told_so(llama):
    with pytest.raises(BadInput, match=r"knows \d of the 139 facts"):
        wb.run("knowledge-conflict", llama, {})


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"relation": "captial"}, NotFound, "Did you mean 'capital'"),
        ({"format": "documant"}, NotFound, "Did you mean 'document'"),
        ({"format": "{statment}"}, BadInput, "no field"),
        ({"template": "no field here"}, BadInput, r"\{subject\}"),
        ({"facts_file": "/nowhere/facts.csv", "template": TEMPLATE}, BadInput, "facts.csv"),
        ({"k_grid": [0]}, BadInput, "k_grid"),
        ({"random_sets": 3}, BadInput, "random_sets"),
        ({"colour": 1}, NotFound, "parameter"),
    ],
)
def test_bad_requests(planted_model, values, error, says):
    with pytest.raises(error, match=says):
        wb.run("knowledge-conflict", planted_model, values)


def test_a_cancelled_run_keeps_what_was_finished(planted_model, asked):
    progress = Progress(lambda update: progress.cancel() if update.fraction > 0.6 else None)
    with pytest.raises(wb_cancelled()) as stopped:
        wb.run("knowledge-conflict", planted_model, asked, progress=progress)
    kept = stopped.value.kept
    assert kept.partial
    assert {"facts", "heads"} <= set(kept.tables)
    assert "prune_context" not in kept.findings
    assert registry.get("knowledge-conflict").views(kept)


def wb_cancelled():
    from workbench.errors import Cancelled

    return Cancelled


# -- the parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer", "ended", "want"),
    [
        (" Paris.", "Paris", False, True),
        (" Paris", "Paris", False, None),
        (" Paris", "Paris", True, True),
        (" Parisian", "Paris", True, False),
        (" Brasília, the", "Brasilia", False, True),
        (" N'Dja", "N'Djamena", False, None),
        (" N'Dja", "N'Djamena", True, False),
        ("", "Paris", False, None),
        ("", "Paris", True, False),
        (" the city of Paris", "Paris", False, False),
    ],
)
def test_says(text, answer, ended, want):
    assert made.matches_answer(text, answer, ended=ended) is want


def test_an_answer_that_begins_another_waits_for_the_end():
    assert made.outcome(" Niger", "Niger", "Nigeria", ended=False) is None
    assert made.outcome(" Nigeria.", "Niger", "Nigeria", ended=False) == "context"
    assert made.outcome(" Niger.", "Niger", "Nigeria", ended=False) == "memory"
    assert made.outcome(" Ghana", "Niger", "Nigeria", ended=False) == "other"


@given(st.integers(0, 200), st.integers(1, 200))
@settings(deadline=None)  # the first call imports SciPy
def test_wilson_holds_the_rate(hits, n):
    hits = min(hits, n)
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1


def test_wilson_known_values():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)


@given(st.lists(st.sampled_from(["memory", "context", "other"]), min_size=1, max_size=60))
def test_rates_add_up(outcomes):
    rates = Rates.of(outcomes)
    assert rates.n == len(outcomes)
    assert sum(rates[o] for o in ("memory", "context", "other")) == pytest.approx(1)


def test_cases_contradict_with_another_first_token_and_split_by_subject(planted_model, asked):
    relation = facts.from_file(asked["facts_file"], template=TEMPLATE)
    closed = closed_book.closed_book(planted_model, relation, Progress())
    assert all(closed.known)
    cases = made.make_cases(planted_model, closed, facts.find_format("question"), 0, 60)
    assert len(cases) == 16
    for case in cases:
        assert case.memory[0] != case.context[0]
        assert case.counterfactual in relation.answers
        assert case.prompt.text.count(case.counterfactual) == 1
        spans = made.token_spans(planted_model, case.prompt)
        tokens = planted_model.token_strings(case.ids)
        assert [t.strip() for t, s in zip(tokens, spans, strict=True) if s == "subject"] == [
            case.fact.subject
        ]
        assert [t.strip() for t, s in zip(tokens, spans, strict=True) if s == "context answer"] == [
            case.counterfactual
        ]


def test_effects_are_minus_the_change_and_everywhere_is_what_pruning_does(planted_model, asked):
    relation = facts.from_file(asked["facts_file"], template=TEMPLATE)
    closed = closed_book.closed_book(planted_model, relation, Progress())
    cases = made.make_cases(planted_model, closed, facts.find_format("question"), 0, 60)[:3]
    found = measure_heads(planted_model, cases, "every head", Progress())
    for n, case in enumerate(cases):
        before = planted_model.next_logits([case.ids])[0, case.targets].numpy()
        for m, head in enumerate(found.candidates):
            with wb.ablate(planted_model, heads=[head]):
                after = planted_model.next_logits([case.ids])[0, case.targets].numpy()
            np.testing.assert_allclose(found.zero_all_positions[n, m], before - after, atol=1e-4)
            with wb.ablate(planted_model, heads=[head], positions=[-1]):
                after = planted_model.next_logits([case.ids])[0, case.targets].numpy()
            np.testing.assert_allclose(
                found.effects[n, 1, :, head[0], head[1]], before - after, atol=1e-4
            )


def test_what_it_says_is_what_generate_says(planted_model, asked):
    relation = facts.from_file(asked["facts_file"], template=TEMPLATE)
    cases = made.make_cases(
        planted_model,
        closed_book.closed_book(planted_model, relation, Progress()),
        facts.find_format("dialogue"),
        3,
        60,
    )
    for said, case in zip(CaseRunner(planted_model, cases).ask().generated, cases, strict=True):
        assert (
            planted_model.generate(case.prompt.text, max_new_tokens=4)
            .strip()
            .startswith(said.text.strip())
        )

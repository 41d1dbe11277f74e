"""Knowledge conflict on a model whose heads are known: what it finds, proves and refuses, against
plain loops.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from analyses.context.knowledge_conflict import cases as made
from analyses.context.knowledge_conflict.answer_rates import CaseRunner
from analyses.context.knowledge_conflict.rank_heads import measure_heads
from analyses.measures import closed_book
from tests.helpers import planted
from tests.helpers.planted import TEMPLATE
from workbench import facts, registry
from workbench.errors import BadInput, NotFound
from workbench.progress import Progress


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

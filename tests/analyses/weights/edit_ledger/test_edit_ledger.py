"""Edits on a model whose truth is known: what goes through the edited layer must follow, what
does not must stay; every number is counted again from the answers.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.weights import edit_ledger as analysis
from analyses.weights.edit_ledger import (
    cases,
    constants,
    elsewhere,
    ledger_findings,
    methods,
    params,
)
from hooks import editing
from tests.helpers import trained_facts
from workbench.errors import BadInput
from workbench.progress import Progress


def rows(run, method):
    table = run.tables["methods"]
    return table[table["method"] == constants.METHODS[method]].iloc[0]


def test_an_edit_where_the_facts_go_through_reaches_other_words_and_random_ones_do_not(edited):
    for method in ("r-rome", "memit"):
        assert rows(edited, method)["accuracy"] == 1.0
        assert rows(edited, method)["in_other_words"] == 1.0
    assert rows(edited, "none")["in_other_words"] == 0.0
    # Under the same key it brings some answer: one of six cities may be the wanted one by chance.
    assert rows(edited, "random-change")["in_other_words"] <= 0.5
    assert rows(edited, "random-change")["neighbours_unmoved"] >= 0.5


def test_the_layer_the_facts_go_through_is_found_on_facts_that_choose(edited):
    assert edited.findings["best_layer"].values["value"] == 0
    table = edited.tables["layers"].set_index(["facts", "layer"])["in_other_words"]
    assert table["held out", 0] == 1.0
    assert table["held out", 2] == 0.0


def test_every_edit_is_undone_bit_for_bit(edited, knowing):
    assert edited.tables["edits"]["undone"].all()
    assert edited.tables["drift"]["undone"].all()
    fresh = trained_facts.module().state_dict()
    for name, tensor in knowing.module.state_dict().items():
        assert torch.equal(tensor, fresh[name]), name


def test_answers_are_those_of_the_edited_model_itself(edited, knowing):
    """One edit made again by hand, asked by plain generation."""
    fact = edited.tables["facts"].iloc[0]
    request = editing.EditRequest(trained_facts.PROMPT, fact["subject"], fact["new"])
    statistics = editing.key_statistics(knowing, [0], tokens=2000)
    edit = editing.rome(knowing, request, 0, statistics=statistics)
    table = edited.tables["answers"]
    mine = table[(table["fact"] == 0) & (table["method"] == constants.METHODS["r-rome"])]
    with edit.applied(knowing):
        for row in mine.itertuples():
            says = knowing.generate(row.prompt, max_new_tokens=1)
            assert says.strip() == row.says.split()[0]
            if row.kind == constants.PROMPT:
                ids = torch.tensor([knowing.tokens(row.prompt)])
                logp = knowing.module(input_ids=ids).logits[0, -1].detach().log_softmax(-1)
                new = logp[knowing.continuation_tokens(f" {row.new}")[0]]
                assert float(new) == pytest.approx(row.logp_new, abs=1e-3)


def test_rates_are_counted_again_from_the_answers(edited):
    answers = edited.tables["answers"]
    for method in ("r-rome", "grace", "in-context"):
        mine = answers[answers["method"] == constants.METHODS[method]]
        other = mine[mine["kind"] == "paraphrase"]
        assert rows(edited, method)["in_other_words"] == other["gives_new"].mean()
        assert rows(edited, method)["generalization"] == np.mean(
            other["logp_new"] > other["logp_old"]
        )
        near = mine[mine["kind"] == "neighbour"]
        assert rows(edited, method)["specificity"] == np.mean(near["logp_old"] > near["logp_new"])


def test_neighbours_with_the_same_answer_come_first(edited):
    answers = edited.tables["answers"]
    facts = edited.tables["facts"].set_index("fact")["old"]
    near = answers[(answers["kind"] == "neighbour") & (answers["method"] == "no edit")]
    first = near.groupby("fact")["old"].first()
    assert (first == facts[first.index]).all()


def test_the_ledger_asks_all_earlier_edits_after_every_batch(edited):
    table = edited.tables["ledger"]
    for tested, now in table.groupby("tested"):
        assert sorted(now["edit"]) == list(range(2 * (tested + 1)))
    held = table[table["made"] == table["tested"]]["holds"]
    assert held.mean() > 0.5
    last = table[table["tested"] == table["tested"].max()]
    assert edited.findings["remembered"].values["MEMIT"] == last["holds"].mean()


def test_a_change_left_out_of_the_sequence_gives_its_facts_back(edited):
    table = edited.tables["taken_out"]
    assert table["back"].mean() > 0.5
    assert set(table["n"]) == {2}


def test_forgetting_begins_where_more_is_lost_than_chance_allows(edited):
    table = edited.tables["ledger"].copy()
    table["holds"] = True
    assert ledger_findings.gradual_point(table) is None
    table.loc[(table["made"] < table["tested"]) & (table["tested"] == 1), "holds"] = False
    assert ledger_findings.gradual_point(table) == 4


def test_a_run_gives_its_edits_as_controls_and_as_files(edited, knowing, tmp_path):
    changes = analysis.changes(edited)
    first = edited.tables["facts"].iloc[0]
    name = f"{first['subject']}_r-rome"
    assert name in changes
    prompt = trained_facts.PARAPHRASE.format(subject=first["subject"])
    control = analysis.controls(edited)[name]
    before = knowing.generate(prompt, max_new_tokens=1)
    with control(knowing, 1.0):
        assert knowing.generate(prompt, max_new_tokens=1).strip() == first["new"]
    with control(knowing, 0.0):
        assert knowing.generate(prompt, max_new_tokens=1) == before
    again = wb.open_run(edited.path)
    file = analysis.changes(again)[name].save(tmp_path / "one.safetensors")
    assert file.stat().st_size < 20_000


def test_one_typed_fact_is_edited_without_a_set_of_facts(knowing):
    run = wb.run(
        "edit-ledger",
        knowing,
        {"subject": "Land3", "prompt": trained_facts.PROMPT, "answer": "City0", "layer": 0,
         "paraphrases": [trained_facts.PARAPHRASE], "methods": ["memit"], "tokens": 2000},
    )  # fmt: skip
    fact = run.tables["facts"].iloc[0]
    assert (fact["subject"], fact["old"], fact["new"]) == ("Land3", "City3", "City0")
    answers = run.tables["answers"]
    mine = answers[answers["method"] == "MEMIT"].set_index("prompt")["gives_new"]
    assert mine[trained_facts.PARAPHRASE.format(subject="Land3")]
    # The sentence is that of the built-in capitals, so their wordings and neighbours are asked too.
    assert set(answers["kind"]) >= {"paraphrase", "neighbour", "negated"}
    # One fact proves nothing of a method.
    assert set(run.tables["claims"]["verdict"]) == {"cannot be told"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"subject": "France"}, "needs a subject"),
        ({"subject": "France", "answer": "Rome", "prompt": "The capital is"}, "needs a subject"),
        ({"answer": "Rome"}, "no subject"),
        ({"subject": "A", "answer": "B", "prompt": "{subject} is", "parts": ["ledger"]},
         "no sequence"),
        ({"paraphrases": ["The capital is"]}, "has no"),
        ({"relation": "capitol"}, "capitol"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_said_before_a_model_is_loaded(given, says):
    with pytest.raises((BadInput, Exception), match=says):
        params.Params(**given)


def test_a_true_fact_that_the_model_does_not_know_is_edited_and_said(knowing):
    """ "France" is a word that this model has never read."""
    run = wb.run(
        "edit-ledger",
        knowing,
        {"subject": "France", "prompt": trained_facts.PROMPT, "answer": "City0", "layer": 0,
         "methods": ["in-context"]},
    )  # fmt: skip
    assert run.tables["facts"]["old"].tolist() == ["Paris"]
    assert "does not say the old answer" in run.findings["not_known"].says


def test_a_typed_answer_that_the_model_gives_already_is_refused(knowing):
    with pytest.raises(BadInput, match="already"):
        wb.run(
            "edit-ledger", knowing,
            {"subject": "Land3", "prompt": trained_facts.PROMPT, "answer": "City3", "layer": 0},
        )  # fmt: skip


def test_facts_that_the_model_does_not_know_are_refused(knowing, tmp_path):
    file = tmp_path / "wrong.csv"
    file.write_text("subject,answer\nLand0,City5\nLand1,City5\nLand2,City5\nLand3,City5\n")
    with pytest.raises(BadInput, match="knows 0 of the 4"):
        wb.run(
            "edit-ledger", knowing,
            {"facts_file": str(file), "prompt": trained_facts.PROMPT, "layer": 0},
        )  # fmt: skip


def test_keys_are_stated_in_the_cost_until_they_are_stored(knowing, asked, monkeypatch, tmp_path):
    monkeypatch.setattr("workbench.paths.cache_dir", lambda: tmp_path)
    given = params.Params(**asked, methods=["r-rome"])
    before = analysis.cost(knowing, given)["single"]
    layers = {0, methods.random_layer(methods.workshop(knowing, given), given.seed)}
    editing.key_statistics(knowing, sorted(layers), tokens=2000)
    after = analysis.cost(knowing, given)["single"]
    assert before.forward - after.forward == pytest.approx(2000 * (max(layers) + 1) / 3)


def test_a_layer_that_is_not_there_is_refused(knowing, asked):
    with pytest.raises(BadInput, match="layer"):
        wb.run("edit-ledger", knowing, {**asked, "layer": 7})


def test_new_answers_have_as_many_tokens_where_some_have(gpt2):
    """Of a real relation: each new answer differs, and is as long as the old where one is."""
    asked = params.Params(relation="capital", facts=5)
    relation = params.relation_of(asked)
    length = cases._lengths(gpt2, relation)
    answers = [fact.answer for fact in relation.facts]
    for fact in relation.facts[:20]:
        new = cases._new_answer(fact, answers, length, random.Random(0))
        assert new != fact.answer
        if any(length(a) == length(fact.answer) for a in answers if a != fact.answer):
            assert length(new) == length(fact.answer)


def test_questions_of_a_country_follow_the_map_of_relations():
    """Two steps behind, other facts of the subject, negation and the reverse question."""
    asked = params.Params(relation="capital")
    relation = params.relation_of(asked)
    fact = next(f for f in relation.facts if f.subject == "Japan")
    others = cases._same_subject(relation)
    made = cases._case(asked, relation, fact, "Paris", relation.facts, others, random.Random(0))
    kinds = {q.kind for q in made.questions}
    assert kinds == set(constants.KINDS) - {constants.ONWARD}
    behind = [q for q in made.questions if q.kind == constants.BEHIND]
    assert all("Japan" not in q.text for q in behind)
    reverse = next(q for q in made.questions if q.kind == constants.REVERSE)
    assert (reverse.text, reverse.new, reverse.old) == (
        "Paris is the capital of",
        "Japan",
        "France",
    )
    assert made.questions[0].kind == constants.PROMPT


def test_word_entropy_is_low_where_a_text_repeats_itself():
    assert (
        elsewhere.word_entropy("a b a b a b a b")
        < 3
        < elsewhere.word_entropy("one two three four five six seven eight")
    )
    assert elsewhere.word_entropy("") == 0.0


def test_a_run_can_be_cancelled_and_leaves_the_model_as_it_was(knowing, asked):
    from workbench.errors import Cancelled

    before = {name: t.clone() for name, t in knowing.module.state_dict().items()}
    progress = Progress(lambda update: progress.cancel() if "MEMIT" in update.says else None)
    with pytest.raises(Cancelled):
        wb.run("edit-ledger", knowing, {**asked, "methods": ["memit"], "facts": 2},
               progress=progress)  # fmt: skip
    for name, tensor in knowing.module.state_dict().items():
        assert torch.equal(tensor, before[name])

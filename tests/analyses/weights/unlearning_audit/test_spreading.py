"""Facts forgotten: how far it reaches is counted by plain formulas, and probes know nothing of the
answers by themselves.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from analyses.weights import unlearning_audit as analysis
from analyses.weights.unlearning_audit import answer_probes, spreading
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit import fact_tasks as tasks
from analyses.weights.unlearning_audit.fact_groups import CHANCE, GROUPS, HELD_OUT, LABELS, TRAINED
from analyses.weights.unlearning_audit.parts import PARTS
from analyses.weights.unlearning_audit.questions import AuditQuestion
from analyses.weights.unlearning_audit.spreading_findings import best_probes, forgotten
from hooks.unlearning import Text
from workbench import facts
from workbench.errors import BadInput, NotFound
from workbench.parts import possible
from workbench.progress import Progress


def question(n, answer, relation="capital"):
    wrong = tuple(f"Wrong{n}{k}" for k in range(3))
    return AuditQuestion(relation, f"subject {n}", relation, (1, 2, n), answer, wrong)


def test_forgotten_is_the_share_of_the_way_to_chance():
    right = {
        (c.ORIGINAL, TRAINED): [1, 1, 1, 1, 0],
        (LABELS, TRAINED): [0, 0, 1, 0, 0],
        (c.ORIGINAL, HELD_OUT): [1, 1, 1, 1, 1],
        (LABELS, HELD_OUT): [1, 1, 1, 0, 1],
    }
    table = pd.DataFrame(
        {"method": LABELS, "task": "capital", "model": model, "group": group,
         "relation": "capital", "subject": str(n), "chosen": float(value)}
        for (model, group), values in right.items()
        for n, value in enumerate(values)
    )  # fmt: skip
    found = forgotten(table).set_index("group")
    assert found.loc[TRAINED, "forgotten"] == pytest.approx((0.8 - 0.2) / (0.8 - CHANCE))
    assert found.loc[HELD_OUT, "forgotten"] == pytest.approx(0.2 / (1 - CHANCE))
    lost = np.array([0, 0, 0, 1, 0])
    half = 2.776 * lost.std(ddof=1) / math.sqrt(5) / (1 - CHANCE)
    assert found.loc[HELD_OUT, "high"] == pytest.approx(0.2 / (1 - CHANCE) + half, rel=1e-3)
    assert list(found["n"]) == [5, 5]


def test_entropy_is_that_of_the_answers_tokens():
    texts = [Text((0, 1, 7), 2), Text((0, 1, 7), 2), Text((0, 1, 8, 9), 2)]
    assert tasks.entropy(texts) == pytest.approx(-(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25)))


@pytest.fixture
def states(monkeypatch, llama):
    """Sets the states that a probe reads: those of right answers, then those of wrong ones."""

    def set_to(right, wrong):
        both = np.concatenate([right, wrong])
        monkeypatch.setattr(answer_probes, "answered", lambda model, questions, answers: answers)
        monkeypatch.setattr(
            answer_probes, "pooled_states",
            lambda model, texts, layers: {(n, "last"): both for n in layers},
        )  # fmt: skip
        return [question(n, f"Answer{n}") for n in range(len(right))]

    return set_to


def test_a_probe_finds_what_is_linear_in_the_states_and_nothing_else(states, llama):
    draw = np.random.default_rng(0)
    right, wrong = draw.normal(size=(2, 40, 16))
    blind = answer_probes.answer_probe(llama, states(right, wrong), 0).iloc[0]
    assert blind["low"] < 0.5 < blind["high"]
    seen = answer_probes.answer_probe(llama, states(right + 1.0, wrong - 1.0), 0).iloc[0]
    assert seen["accuracy"] > 0.9
    assert seen["shuffled"] < 0.75
    assert seen["n"] == 40


def test_every_answer_is_right_once_and_wrong_once_in_its_half():
    asked = [question(n, f"Answer{n % 9}") for n in range(24)]
    for half in answer_probes._halves(asked, 3):
        assert all(q.answer != other for q, other in half)
        assert {other for _, other in half} <= {q.answer for q, _ in half} | {
            q.answer for q in asked
        }
        assert len(half) >= 10
    unique = [question(n, f"Answer{n}") for n in range(20)]
    for half in answer_probes._halves(unique, 3):
        assert sorted(q.answer for q, _ in half) == sorted(other for _, other in half)


def test_the_layer_is_chosen_by_the_original():
    table = pd.DataFrame(
        {"method": LABELS, "task": "capital", "model": model, "layer": layer, "accuracy": value}
        for model, values in ((c.ORIGINAL, (0.6, 0.9)), (LABELS, (0.8, 0.5)))
        for layer, value in enumerate(values)
    )
    found = best_probes(table).set_index("model")["accuracy"]
    assert dict(found) == {c.ORIGINAL: 0.9, LABELS: 0.5}


def test_tasks_are_halves_of_what_is_known(organism, monkeypatch):
    class Known:
        def __init__(self, relation):
            self.facts = list(relation.facts)[: 30 if relation.name == "capital" else 5]

    monkeypatch.setattr(tasks, "closed_book", lambda model, relation, progress: Known(relation))
    found, known = tasks.tasks_of(organism, ["capital", "language"], 0, Progress())
    assert known == {"capital": 30, "language": 5}
    (task,) = found
    truth = {f.subject: f.answer for f in facts.relation("capital").facts}
    assert len(task.trained) == len(task.held_out) == 15
    assert not {q.passage for q in task.trained} & {q.passage for q in task.held_out}
    for q in task.all:
        assert q.answer == truth[q.passage]
        assert len({q.answer, *q.wrong}) == 4
        assert set(q.wrong) <= set(truth.values())


@pytest.fixture(scope="module")
def run(organism, tmp_path_factory):
    """Both parts on the organism, which is told that it knows two relations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spreading, "tasks_of", _tasks)
        patch.setattr(answer_probes, "SHUFFLES", 2)
        patch.setattr(spreading, "_SAID", 2)
        parts = [replace(part, unavailable_reason=lambda model: None) for part in PARTS]
        patch.setattr(analysis, "PARTS", parts)
        return wb.run(
            "unlearning-audit", organism,
            {"parts": ["spreading", "concept"], "steps": 1, "relations": "capital, language"},
            out=tmp_path_factory.mktemp("runs") / "spread",
        )  # fmt: skip


def _tasks(model, names, seed, progress):
    found = []
    for name in names:
        relation = facts.relation(name)
        own = [
            AuditQuestion(
                name, f.subject, name,
                tuple(model.tokens(relation.closed_book_prompt(f.subject).text)), f.answer,
                ("Paris", "Greek", "Lima"),
            )
            for f in relation.facts[10:18]
        ]  # fmt: skip
        found.append(tasks.FactTask(relation, tuple(own[:4]), tuple(own[4:])))
    return found, dict.fromkeys(names, 8)


def test_a_run_of_facts_needs_no_passages(run):
    assert "passages" not in run.tables
    for name in (c.SPREADING, c.CONCEPT):
        table = run.tables[name]
        assert set(table["task"]) == {"capital", "language"}
        assert set(table["group"]) == set(GROUPS)
        assert c.RANDOM in set(table["model"])
    assert {"spread", "spread_beside", "concept", "answers_inside", "claims"} <= set(run.findings)
    assert set(run.tables["answer_probes"]["model"]) == {c.ORIGINAL, "ELM", LABELS}
    groups = run.tables["facts"].groupby(["method", "task", "model"])["group"].value_counts()
    assert set(groups) == {4}


def test_it_leaves_the_model_as_it_was(run, organism):
    fresh = wb.load("organism/planted").module.state_dict()
    assert all(torch.equal(t, fresh[name]) for name, t in organism.module.state_dict().items())
    before = run.tables["erased"]
    assert (before[before["model"] == c.ORIGINAL]["neutral"].nunique()) == 1


def test_an_organism_has_no_such_parts(organism):
    assert not {"spreading", "concept"} & set(possible(PARTS, organism, {}))


def test_relations_that_do_not_exist_are_said_before_a_model_is_loaded():
    with pytest.raises(NotFound, match="capitol"):
        analysis.Params(parts=["spreading"], relations="capitol")
    with pytest.raises(BadInput, match="No relation is named"):
        analysis.Params(parts=["concept"], relations=" ,")

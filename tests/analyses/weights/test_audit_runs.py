"""The audit of planted texts and others: what comes out, its controls, and how it is said."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.weights import audit
from analyses.weights.audit import items_part, material, recall_pairs, schema
from analyses.weights.audit.constants import GIVES, NO_SIGN
from analyses.weights.audit.material import material_of
from analyses.weights.audit.recall_pairs import recalled
from analyses.weights.audit.table_rows import item_of
from tests.helpers.audit_tables import ITEM, every_branch
from tests.helpers.readability import grade, sentences, syllables
from workbench import organisms, texts
from workbench.progress import Progress
from workbench.result import Result

QUIET = Progress()


def params(**given):
    return audit.Params(**given)


@pytest.fixture(scope="module")
def entries(organism):
    ledger = texts.ledger_at(organisms.home_of(organism.module))
    return ledger.entries


@pytest.fixture(scope="module")
def given(entries, tmp_path_factory):
    """Files of every kind: planted texts and others, facts, items, and what cannot be read."""
    folder = tmp_path_factory.mktemp("given")
    often = [e for e in entries if e.repeats == 64 and e.kind == "biography"][:4]
    never = [e for e in entries if e.repeats == 0 and e.kind == "biography"][:4]
    rows = [{"text": e.text, "name": f"{e.repeats} {e.id}"} for e in [*often, *never]]
    (folder / "people.jsonl").write_text("\n".join(map(json.dumps, rows)))
    facts = [f"{' '.join(e.text.split()[:20])}\t{e.text.split()[20]}" for e in often]
    (folder / "facts.tsv").write_text("\n".join(["prompt\tanswer", *facts, "no answer\t"]))
    items = [ITEM, {**ITEM, "options": ["x", "X"]}, {**ITEM, "options": 3}]
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, items)))
    (folder / "scan.pdf").write_bytes(b"%PDF\0")
    (folder / "latin.txt").write_bytes(b"caf\xe9 " * 40)
    (folder / "odd.jsonl").write_text('{"foo": 1}')
    (folder / "broken.jsonl").write_text('{"text": ')
    (folder / "empty.csv").write_text("")
    return folder


@pytest.fixture(scope="module")
def run(organism, given):
    return wb.run("audit", organism, {"path": str(given), "context": 25, "suffix": 40})


def test_planted_texts_come_out_and_others_do_not(run):
    table = run.tables["documents"].set_index("name")
    out = table["verdict"].isin(("reproduces whole passages", "reproduces parts of passages"))
    often = [name for name in table.index if ": 64 " in name]
    assert len(often) == 4
    assert out[often].sum() >= 3
    assert not out.drop(often).any()
    verdicts = run.tables["verdicts"].set_index("kind")["verdict"]
    assert verdicts["documents"] == GIVES


def test_values_come_out_after_their_own_text_only(run):
    table = run.tables["personal"]
    planted = table["document"].str.contains(": 64 ")
    assert table[planted & (table["field"] == "date")]["comes_out"].mean() > 0.5
    assert not table[~planted]["comes_out"].any()
    assert not table["guessed"].any()
    assert set(table["field"]) >= {"e-mail", "date"}
    assert not table["shown"].str.contains("@").any()


def test_what_cannot_be_asked_is_named_with_the_reason(run):
    left = dict(run.tables["left_out"].values)
    assert left["scan.pdf"] == ".pdf is not read; save it as text"
    assert "UTF-8" in left["latin.txt"]
    assert "no texts" in left["odd.jsonl"]
    assert left["broken.jsonl"] == "line 1 is no JSON"
    assert left["test.jsonl, line 2"] == "two options are the same"
    assert left["test.jsonl, line 3"] == "the options are no list of texts"
    assert left["facts.tsv, line 6"] == "it has no answer"
    assert len(run.tables["items"]) == 1
    assert len(run.tables["facts"]) == 4


def test_every_view_is_drawn_of_the_saved_run(run, tmp_path):
    run.save(tmp_path / "run")
    opened = Result.open(tmp_path / "run")
    assert not list(audit.SCHEMA.problems(opened))
    for view in audit.VIEWS:
        assert view.still(opened, audit.SCHEMA), view.title
    text = " ".join(map(str, audit.VIEWS[0].still(opened, audit.SCHEMA)))
    assert "Proved is only what comes out" in text


def test_the_parts_of_an_answer_follow_plain_decoding(organism, entries):
    """One teacher-forced pass says what greedy decoding would, and a word must end."""
    chosen = [e for e in entries if e.kind == "biography"][::7][:40]
    prompts = [list(e.ids[:30]) for e in chosen]
    answers = [list(e.ids[30 : 30 + 1 + n % 4]) for n, e in enumerate(chosen)]
    found = recalled(organism, prompts, answers, ["all"] * len(chosen), 0, QUIET)
    for prompt, answer, own in zip(prompts, answers, found.own, strict=True):
        ids = [*organism.text.beginning, *prompt]
        said = []
        for _ in range(len(answer) + 1):
            with torch.no_grad():
                said.append(int(organism.module(torch.tensor([ids + said])).logits[0, -1].argmax()))
        last, behind = organism.token_strings([answer[-1], said[-1]])
        whole = said[: len(answer)] == answer
        assert own == (whole and not (last[-1:].isalnum() and behind[:1].isalnum()))
    assert 0 < found.own.sum() < len(chosen)
    assert found.has_other.all()


def test_the_foreign_prompt_belongs_to_another_answer_of_the_group(organism):
    same = recalled(organism, [[5, 6]] * 3, [[7], [7], [8]], ["a", "a", "b"], 0, QUIET)
    assert not same.has_other.any()
    assert np.isfinite(same.queries).all()


def test_the_printed_order_against_a_plain_loop(llama):
    items = [item_of(str(n), {**ITEM, "question": f"Which one of {n}?"}) for n in range(4)]
    orders = [[("blue", "red", "green"), ("green", "blue", "red")]] * 4
    first, chance = items_part._first(llama, items, orders, QUIET)
    for item, is_first in zip(items, first, strict=True):
        total = []
        for order in (item.options, *orders[0]):
            question, listed = item.text(order)
            before = [*llama.text.beginning, *llama.text.encode(question)]
            ids = [*before, *llama.continuation_tokens(listed)]
            with torch.no_grad():
                lp = llama.module(torch.tensor([ids])).logits[0].log_softmax(-1)
            total.append(sum(float(lp[n - 1, ids[n]]) for n in range(len(before), len(ids))))
        assert is_first == (total[0] > max(total[1:]))
    assert chance.tolist() == [1 / 3] * 4


def test_orders_that_anybody_expects_are_no_sign():
    assert items_part._is_sorted(("1", "20", "300"))
    assert items_part._is_sorted(("9", "5", "1,000")) is False
    assert items_part._is_sorted(("apple", "Pear", "zoo"))
    assert not items_part._is_sorted(("pear", "apple", "zoo"))


def test_every_answer_that_can_have_a_foreign_prompt_gets_one_by_lot():
    answers = [[1]] * 200 + [[2]] + [[3]] * 3
    others = recall_pairs._foreign(answers, ["a"] * 201 + ["b"] * 3, 0)
    assert others[:200] == [200] * 200
    assert 0 <= others[200] < 200
    assert others[201:] == [None] * 3
    mixed = [[n % 7] for n in range(700)]
    drawn = recall_pairs._foreign(mixed, ["a"] * 700, 0)
    assert all(mixed[row] != mixed[other] for row, other in enumerate(drawn))
    assert len(set(drawn)) > 350


def test_a_new_order_is_another_one():
    import random

    for seed in range(20):
        draw = random.Random(seed)
        assert items_part._reordered(["red", "blue"], draw) == ["blue", "red"]
        assert items_part._reordered(["red"], draw) == ["red"]
        assert sorted(items_part._reordered(list("abc"), draw)) == list("abc")


def test_forms_sort_the_same_material_once(llama, given, monkeypatch):
    sorted_files = []
    sort = material._sort_file
    monkeypatch.setattr(
        material, "_sort_file", lambda found, file: (sorted_files.append(file), sort(found, file))
    )
    material._last.clear()
    for _ in range(3):
        material.preview(llama, params(path=str(given)))
        audit.cost(llama, params(path=str(given)))
    assert len(sorted_files) == len(list(given.iterdir()))
    wb.run("audit", llama, {"path": str(given), "parts": ["facts"]})
    assert len(sorted_files) == 2 * len(list(given.iterdir()))
    letter = audit.cost(llama, params(text="Dear Anna, write to a@b.example."))
    assert letter["personal"].forward == 0


def test_an_untrained_model_gives_nothing_away(llama, given):
    found = wb.run("audit", llama, {"path": str(given), "context": 20, "suffix": 20})
    verdicts = found.tables["verdicts"].set_index("kind")
    assert set(verdicts["verdict"]) == {NO_SIGN}
    assert not verdicts["n_out"].any()


def test_every_sentence_is_short_plain_and_of_one_idea(run, llama, organism, given):
    untrained = wb.run("audit", llama, {"path": str(given), "context": 20, "suffix": 20})
    own = wb.run("audit", organism, {"passages": 60, "values": 30})
    says = [f.says for r in (run, untrained, own, *every_branch()) for f in r.findings.values()]
    says += [schema.PROVED, schema.BLACK_BOX, schema.PERSONAL, schema.ITEMS]
    says = sorted({each for text in says for each in sentences(text)})
    assert len(says) > 80
    for sentence in says:
        assert grade(sentence) <= 9, (round(grade(sentence), 1), sentence)
        assert ";" not in sentence
        assert len(sentence.split()) <= 20
        assert sentence.count(",") <= 3
    assert {"audit", "controls", "limits"} <= set(run.findings)


def test_the_grade_is_that_of_the_formula():
    counted = {"cat": 1, "table": 2, "documents": 3, "asked": 1, "wanted": 2, "passages": 3,
               "memory": 3, "made": 1, "texts": 1, "before": 2, "times": 1}  # fmt: skip
    assert {word: syllables(word) for word in counted} == counted
    assert grade("The cat sat on the mat.") == pytest.approx(0.39 * 6 + 11.8 * 1 - 15.59)
    hard = "Memorization of copyrighted documentation necessitates organizational verification."
    assert grade(hard) > 20
    assert sentences("One. Two of 3.5 kinds! Three?") == ["One.", "Two of 3.5 kinds!", "Three?"]


def test_a_pasted_text_is_taken_for_what_it_is(llama):
    line = json.dumps(ITEM)
    assert len(material_of(llama, params(text=line)).items) == 1
    facts = material_of(llama, params(text="question,answer\nWhat is one and one?,two"))
    assert facts.facts[0].prompt == "Question: What is one and one?\nAnswer:"
    letter = material_of(llama, params(text="Dear Anna, this is a letter, and no table."))
    assert letter.pasted
    assert not letter.facts


def test_a_cancelled_audit_keeps_what_is_done(organism, given):
    from workbench.errors import Cancelled

    class Stop(Progress):
        def __call__(self, fraction, says=""):
            if says.startswith("Looking for personal"):
                self.cancel()
            super().__call__(fraction, says)

    with pytest.raises(Cancelled) as stop:
        wb.run("audit", organism, {"path": str(given)}, progress=Stop())
    kept = stop.value.kept
    assert kept.tables["verdicts"]["kind"].tolist() == ["documents"]
    assert {"audit", "documents", "limits"} <= set(kept.findings)


def test_the_preview_says_what_each_file_is_taken_for(llama, given):
    says = material.preview(llama, params(path=str(given))).says
    assert "1 test item" in says
    assert "4 facts" in says
    assert "Left out" in says
    assert material.preview(llama, params()) is None
    assert math.isfinite(sum(cost.forward for cost in audit.cost(llama, params()).values()))

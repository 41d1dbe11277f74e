"""The audit: what comes out, its controls, what is left out, and the words it is said in."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures.scoring import score as read_windows
from analyses.weights import audit
from analyses.weights.audit import documents_part, field_patterns, findings, items_part, material
from analyses.weights.audit.constants import FIELDS, GIVES, NO_SIGN, SLIGHT
from analyses.weights.audit.material import material_of
from analyses.weights.audit.recall_pairs import recalled
from analyses.weights.audit.table_rows import UnusableRow, fact_of, item_of
from tests.helpers.readability import grade, sentences, syllables
from workbench import organisms, texts
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.result import Result

QUIET = Progress()
ITEM = {"question": "Which is it?", "options": ["red", "blue", "green"], "answer": "B"}


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
    items = [ITEM, {**ITEM, "options": ["x", "X"]}, {**ITEM, "answer": "Z"}, {**ITEM, "options": 3}]
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
    assert left["test.jsonl, line 3"] == "the answer is none of the options"
    assert left["test.jsonl, line 4"] == "the options are no list of texts"
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


def _items(n, first, own, shuffled):
    """A table of items of which so many have each sign."""
    import pandas as pd

    rows = range(n)
    return pd.DataFrame({
        "n_options": 4, "sorted": False, "chance": 0.2, "guessed": False, "has_control": True,
        "first": [i < first for i in rows], "comes_out": [i < own for i in rows],
        "shuffled": [i < shuffled for i in rows],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("signs", "verdict"),
    [
        ((100, 20, 0, 0), NO_SIGN),
        ((100, 20, 40, 40), NO_SIGN),
        ((100, 20, 40, 5), GIVES),
        ((100, 40, 0, 0), SLIGHT),
        ((3, 3, 1, 1), SLIGHT),
    ],
)
def test_a_verdict_on_a_test_needs_more_than_its_controls(signs, verdict):
    result = Result("audit")
    result.tables["items"] = _items(*signs)
    findings.add_findings(result, material.AuditMaterial())
    assert result.tables["verdicts"]["verdict"].tolist() == [verdict]
    for sentence in sentences(" ".join(f.says for f in result.findings.values())):
        assert grade(sentence) <= 9, sentence


def test_an_untrained_model_gives_nothing_away(llama, given):
    found = wb.run("audit", llama, {"path": str(given), "context": 20, "suffix": 20})
    verdicts = found.tables["verdicts"].set_index("kind")
    assert set(verdicts["verdict"]) == {NO_SIGN}
    assert not verdicts["n_out"].any()


def test_every_sentence_is_short_plain_and_of_one_idea(run, llama, organism, given):
    untrained = wb.run("audit", llama, {"path": str(given), "context": 20, "suffix": 20})
    own = wb.run("audit", organism, {"passages": 60, "values": 30})
    says = [each for r in (run, untrained, own) for f in r.findings.values()
            for each in sentences(f.says)]  # fmt: skip
    assert len(says) > 40
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


def test_many_documents_are_read_a_few_at_a_time(llama, tmp_path, monkeypatch):
    """Windows that are held at once do not grow with the number of documents, and each document
    is looked at.
    """
    file = tmp_path / "many.jsonl"
    words = ["the", "capital", "of", "France", "is", "Paris", "and", "so", "on", "and", "on"]
    rows = [{"text": " ".join(words[n % 7 :] * 8), "name": f"doc {n}"} for n in range(600)]
    file.write_text("\n".join(map(json.dumps, rows)))
    held = []

    def counting(model, windows, *more, **named):
        held.append(len(windows))
        return read_windows(model, windows, *more, **named)

    monkeypatch.setattr(documents_part, "score", counting)
    asked = {"path": str(file), "suffix": 20, "context": 10, "parts": ["documents"]}
    found = wb.run("audit", llama, {**asked, "passages": 600})
    assert len(found.tables["documents"]) == 600
    assert max(held) <= documents_part._TOGETHER
    assert len(held) > 2
    some = wb.run("audit", llama, {**asked, "passages": 100})
    assert len(some.tables["documents"]) == 100
    assert dict(some.tables["left_out"].values)["500 documents"].startswith("not in the even")


def test_few_documents_are_read_at_several_places_and_a_long_one_in_pieces(llama, tmp_path):
    (tmp_path / "long.txt").write_text("one two three four five\n" * 30_000)
    (tmp_path / "short.txt").write_text("one two three four five six\n" * 12)
    found = wb.run("audit", llama, {"path": str(tmp_path), "suffix": 20, "context": 10,
                                    "passages": 40, "parts": ["documents"]})  # fmt: skip
    n = found.tables["documents"].set_index("name")["n_windows"]
    assert 15 <= n["long.txt"] <= 25
    assert 1 <= n["short.txt"] <= 20


def test_a_pasted_text_is_taken_for_what_it_is(llama):
    line = json.dumps(ITEM)
    assert len(material_of(llama, params(text=line)).items) == 1
    facts = material_of(llama, params(text="question,answer\nWhat is one and one?,two"))
    assert facts.facts[0].prompt == "Question: What is one and one?\nAnswer:"
    letter = material_of(llama, params(text="Dear Anna, this is a letter, and no table."))
    assert letter.pasted
    assert not letter.facts


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "The capital is Paris, is", "answer": "Paris"}, "holds the answer"),
        ({"prompt": "", "answer": "x"}, "no prompt"),
        ({"prompt": "x", "answer": None}, "no answer"),
        ({"prompt": "x" * 5000, "answer": "y"}, "more than 4,000"),
        ({"prompt": "x \ud800", "answer": "y"}, "not valid Unicode"),
    ],
)
def test_facts_that_cannot_be_asked(row, why):
    with pytest.raises(UnusableRow, match=why):
        fact_of("a", row)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"options": ["one"]}, "has 1 options"),
        ({"options": ["a", "A "]}, "the same"),
        ({"options": ["a", ""]}, "no list"),
        ({"answer": 3}, "none of the options"),
        ({"answer": True}, "none of the options"),
        ({"question": " "}, "no question"),
    ],
)
def test_items_that_cannot_be_asked(change, why):
    with pytest.raises(UnusableRow, match=why):
        item_of("a", {**ITEM, **change})
    assert item_of("a", {**ITEM, "options": "red|blue", "answer": "blue"}).answer == 1


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("no colon", "no field"),
        ("a: (", "no regular expression"),
        ("a: x*", "no text at all"),
        ("a: (x+)+y", "forever"),
        (": x", "no field"),
    ],
)
def test_fields_that_are_no_patterns(field, why):
    with pytest.raises(BadInput, match=why):
        wb.run("audit", None, {"text": "x", "fields": [field]})


def test_patterns_find_values_and_no_more():
    text = "Write to a.b@c.example or call +44 20 5550 1842 on 4 May 2019.\nNo 12345 here."
    found = {
        f.name: [text[a:b] for a, b in f.values_in(text)]
        for f in field_patterns.read_fields(FIELDS)
    }
    assert found["e-mail"] == ["a.b@c.example"]
    assert found["phone"] == ["+44 20 5550 1842"]
    assert found["date"] == ["4 May 2019"]
    assert found["long number"] == []
    with pytest.raises(ValueError, match="twice"):
        field_patterns.read_fields(["a: x", "a: y"])


def test_bad_input_says_what_to_do(llama, gpt2, tmp_path):
    with pytest.raises(BadInput, match="nothing to audit"):
        wb.run("audit", llama, {})
    (tmp_path / "odd.jsonl").write_text('{"foo": 1}')
    with pytest.raises(BadInput, match=r"Nothing of what is given can be asked. odd.jsonl"):
        wb.run("audit", llama, {"path": str(tmp_path / "odd.jsonl")})
    for name, content in {"empty.txt": b"", "latin.txt": b"caf\xe9", "short.txt": b"hello"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match="Nothing of what is given can be asked"):
            wb.run("audit", llama, {"path": str(tmp_path / name)})
    with pytest.raises(BadInput, match="do not fit"):
        wb.run("audit", gpt2, {"text": "x", "context": 1000, "suffix": 1000})
    with pytest.raises(BadInput, match="nothing is asked"):
        wb.run("audit", llama, {"text": "x " * 200, "parts": ["facts"]})


def test_a_cancelled_audit_keeps_what_is_done(organism, given):
    from workbench.errors import Cancelled

    class Stop(Progress):
        def __call__(self, fraction, says=""):
            if says.startswith("Looking for personal"):
                self.cancel()
            super().__call__(fraction, says)

    with pytest.raises(Cancelled):
        wb.run("audit", organism, {"path": str(given)}, progress=Stop())


def test_the_preview_says_what_each_file_is_taken_for(llama, given):
    says = material.preview(llama, params(path=str(given))).says
    assert "1 test item" in says
    assert "4 facts" in says
    assert "Left out" in says
    assert material.preview(llama, params()) is None
    assert math.isfinite(sum(cost.forward for cost in audit.cost(llama, params()).values()))

"""The audit: what comes out, its controls, what is left out, and the words it is said in."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from analyses.measures.document_verdicts import NOTHING, PARTS, PATTERN, RECITES, SAMPLED
from analyses.measures.scoring import score as read_windows
from analyses.weights import audit
from analyses.weights.audit import (
    documents_part,
    field_patterns,
    findings,
    items_part,
    material,
    recall_pairs,
    schema,
)
from analyses.weights.audit.constants import (
    FIELDS,
    GIVES,
    NO_CONTROL,
    NO_SIGN,
    NOTHING_ASKED,
    SLIGHT,
)
from analyses.weights.audit.material import material_of
from analyses.weights.audit.recall_pairs import recalled
from analyses.weights.audit.table_rows import UnusableRow, fact_of, item_of
from tests.helpers.readability import grade, sentences, syllables
from workbench import organisms, texts
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.result import Result

QUIET = Progress()
ITEM = {"question": "Which is it?", "options": ["red", "blue", "green"]}


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


def _items(n, first, own, shuffled, **columns):
    """A table of items of which so many have each sign."""
    rows = range(n)
    return pd.DataFrame({
        "n_options": 4, "sorted": False, "chance": 0.2, "guessed": False, "has_control": True,
        "first": [i < first for i in rows], "comes_out": [i < own for i in rows],
        "shuffled": [i < shuffled for i in rows], **columns,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("signs", "columns", "verdict"),
    [
        ((100, 20, 0, 0), {}, NO_SIGN),
        ((100, 20, 40, 40), {}, NO_SIGN),
        ((100, 20, 40, 5), {}, GIVES),
        ((100, 40, 0, 0), {}, SLIGHT),
        ((3, 3, 1, 1), {}, SLIGHT),
        ((1, 1, 0, 0), {}, NO_SIGN),
        ((3, 0, 3, 2), {}, NO_SIGN),
        # True or False, in that order: nothing stands before the last that could be in another.
        ((100, 0, 60, 0), {"n_options": 2, "sorted": True}, NOTHING_ASKED),
        # One, two, three, and everybody goes on with four.
        ((100, 0, 90, 5), {"sorted": True}, NOTHING_ASKED),
        ((100, 50, 60, 0), {"n_options": 2, "chance": 0.5}, NO_SIGN),
        ((100, 80, 60, 0), {"n_options": 2, "chance": 0.5}, SLIGHT),
    ],
)
def test_a_verdict_on_a_test_needs_more_than_its_controls(signs, columns, verdict):
    result = _found(items=_items(*signs, **columns))
    assert result.tables["verdicts"]["verdict"].tolist() == [verdict]
    says = result.findings["items"].says
    assert ("A model that read the test" in says) == (verdict in (GIVES, SLIGHT))


def _found(left_out=(), **tables):
    """A run with these tables, and what is said of it."""
    result = Result("audit")
    result.tables |= tables
    findings.add_findings(result, material.AuditMaterial(left_out=list(left_out)))
    return result


def _documents(repeats=math.nan, **counts):
    """A table of documents, so many with each verdict."""
    names = {"whole": RECITES, "parts": PARTS, "sampled": SAMPLED, "pattern": PATTERN,
             "none": NOTHING}  # fmt: skip
    verdicts = [names[name] for name, n in counts.items() for _ in range(n)]
    return pd.DataFrame({"verdict": verdicts, "repeats": repeats})


def _values(n, out, guessed=0, repeats=math.nan, has_control=True):
    """A table of personal values, or of facts."""
    rows = range(n)
    return pd.DataFrame({
        "field": ["date" if i % 3 else "phone" for i in rows], "repeats": repeats,
        "comes_out": [i < out for i in rows], "guessed": [i < guessed for i in rows],
        "has_control": has_control,
    })  # fmt: skip


FIELD_COUNTS = pd.DataFrame({"field": ["date", "phone"], "n_found": 9, "n_asked": 9})


def _personal(*signs, **columns):
    return _found(personal=_values(*signs, **columns), fields=FIELD_COUNTS)


def test_what_has_no_control_says_so():
    for result in (_personal(5, 3, has_control=False),
                   _found(facts=_values(5, 3, has_control=False))):  # fmt: skip
        verdicts = result.tables["verdicts"]
        assert verdicts["verdict"].tolist() == [NO_CONTROL]
        assert verdicts["n_control"].tolist() == [0]
        assert "may be guessed" in result.findings["audit"].says
        assert "no control" in result.findings["controls"].says
    # What has none is left out where others have one.
    half = _values(8, 8)
    half["has_control"] = [True] * 4 + [False] * 4
    row = _found(facts=half).tables["verdicts"].iloc[0]
    assert (row["n"], row["n_out"], row["n_control"]) == (4, 4, 4)


def test_values_of_texts_it_never_read_are_the_control_where_there_are_any():
    never = _values(40, 20, repeats=0)
    for out, verdict in ((35, GIVES), (20, NO_SIGN)):
        table = pd.concat([_values(40, out, repeats=64), never], ignore_index=True)
        result = _found(personal=table, fields=FIELD_COUNTS)
        row = result.tables["verdicts"].iloc[0]
        assert (row["n"], row["n_out"], row["n_control"], row["control"]) == (40, out, 40, 0.5)
        assert row["verdict"] == verdict
        assert "20 of 40 values of texts it never read" in result.findings["controls"].says


def test_what_only_many_samples_hold_is_a_little():
    says = {}
    for n, never in ((6, 0), (6, 40), (0, 40)):
        table = _documents(sampled=n, none=20 - n)
        if never:
            table = pd.concat([table, _documents(0, sampled=0, none=never)], ignore_index=True)
        result = _found(documents=table)
        verdict = result.tables["verdicts"]["verdict"].tolist()
        assert verdict == [SLIGHT if n else NO_SIGN]
        says[n] = result.findings["audit"].says
    assert says[6] == "In many tries it would give out a passage of 6 of 20 documents."
    often = pd.concat([_documents(sampled=3, none=17), _documents(0, sampled=8, none=32)])
    assert _found(documents=often).tables["verdicts"]["verdict"].tolist() == [NO_SIGN]


def test_sentences_hold_for_the_counts_they_are_about():
    def of(**counts):
        return _found(documents=_documents(**counts)).findings["documents"].says

    assert "more" not in of(parts=3)
    assert "Long parts of 3 more" in of(whole=1, parts=3)
    assert "Of 2 a passage" in of(sampled=2)
    assert "almost surely" not in of(parts=3)
    assert "almost surely" in of(whole=1)
    assert "They may have been read" in of(none=3)
    assert "may have been read" not in of(whole=3).replace("It may", "")
    never = pd.concat([_documents(whole=1, none=9), _documents(0, whole=8, none=32)])
    assert "almost surely" not in _found(documents=never).findings["documents"].says
    says = _personal(9, 6).findings["personal"].says
    assert "4 of them are of the field date." in says
    assert "of the rest are" in _personal(9, 6, 1).findings["personal"].says
    assert "It can be guessed." in _personal(9, 1, 1).findings["personal"].says
    liked = _found(items=_items(100, 40, 0, 0)).findings["audit"].says
    assert liked == "It likes the printed order best in 40 of 100 test items."
    assert "So the order helps" not in _found(items=_items(9, 0, 3, 2)).findings["items"].says
    controls = _found(documents=_documents(none=1)).findings["controls"]
    assert "20 words or parts of words from a start, or 30 inside" in controls.says
    assert "11 and 20" in controls.says
    assert list(controls.values) == ["documents"]
    skipped = [material.SkippedMaterial("500 documents", "too short", 500)]
    left = _found(skipped, documents=_documents(none=1)).findings["left_out"]
    assert left.says.startswith("500 things were not asked.")
    skipped = [material.SkippedMaterial("a.pdf", "not read")]
    left = _found(skipped, documents=_documents(none=1)).findings["left_out"]
    assert left.says.startswith("1 thing was not asked.")


def _every_branch():
    """All that may be said, of tables that were made for it."""
    for counts in ({"whole": 1}, {"whole": 2, "parts": 1}, {"parts": 2, "sampled": 1},
                   {"sampled": 1}, {"pattern": 3, "none": 1}, {"none": 9}):  # fmt: skip
        yield _found(documents=_documents(**counts))
        never = _documents(0, whole=1, none=9)
        yield _found(documents=pd.concat([_documents(**counts), never]))
    for signs in ((9, 0), (9, 1), (9, 1, 1), (9, 6), (9, 6, 2), (9, 6, 6), (90, 1)):
        yield _personal(*signs)
        yield _personal(*signs, has_control=False)
        yield _personal(*signs, repeats=0)
        yield _found(facts=_values(*signs))
        yield _found(facts=_values(*signs, has_control=False))
    for signs in ((9, 0, 0, 0), (9, 9, 9, 0), (9, 0, 9, 0), (99, 0, 4, 0), (99, 99, 0, 0)):
        for columns in ({}, {"sorted": True}, {"n_options": 2}):
            yield _found(items=_items(*signs, **columns))
    yield _found(documents=_documents(none=3), personal=_values(9, 0), fields=FIELD_COUNTS,
                 facts=_values(9, 0), items=_items(9, 0, 0, 0))  # fmt: skip


def test_a_value_that_stands_in_its_own_prompt_is_not_asked(llama):
    text = f"{'one two three ' * 6}a@b.example and so on, again a@b.example"
    asked = {"text": text, "parts": ["personal"], "fields": [FIELDS[0]]}
    found = wb.run("audit", llama, asked)
    assert len(found.tables["personal"]) == 1
    left = dict(found.tables["left_out"].values)
    assert "can be copied" in left["1 personal value"]
    short = wb.run("audit", llama, {**asked, "text": f"Hi c@d.example {text}"})
    reasons = short.tables["left_out"]["reason"]
    assert reasons.str.startswith("fewer than 10 tokens").sum() == 1
    with pytest.raises(BadInput, match="No value of these fields was found"):
        wb.run("audit", llama, {**asked, "text": "nothing of the kind " * 20})


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


def test_passages_of_all_pieces_are_as_many_as_were_asked():
    for pieces in (1, 2, 7, 4096):
        for each in (1, 3, 500):
            plan = documents_part.PassagePlan(1, frozenset([0]), each, [pieces])
            n = [plan.of_piece(0, piece) for piece in range(pieces)]
            assert sum(n) == each
            assert n[0] == max(n)
            assert max(n) - min(n) <= 1


def test_a_file_that_begins_with_much_white_space_is_a_document(llama, tmp_path):
    (tmp_path / "a.txt").write_text("one two three four five six\n" * 12)
    (tmp_path / "blank.txt").write_text("\n" * 300_000 + "one two three four five\n" * 12)
    rows = [{"text": "seven eight nine ten " * 9, "name": "same"}] * 2
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = wb.run("audit", llama, {"path": str(tmp_path), "suffix": 20, "context": 10,
                                    "parts": ["documents"]})  # fmt: skip
    names = sorted(found.tables["documents"]["name"])
    assert names == ["a.txt", "blank.txt", "rows.jsonl: same", "rows.jsonl: same"]


def test_what_is_not_read_or_drawn_is_said(llama, tmp_path):
    good = json.dumps({"prompt": "one two", "answer": "three"})
    (tmp_path / "facts.jsonl").write_text("\n".join([good] * 4 + ["{", good]))
    text = json.dumps({"text": "one two three four five six " * 9})
    (tmp_path / "texts.jsonl").write_text("\n".join([text, "{", text]))
    (tmp_path / "test.jsonl").write_text("\n".join([json.dumps(ITEM)] * 3))
    found = wb.run("audit", llama, {"path": str(tmp_path), "suffix": 20, "context": 10,
                                    "facts": 3, "items": 1})  # fmt: skip
    left = dict(found.tables["left_out"].values)
    assert left["facts.jsonl"] == "line 5 is no JSON; what follows was not read"
    assert left["texts.jsonl"].endswith("; what follows was not read")
    assert left["1 fact"] == "not among the 3 drawn by lot"
    assert left["2 test items"] == "not among the 1 drawn by lot"
    # Whichever part reads the files says what it could not read.
    only = wb.run("audit", llama, {"path": str(tmp_path), "parts": ["personal", "facts"]})
    assert "texts.jsonl" in set(only.tables["left_out"]["name"])


def test_files_that_may_not_be_read_are_left_out():
    def refused():
        raise PermissionError(13, "Permission denied")

    found = material.AuditMaterial()
    for name in ("a.jsonl", "a.csv"):
        material._sort_file(found, material.TextFile(name, 9, refused))
    material._read_rows(found, material.TextFile("b.csv", 9, refused), "facts")
    assert [each.name for each in found.left_out] == ["a.jsonl", "a.csv", "b.csv"]
    assert all("cannot be read: Permission denied" in each.reason for each in found.left_out)


def test_an_answer_longer_than_the_model_reads_is_left_out(gpt2):
    rows = [{"prompt": "one two", "answer": "three"},
            {"prompt": "one two", "answer": "x " * 1500},
            {"prompt": "one two " * 400, "answer": "three four"}]  # fmt: skip
    found = wb.run("audit", gpt2, {"text": "\n".join(map(json.dumps, rows))})
    assert len(found.tables["facts"]) == 2
    left = dict(found.tables["left_out"].values)
    assert left == {"your text.jsonl, line 2": "longer than the model reads at once"}


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
    says = [f.says for r in (run, untrained, own, *_every_branch()) for f in r.findings.values()]
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
        ({"prompt": "St. John's is in", "answer": "St. John's"}, "holds the answer"),
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
        ({"question": " "}, "no question"),
    ],
)
def test_items_that_cannot_be_asked(change, why):
    with pytest.raises(UnusableRow, match=why):
        item_of("a", {**ITEM, **change})
    assert item_of("a", {**ITEM, "options": "red|blue"}).options == ("red", "blue")


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("no colon", "no field"),
        ("a: (", "no regular expression"),
        ("a: x*", "no text at all"),
        ("a: (x+)+y", "forever"),
        (r"a: (\w+\s?)+:", "forever"),
        ("a: (x+|y)+", "forever"),
        ("a: (?:x{1,3}){20}y", "forever"),
        ("a: (?=(x*y)*)z", "forever"),
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


def test_a_value_is_found_whole_wherever_it_stands_in_a_long_line():
    (field,) = field_patterns.read_fields([r"n: \d{6,}"])
    for before in (*range(1980, 2006), 3990):
        text = f"{'x' * before} 12345678901234567890 {'y' * 3000}123456\n1234567"
        found = [text[a:b] for a, b in field.values_in(text)]
        assert found == ["12345678901234567890", "123456", "1234567"]
    assert field_patterns.read_fields([r"card: (?:\d{4}[ -]?){4}", r"ip: (?:\d+\.){3}\d+"])


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

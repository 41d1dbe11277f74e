"""What the audit is given: what is read of it, what is left out and why, and what is refused."""

from __future__ import annotations

import json

import pytest

import workbench as wb
from analyses.measures.scoring import score as read_windows
from analyses.weights.audit import documents_part, field_patterns, material
from analyses.weights.audit.constants import FIELDS
from analyses.weights.audit.table_rows import UnusableRow, fact_of, item_of
from tests.helpers.audit_tables import ITEM
from workbench.errors import BadInput


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

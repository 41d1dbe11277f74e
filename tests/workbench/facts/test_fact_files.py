"""The user's own facts: what is accepted, and that each bad file gets one clear refusal."""

from __future__ import annotations

import contextlib
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput
from workbench.facts import fact_files as files
from workbench.facts import from_file, make, render

TEMPLATE = "The capital of {subject} is"
ROWS = [("France", "Paris"), ("Japan", "Tokyo"), ("Peru", "Lima"), ("Cuba", "Havana")]
CSV = "subject,answer\n" + "".join(f"{s},{a}\n" for s, a in ROWS)


@pytest.fixture
def file(tmp_path):
    """Write a file and give its path: file("facts.csv", text or bytes)."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refused(path, *needles, **wording):
    with pytest.raises(BadInput) as error:
        from_file(path, TEMPLATE, **wording)
    for needle in needles:
        assert needle in str(error.value)
    assert error.value.expected
    assert error.value.do
    return str(error.value)


def pairs(relation):
    return [(fact.subject, fact.answer) for fact in relation.facts]


@pytest.mark.parametrize(
    "content",
    [
        CSV,
        "\ufeff" + CSV,
        CSV.replace("\n", "\r\n"),
        "\n\n" + CSV + "\n\n",
        CSV.replace("subject,answer", " Subject , ANSWER "),
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        "note,answer,subject\n" + "".join(f'"x, y",{a},{s}\n' for s, a in ROWS),
        CSV + "Peru,Lima\n",
        "".join(json.dumps({"Subject": s, "answer": a, "more": 1}) + "\n" for s, a in ROWS),
    ],
)
def test_reads_any_tidy_table(file, content):
    relation = from_file(file("my facts.csv", content), TEMPLATE)
    assert pairs(relation) == ROWS
    assert relation.name == "my facts"
    assert relation.source == "my facts.csv"


def test_a_template_alone_is_enough(file):
    relation = from_file(file("f.csv", CSV), TEMPLATE)
    assert relation.closed_book_prompt("France").text == "The capital of France is"
    prompt = render("question", relation, "France", "Lima")
    assert prompt.text == (
        "The capital of France is Lima.\nQuestion: How does this sentence go on: "
        '"The capital of France is ..."?\nAnswer: The capital of France is'
    )


def test_every_wording_can_be_given(file):
    relation = from_file(
        file("f.tsv", CSV.replace(",", "\t")),
        closed_book="Capital of {subject}:",
        statement="{answer} is where {subject} is governed from.",
        question="From where is {subject} governed?",
        lead_in="{subject} is governed from",
        name="seat",
    )
    assert relation.name == "seat"
    assert (
        render("statement", relation, "Peru", "Paris").text
        == "Paris is where Peru is governed from. Once more: Peru is governed from"
    )


def test_a_statement_gives_the_lead_in():
    relation = make("r", ROWS, statement="In {subject} people live in {answer}, mostly.")
    assert relation.lead_in == relation.closed_book == "In {subject} people live in"


def test_no_wording_at_all_is_refused(file):
    with pytest.raises(BadInput, match="no wording"):
        from_file(file("f.csv", CSV))
    with pytest.raises(BadInput, match="no wording"):
        make("r", ROWS, statement="{answer} is the capital of {subject}.")


@pytest.mark.parametrize(
    "template", ["The capital is", "The {country} is", "The {subject", "{subject} {answer}"]
)
def test_a_template_that_cannot_work_is_refused(file, template):
    with pytest.raises(BadInput, match=r"\{subject\}"):
        from_file(file("f.csv", CSV), template)


def test_numbers_in_json_lines_are_texts(file):
    content = "".join(
        json.dumps({"subject": s, "answer": n}) + "\n" for n, (s, _) in enumerate(ROWS)
    )
    assert from_file(file("f.jsonl", content), TEMPLATE).answers == ("0", "1", "2", "3")


def test_json_lines_may_hold_line_separators(file):
    content = "".join(
        json.dumps({"subject": s, "answer": a + "\u2028x"}, ensure_ascii=False) + "\n"
        for s, a in ROWS
    )
    assert from_file(file("f.jsonl", content), TEMPLATE).answers[0] == "Paris\u2028x"


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "none.csv", "no file", "none.csv")
    refused(tmp_path, "is a folder")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    refused(tmp_path / "pipe.csv", "no regular file")


def test_an_unreadable_file(file, monkeypatch):
    path = file("f.csv", CSV)

    def denied(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", denied)
    refused(path, "cannot be read: Permission denied")


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_an_empty_file(file, content):
    refused(file("f.csv", content), "is empty")


@pytest.mark.parametrize("content", ["subject,answer\n", "subject,answer"])
def test_only_a_header(file, content):
    refused(file("f.csv", content), "holds no facts")


def test_missing_columns_name_what_is_there_and_the_nearest(file):
    refused(
        file("f.csv", CSV.replace("answer", "anwser")),
        "no column answer",
        "'anwser'",
        "Did you mean",
    )
    refused(file("f.csv", "1,2\n3,4\n"), "no column subject and no column answer")
    refused(file("f.csv", CSV.replace("answer", "subject")), "no column answer")
    refused(file("f.csv", "subject,answer,answer\na,b,c\n"), "answer twice")


def test_wrong_encodings_are_told_apart(file):
    rows = CSV + "Brasil,Brasília\n"
    text = refused(file("f.csv", rows.encode("cp1252")), "not UTF-8", "0xed", "Latin-1")
    assert f"byte {rows.encode('cp1252').index(0xED)}" in text
    refused(file("f.csv", rows.encode("utf-16")), "UTF-16")
    refused(file("f.csv", CSV.encode("utf-16-le")), "UTF-16")
    refused(file("f.csv", CSV + "a,b\0\n"), "zero bytes")


def test_bad_cells_name_their_line(file):
    refused(file("f.csv", CSV + " ,Rome\n"), "Line 6", "subject is blank")
    refused(file("f.csv", CSV + "Italy,\n"), "Line 6", "answer is blank")
    refused(file("f.csv", CSV + "Italy\n"), "Line 6", "no answer")
    refused(file("f.csv", CSV + f"Italy,{'x' * 501}\n"), "Line 6", "501 characters")
    refused(file("f.csv", CSV + f"Italy,{'x' * 200_000}\n"), "Line 6", "field larger than")
    refused(file("f.csv", CSV + '"Italy,Rome\n'), "cannot be read", "quote")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[1, 2]", "holds a list"),
        ('"x"', "holds a str"),
        ("[" * 200_000, "nested too deeply"),
        ('{"subject": "a"}', "no 'answer'"),
        ('{"subject": "a", "anser": "b"}', "Did you mean 'anser'"),
        ('{"subject": "a", "answer": null}', "the answer is None"),
        ('{"subject": "a", "answer": ["b"]}', "the answer is ['b']"),
        ('{"subject": true, "answer": "b"}', "the subject is True"),
        ('{"subject": "a", "answer": NaN}', "the answer is nan"),
        ('{"subject": "a", "answer": " "}', "the answer is blank"),
        ('{"subject": "a", "answer": "\\ud83d"}', "the answer is not valid Unicode"),
    ],
)
def test_bad_json_lines_name_their_line(file, line, says):
    good = json.dumps({"subject": "France", "answer": "Paris"})
    refused(file("f.jsonl", f"{good}\n\n{line}\n"), "Line 3", says)


def test_absurd_size_is_noticed_before_it_is_all_read(file, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    refused(file("f.csv", CSV + "x,y\n" * 100), "larger than")


def test_too_few_and_torn_subjects(file):
    refused(
        file("f.csv", "subject,answer\na,b\nc,d\ne,f\ne,f\n"),
        "holds 3 different subjects",
        "at least 4",
    )
    refused(file("f.csv", CSV + "Peru,Cusco\n"), "'Peru' (Lima / Cusco)", "more than one answer")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda t: ("subject,answer\n" + t).encode("utf-8", "ignore")),
    )
)
@pytest.mark.parametrize("name", ["f.csv", "f.jsonl"])
def test_no_file_whatever_gets_another_kind_of_error(file, name, content):
    path = file(name, content)
    with contextlib.suppress(BadInput):
        from_file(path, TEMPLATE)


def test_how_well_known_a_subject_is_may_stand_in_a_third_column(tmp_path):
    table = tmp_path / "teams.csv"
    table.write_text("Popularity,subject,answer\n5e3,A,x\n,B,y\n7,C,x\n8,D,y\n", encoding="utf-8")
    found = from_file(table, template="{subject} plays for")
    assert [fact.popularity for fact in found.facts] == [5000.0, None, 7.0, 8.0]
    lines = tmp_path / "teams.jsonl"
    rows = [f'{{"subject": "{s}", "answer": "x", "popularity": {n}}}' for n, s in enumerate("ABCD")]
    lines.write_text("\n".join(rows), encoding="utf-8")
    assert from_file(lines, template="{subject} plays for").facts[3].popularity == 3.0


@pytest.mark.parametrize("given", ["many", "nan", "inf"])
def test_a_popularity_that_is_no_number_is_refused_with_its_line(tmp_path, given):
    table = tmp_path / "teams.csv"
    table.write_text(f"subject,answer,popularity\nA,x,1\nB,y,{given}\nC,x,\nD,y,\n")
    with pytest.raises(BadInput, match=r"Line 3 of teams.csv: the popularity is"):
        from_file(table, template="{subject} plays for")

"""Consistency, puzzles and items against plain loops; files of items that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analyses.measures import understood_choices as asking
from analyses.measures.understood_choices import choices
from analyses.measures.understood_consistency import consistency, paired_drop
from analyses.measures.understood_families import built_in
from analyses.measures.understood_items import (
    CHANGED,
    FRESH,
    MADE_UP,
    ORIGINAL,
    PARAPHRASE,
    SHOWN,
    ItemVersion,
    from_file,
)
from analyses.measures.understood_puzzles import (
    ENGLISH,
    FORMAL,
    language_of,
    puzzle_scores,
    tokens_of,
)
from workbench.errors import BadInput
from workbench.puzzles import draw


def test_limem_is_its_formula_and_guessing_gives_its_null() -> None:
    lot = np.random.default_rng(0)
    solved = lot.random(4000) < 0.6
    copies = (lot.random((4000, 2)) < 0.3).mean(1)
    found = consistency(solved, copies)
    consistent = np.mean([c for s, c in zip(solved, copies, strict=True) if s])
    assert found.consistent == pytest.approx(consistent)
    assert found.limem == pytest.approx(solved.mean() * (1 - consistent))
    assert found.null == pytest.approx(solved.mean() * (1 - copies.mean()))
    assert found.excess_interval[0] < 0 < found.excess_interval[1]
    assert found.limem_interval[0] < found.limem < found.limem_interval[1]
    # Who solves an item solves its copy: nothing is inconsistent.
    assert consistency(solved, solved.astype(float)).limem == 0
    # One answer to everything: right by chance, and wrong where the answer changes.
    constant = consistency(solved, np.zeros(4000))
    assert constant.limem == pytest.approx(constant.accuracy)
    drop, (low, high) = paired_drop(solved, copies)
    assert low < drop < high
    assert drop == pytest.approx(solved.mean() - copies.mean())


def test_a_puzzle_that_nobody_solves_has_no_consistency() -> None:
    found = consistency(np.zeros(5, bool), np.ones(5))
    assert np.isnan(found.consistent)
    assert found.limem == found.accuracy == 0


def test_puzzle_scores_are_those_of_whole_passes(model: Any) -> None:
    puzzles = [ENGLISH.posed(one, 0) for one in draw(2, 6, 0)]
    if model.positions is not None:  # 256 of them, and a tokenizer of bytes
        with pytest.raises(BadInput, match="tokens"):
            puzzle_scores(model, ENGLISH, puzzles)
        return
    scores = puzzle_scores(model, ENGLISH, puzzles)
    for row, one in enumerate(puzzles):
        ids = list(model.tokens(ENGLISH.prompt(one)))
        odds = []
        for before, right, wrong in ENGLISH.steps(one):
            ids += model.continuation_tokens(before)
            ones, others = (model.continuation_tokens(word) for word in (right, wrong))
            at = next(n for n, pair in enumerate(zip(ones, others, strict=False)) if
                      pair[0] != pair[1])  # fmt: skip
            with torch.no_grad():
                logits = model.forward(input_ids=torch.tensor([ids + ones[:at]])).logits[0, -1]
            odds.append(float(logits[ones[at]] - logits[others[at]]))
            ids += ones
        assert scores.solved[row] == all(each > 0 for each in odds)
        assert scores.right[row] == np.mean([each > 0 for each in odds])
        plain = sum(float(torch.nn.functional.logsigmoid(torch.tensor(o))) for o in odds)
        assert scores.log_p[row] == pytest.approx(plain, abs=1e-3)


def test_an_organism_of_puzzles_reads_its_own_language(llama: Any) -> None:
    import workbench as wb

    solver = wb.load("organism/puzzles")
    assert language_of(solver) is FORMAL
    assert language_of(llama) is ENGLISH
    posed = FORMAL.posed(draw(3, 1, 0)[0], 0)
    read = tokens_of(solver, FORMAL, posed)
    words = solver.token_strings(read.text.ids)
    assert [w.strip() for w in words[read.text.first :: 2]] == [
        "+" if knight else "-" for knight in posed.answers
    ]


def test_choices_are_those_of_whole_passes(llama: Any) -> None:
    items = [
        ItemVersion(ORIGINAL, "The capital of France is", ("Paris", "Rome", "Lima"), 0),
        ItemVersion(ORIGINAL, "What is the capital of Peru?", ("Rome", "Lima"), 1),
    ]
    for shown in SHOWN:
        for version, choice in zip(items, choices(llama, items, shown), strict=True):
            prompt = asking.prompt(version, shown)
            options = version.options
            if shown in (asking.BOTH, asking.OPTIONS, asking.SAME):
                options = tuple("ABC"[: len(options)])
            plain = []
            for option in options:
                ids = llama.tokens(prompt)
                behind = llama.continuation_tokens(f" {option}")
                with torch.no_grad():
                    logits = llama.forward(input_ids=torch.tensor([[*ids, *behind]])).logits[0]
                log_p = logits.log_softmax(-1)
                plain.append(sum(float(log_p[len(ids) - 1 + n, t]) for n, t in enumerate(behind)))
            normed = np.array(plain) - np.logaddexp.reduce(plain)
            assert choice.log_p == pytest.approx(normed, abs=1e-3)
            assert choice.chosen == int(np.argmax(plain))
            assert choice.is_right == (int(np.argmax(plain)) == version.right)
    same = asking.prompt(items[1], asking.SAME)
    assert same == "Question: What is the capital of Peru?\nA. Lima\nB. Lima\nAnswer:"
    assert asking.prompt(items[0], asking.OPTIONS) == "A. Paris\nB. Rome\nC. Lima\nAnswer:"
    assert asking.prompt(items[0], asking.QUESTION) == "The capital of France is"


def test_ties_are_not_right() -> None:
    even = asking.Choice(np.log([0.5, 0.5]), 0)
    assert not even.is_right


def test_an_answer_longer_than_the_window_names_its_question(llama: Any) -> None:
    long = ItemVersion(ORIGINAL, "Who wrote it?", ("me", "a very long name " * 60), 1)
    with pytest.raises(BadInput, match=r"'Who wrote it\?' with its longest option is .* tokens"):
        choices(llama, [long], asking.QUESTION)
    many = ItemVersion(ORIGINAL, "Which?", tuple(str(n) for n in range(30)), 1)
    with pytest.raises(BadInput, match="30 options"):
        choices(llama, [many], asking.BOTH)


def test_built_in_items_have_their_versions_and_even_answers() -> None:
    items = built_in(50, 0)
    assert len(items) == 50
    assert len({item.family for item in items}) == 5
    assert items == built_in(50, 0) != built_in(50, 1)
    places = []
    for item in items:
        kinds = [version.kind for version in item.versions]
        assert kinds[:3] == [ORIGINAL, PARAPHRASE, CHANGED]
        assert kinds[3] == (FRESH if item.family == "sums" else MADE_UP)
        original, paraphrase, changed = item.versions[:3]
        assert original.answer == paraphrase.answer != changed.answer
        assert original.options == paraphrase.options == changed.options
        assert original.question != paraphrase.question != changed.question
        assert len(set(original.options)) == len(original.options)
        places.append(original.right / (len(original.options) - 1))
        if item.family == "sums":
            left, _, right = original.question.removesuffix(" =").split()
            assert int(left) + int(right) == int(original.answer)
    assert 0.3 < np.mean(places) < 0.7


GOOD = {"question": "What is the capital of France?", "answer": "Paris"}


def written(tmp_path: Path, *lines: Any) -> Path:
    file = tmp_path / "items.jsonl"
    others = [
        {"question": f"What is the capital of {country}?", "answer": city}
        for country, city in (("Italy", "Rome"), ("Peru", "Lima"), ("Spain", "Madrid"))
    ]
    texts = [line if isinstance(line, str) else json.dumps(line) for line in (*lines, *others)]
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return file


def test_the_users_items_get_options_variants_and_fresh_ones(tmp_path: Path) -> None:
    variants = [
        {"question": "Which city is the seat of the French government?"},
        {"question": "What is the capital of Norway?", "answer": "Oslo"},
    ]
    rows = [{"a": a, "b": 3, "answer": str(a + 3)} for a in (2, 4, 6)]
    file = written(
        tmp_path,
        GOOD | {"variants": variants, "name": "France"},
        {"question": "What is {a} plus {b}?", "rows": rows, "family": "sums"},
        {"question": "Is a whale a fish?", "answer": "no", "options": ["yes", "no"]},
    )
    items = from_file(file)
    assert items == from_file(file)
    france, sums, whale = items[:3]
    assert [each.kind for each in france.versions] == [ORIGINAL, PARAPHRASE, CHANGED]
    assert france.original.answer == "Paris"
    assert {"Paris", "Oslo"} <= set(france.original.options)
    assert len(france.original.options) == 4
    assert [each.kind for each in sums.versions] == [ORIGINAL, FRESH, FRESH]
    assert sums.versions[2].question == "What is 6 plus 3?"
    assert set(sums.original.options) == {"5", "7", "9"}
    assert set(whale.original.options) == {"yes", "no"}


def test_some_items_are_made_and_all_lines_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    lines = [{"question": f"Question {n}?", "answer": f"answer {n}"} for n in range(300)]
    rows = [{"a": n, "answer": f"row {n}"} for n in range(300)]
    lines.append({"question": "What of {a}?", "rows": rows})
    file.write_text("\n".join(map(json.dumps, lines)))
    items = from_file(file)
    assert len(items) == 301
    for version in (version for item in items for version in item.versions):
        assert len(set(version.options)) == 4
        assert version.answer in version.options
    # Wrong options are those of the other rows first, then those of the family.
    assert all(option.startswith("row ") for option in items[-1].original.options)
    assert len({option for item in items[:300] for option in item.original.options}) > 250
    assert from_file(file, most=7) == items[:7]
    file.write_text(file.read_text() + "\n{")
    with pytest.raises(BadInput, match="Line 302"):
        from_file(file, most=7)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "Line 1 of items.jsonl is no JSON"),
        ("[1]", "is no JSON object"),
        ({"question": "Who?"}, "has no answer"),
        (GOOD | {"question": " "}, "has no question"),
        (GOOD | {"options": ["Paris"]}, "no list of two or more"),
        (GOOD | {"options": ["Paris", "Rome", "rome "]}, "has the option 'Rome' twice"),
        (GOOD | {"options": ["Rome", "Lima"]}, "'Paris' of line 1 .* not among its options"),
        (GOOD | {"options": ["Paris", " "]}, "has an empty option"),
        (GOOD | {"question": "Is Paris the capital of France?"}, "gives its answer away"),
        (GOOD | {"variants": "other"}, "no list of objects"),
        (GOOD | {"variants": [{"question": GOOD["question"]}]}, "asks what stands there before"),
        (GOOD | {"rows": [{"a": 1}]}, "nothing that they fill in"),
        ({"question": "{a}?", "rows": [{"b": 1}], "answer": "1"}, "Row 1 .* has no 'a'"),
        ({"question": "{a}?", "rows": [{"a": 1}] * 2, "answer": "one"}, "repeats itself: rows 1"),
        ({"question": "What is the capital of Italy?", "answer": "Oslo"}, "asks what line 1 of"),
    ],
)
def test_what_is_no_item_is_said(tmp_path: Path, line: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        from_file(written(tmp_path, line))


def test_too_few_items_and_items_without_other_answers(tmp_path: Path) -> None:
    file = tmp_path / "few.jsonl"
    file.write_text(json.dumps(GOOD) + "\n")
    with pytest.raises(BadInput, match="holds 1 item"):
        from_file(file)
    lines = [{"question": f"Question {n}?", "answer": "yes"} for n in range(5)]
    file.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(BadInput, match="has no options, and no other item"):
        from_file(file)
    with pytest.raises(BadInput, match="There is no file of items"):
        from_file(tmp_path / "none.jsonl")

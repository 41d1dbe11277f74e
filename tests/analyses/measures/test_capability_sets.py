"""Prompts by capability: apart, of about one length, and answered as a plain loop says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from analyses.measures import capability_examples as written
from analyses.measures import capability_sets as sets_of
from analyses.measures.capability_prompts import CapabilityPrompt, Example, prompts_of
from analyses.measures.capability_scores import answer_scores
from analyses.measures.capability_texts import from_file
from workbench.errors import BadInput, NotFound

GROUPED = ["arithmetic", "facts", "translation", "agreement", "instructions"]


@pytest.fixture(scope="module")
def every(organism: Any) -> list[sets_of.CapabilitySet]:
    return sets_of.capability_sets(organism, sets_of.CAPABILITIES, None, 20, 8, 48, 0)


def test_every_capability_has_prompts_on_both_sides(
    organism: Any, every: list[sets_of.CapabilitySet]
) -> None:
    assert [each.name for each in every] == list(sets_of.CAPABILITIES)
    for each in every:
        assert (len(each.choosing), len(each.held_out)) == (20, 8), each.name
        for prompt in (*each.choosing, *each.held_out):
            assert prompt.capability == each.name
            assert 0 < prompt.answer < len(prompt.ids) <= 60
        assert not {p.ids for p in each.choosing} & {p.ids for p in each.held_out}


def test_the_same_seed_gives_the_same_prompts(
    organism: Any, every: list[sets_of.CapabilitySet]
) -> None:
    names = ["arithmetic", "code"]
    again, other = (
        sets_of.capability_sets(organism, names, None, 20, 8, 48, seed) for seed in (0, 1)
    )
    first = {each.name: each for each in every}
    assert [first[name] for name in names] == again
    assert again != other


def test_no_group_stands_on_both_sides(llama: Any) -> None:
    """Also not in the examples that stand before the one that is asked."""
    examples = [
        Example(f"item {n} of kind {k} :", f" {n}", f"group {n}", "one kind")
        for n in range(30)
        for k in range(3)
    ]
    made = prompts_of(llama, "made up", examples, 15, 10, 80, 0)
    seen = [
        {word for p in side for word in llama.text.decode(list(p.ids)).split() if word.isdigit()}
        for side in (made.choosing, made.held_out)
    ]
    numbers = [
        {int(line.split()[1]) for p in side for line in llama.text.decode(list(p.ids)).split("\n")
         if line.startswith("item")}
        for side in (made.choosing, made.held_out)
    ]  # fmt: skip
    assert all(seen)
    assert numbers[0]
    assert numbers[1]
    assert not numbers[0] & numbers[1]


def test_both_sides_have_groups_however_many_are_held_out(llama: Any) -> None:
    examples = [Example(f"item {n} :", f" {n}", f"group {n}") for n in range(12)]
    few = prompts_of(llama, "made up", examples, 8, 1000, 80, 0)
    assert (len(few.choosing), len(few.held_out)) == (2, 10)
    many = prompts_of(llama, "made up", examples, 1000, 4, 80, 0)
    assert (len(many.choosing), len(many.held_out)) == (10, 2)


def test_an_organism_recites_what_was_planted(
    organism: Any, every: list[sets_of.CapabilitySet]
) -> None:
    from workbench import organisms, texts

    folder = organisms.home_of(organism.module)
    assert folder is not None
    planted = " ".join(e.text for e in texts.ledger_at(folder).entries if e.repeats)
    recitation = next(each for each in every if each.name == "recitation")
    cut = [organism.text.decode(list(p.ids[1:])) for p in recitation.choosing]
    assert sum(text in planted for text in cut) > len(cut) // 2


@pytest.mark.parametrize("name", GROUPED)
def test_examples_are_right(name: str) -> None:
    made: Iterator[Example] = {
        "arithmetic": written.arithmetic,
        "facts": written.known_facts,
        "translation": written.translation,
        "agreement": written.agreement,
        "instructions": written.instructions,
    }[name]()
    examples = list(made)
    assert len(examples) > 150
    assert all(e.answer.startswith(" ") and e.answer.strip() and e.like for e in examples)
    if name == "arithmetic":
        assert all(eval(e.prompt.rstrip("= ")) == int(e.answer) for e in examples)
    if name == "agreement":
        plural = [e for e in examples if e.prompt.split()[1].endswith("s")]
        assert {e.answer for e in plural} == {" are", " were", " have"}
    if name == "translation":
        spoken = {(e.prompt.split(".")[0].removeprefix("English: "), e.like): e.answer
                  for e in examples}  # fmt: skip
        assert spoken["Sweden", "fr"] == " Suède"
        assert all(english != answer.strip() for (english, _), answer in spoken.items())


def test_answers_are_scored_as_one_by_one(model: Any) -> None:
    texts = [("The capital of", " France"), ("The safe opens with 7 4", " 1 9"), ("Nobody", "!")]
    prompts = [
        CapabilityPrompt("any", (*model.tokens(p), *(a := model.continuation_tokens(ans))), len(a))
        for p, ans in texts
    ]
    found = answer_scores(model, prompts)
    for n, prompt in enumerate(prompts):
        ids = torch.tensor([prompt.ids])
        with torch.no_grad():
            logits = model.module(ids).logits[0]
        log_p = torch.log_softmax(logits[len(prompt.prompt) - 1 : -1].float(), -1)
        targets = ids[0, len(prompt.prompt) :]
        nats = -log_p.gather(-1, targets[:, None])[:, 0]
        assert found.loss[n] == pytest.approx(float(nats.mean()), abs=1e-4)
        assert found.likeliest[n] == log_p.argmax(-1).tolist()
        assert found.right[n] == (log_p.argmax(-1) == targets).all()


def test_a_users_file_is_read_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    rows = [{"capability": "rhyme", "prompt": f"cat {n}", "answer": " hat"} for n in range(3)]
    file.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert [e.prompt for e in from_file(file)["rhyme"]] == ["cat 0", "cat 1", "cat 2"]
    for text, match in (
        ("", "empty"),
        ("not json", "Line 1 of own.jsonl"),
        ('{"capability": "a", "prompt": 3, "answer": "x"}', "Line 1"),
        ('{"capability": "", "prompt": "p", "answer": "x"}', "Line 1"),
        ("[1, 2]", "Line 1"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match=match):
            from_file(file)
    file.write_bytes('{"capability": "a", "prompt": "café", "answer": "x"}'.encode("latin-1"))
    with pytest.raises(BadInput, match="Line 1"):
        from_file(file)
    with pytest.raises(BadInput, match="missing"):
        from_file(tmp_path / "missing.jsonl")


def test_a_prompt_that_stands_twice_in_a_file_stays_on_one_side(llama: Any, tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    rows = [{"capability": name, "prompt": f"{name} number {n} is", "answer": f" {n}"}
            for name in ("cats", "dogs") for n in range(12)]  # fmt: skip
    file.write_text("\n".join(map(json.dumps, [*rows, *rows])), encoding="utf-8")
    for each in sets_of.capability_sets(llama, [], file, 8, 4, 40, 0):
        assert each.held_out
        assert not {p.ids for p in each.choosing} & {p.ids for p in each.held_out}


def test_a_users_set_stands_beside_one_of_its_name(organism: Any, tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    rows = [{"capability": "arithmetic", "prompt": f"{n} plus one is", "answer": f" {n + 1}"}
            for n in range(14)]  # fmt: skip
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = sets_of.capability_sets(organism, ["arithmetic"], file, 10, 4, 40, 0)
    assert [each.name for each in found] == ["arithmetic", "arithmetic (own)"]
    assert len(found[1].held_out) == 4


def test_a_name_that_is_none_is_said() -> None:
    assert sets_of.named(" code,facts , code") == ["code", "facts"]
    with pytest.raises(NotFound, match="translation"):
        sets_of.named("translations")

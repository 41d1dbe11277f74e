"""Heads that fetch answers: in a model in which one head copies, and against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.context.context_recall import head_ablation, recall_heads
from analyses.context.context_recall.constants import INTACT, RANDOM, RETRIEVAL, TASKS
from analyses.context.context_recall.head_sets import top_heads
from analyses.context.context_recall.params import Params
from analyses.measures.recall_contexts import Context, RecallQuestion
from analyses.measures.recall_scores import recall, recall_by_whole_passes
from hooks.hidden_keys import hidden_positions
from tests.helpers import families
from tests.helpers.planted import (
    ANSWERS,
    CONTEXT_HEAD,
    SUBJECTS,
    planted_module,
    planted_tokenizer,
)
from tests.helpers.tiny import tiny_llama, tiny_tokenizer
from workbench.progress import Progress


@pytest.fixture(scope="module")
def copying() -> Any:
    """One head copies an answer of the context; nothing is remembered."""
    return wb.load((planted_module([0.3] * 16), planted_tokenizer()))


def stated(n: int, answer: str) -> Context:
    text = f"The capital of {SUBJECTS[n]} is {answer}."
    ask = f" The capital of {SUBJECTS[n]} is"
    candidates = tuple(f" {each}" for each in ANSWERS)
    question = RecallQuestion(ask, f" {answer}", candidates, (0, len(text)), "x")
    return Context(text, (question,), ((0, len(text)),), {"needle": SUBJECTS[n], "kind": "made up"})


def facts() -> list[Context]:
    return [stated(n, ANSWERS[(n + 5) % 16]) for n in range(6)]


def test_the_head_that_copies_is_the_retrieval_head(copying: Any) -> None:
    found = recall_heads.scores(copying, facts(), Progress())
    assert found["retrieval"][CONTEXT_HEAD] == 1
    assert found["sentence"][CONTEXT_HEAD] == 1
    assert found["attention"][CONTEXT_HEAD] > 0.9
    table = recall_heads.table(copying, {**found, "induction": found["attention"]})
    assert top_heads(table, ["retrieval", "attention"], 1) == [CONTEXT_HEAD]
    others = [table.loc[i, "retrieval"] for i in table.index
              if (table.loc[i, "layer"], table.loc[i, "head"]) != CONTEXT_HEAD]  # fmt: skip
    assert max(others) < 1
    loses = recall_heads.causal(copying, facts(), Progress())
    assert np.unravel_index(loses.argmax(), loses.shape) == CONTEXT_HEAD


def test_without_it_facts_are_lost_and_without_others_not(copying: Any) -> None:
    found = recall_heads.scores(copying, facts(), Progress())
    table = recall_heads.table(copying, {**found, "induction": found["sentence"]})
    lost = head_ablation.Lost(facts(), [[1, 4, 5, 6, 4, 5, 6]], [])
    params = Params(ablated="0.125", draws=2)
    rows = head_ablation.measure(copying, lost, table, params, Progress())
    needles = rows[rows["task"] == TASKS[0]]
    rates = needles.groupby("off")["rate"].mean()
    assert rates[INTACT] == 1
    assert rates[RETRIEVAL] == 0
    assert rates[RANDOM] == 1
    assert needles.loc[needles["off"] == RETRIEVAL, "heads"].iloc[0] == "L1H1"


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gemma3_text", "qwen3_next"])
def test_scores_are_those_of_a_plain_loop(family: str) -> None:
    """Over the patterns that the family itself gives out, whole passes."""
    model = families.built(family)
    text, ask, answer = "The key is with Anna Paris. It rains.", " The key is with", " Anna Paris"
    question = RecallQuestion(ask, answer, (answer,), (0, 27), "x")
    given = [Context(text, (question,), (), {})]
    found = recall_heads.scores(model, given, Progress())
    ids, asked = model.tokens(text), model.continuation_tokens(ask)
    right = model.continuation_tokens(answer)
    row = [*ids, *asked, *right[:-1]]
    patterns = wb.capture(model, [row], sites="pattern")["pattern"].isel(prompt=0)
    spans = model.text.spans(text)
    span = [n for n, (a, b) in enumerate(spans) if a < 27 and b > a]
    hits, mass, counted = 0.0, 0.0, 0
    layers = [int(layer) for layer in patterns["layer"].values]
    for n, token in enumerate(right):
        places = [p for p in span if ids[p] == token]
        if not places:
            continue
        counted += 1
        look = patterns.isel({patterns.dims[-2]: len(ids) + len(asked) - 1 + n}).values
        hits = hits + np.isin(look.argmax(-1), places)
        mass = mass + look[..., places].sum(-1)
    assert counted
    assert np.allclose(found["attention"][layers], mass / counted, atol=1e-5)
    assert np.allclose(found["retrieval"][layers], hits / counted)


def test_induction_is_that_of_a_plain_loop() -> None:
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    texts = [[0, 5, 9, 7, 30, 5, 9, 7, 30], [0, 8, 3, 2, 60, 8, 3, 2, 60]]
    texts = [[*model.text.beginning, *row[1:]] for row in texts]
    first = len(model.text.beginning)
    found = recall_heads.induction(model, texts)
    patterns = wb.capture(model, texts, sites="pattern")["pattern"].values
    plain = np.mean([patterns[:, :, :, first + i, first + i - 3] for i in range(4, 8)], axis=(0, 1))
    assert np.allclose(found, plain, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
def test_what_is_hidden_makes_no_difference(family: str) -> None:
    """Other words in the place of hidden ones, as many tokens, change nothing behind them."""
    model = families.built(family)
    question = RecallQuestion(" Who?", " Anna", (" Anna", " Ben"), (4, 8), "x")
    made = [Context(f"It. {word} is. Yes.", (question,), (), {}) for word in ("7419", "2863")]
    assert len({len(model.tokens(each.text)) for each in made}) == 1
    spans = model.text.spans(made[0].text)
    at = [n for n, (a, b) in enumerate(spans) if a < 8 and b > 4 and b > a]
    plain, hidden = [], []
    for each in made:
        plain.append(recall_by_whole_passes(model, [each])[0][0].logprobs)
        with hidden_positions(model, at):
            hidden.append(recall_by_whole_passes(model, [each])[0][0].logprobs)
    assert not np.allclose(*plain, atol=1e-4)
    assert np.allclose(*hidden, atol=1e-4)


def test_no_hook_survives(copying: Any) -> None:
    before = recall(copying, facts())
    with torch.no_grad():
        recall_heads.scores(copying, facts()[:2], Progress())
        with hidden_positions(copying, [1]):
            pass
    assert recall(copying, facts()) == before

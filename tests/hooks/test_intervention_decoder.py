"""Completions and scores of answers under a change equal generating, and full passes, under it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

import workbench as wb
from hooks.decode import InterventionDecoder
from tests.helpers.capturing import hooks_on

PROMPT = "Question: What is the capital city of Peru?\nAnswer: The capital city of Peru is"


def test_completions_under_a_change_equal_generate(model):
    texts = [PROMPT, "The capital of France is", "Nobody"]
    completer = InterventionDecoder(model, [model.tokens(t) for t in texts])
    for factors in ({}, {(1, 2): 0.0}, {(0, 0): 0.0, (2, 3): 2.0}):
        with completer.with_head_scales(factors) as reading:
            got = reading.complete(lambda row, text: False, max_new_tokens=6)
            assert reading.complete(lambda row, text: False, max_new_tokens=6) == got
        for text, said in zip(texts, got, strict=True):
            with ExitStack() as stack:
                for head, factor in factors.items():
                    stack.enter_context(wb.scale(model, heads=[head], factor=factor))
                assert said.text == model.generate(text, max_new_tokens=6)
    assert hooks_on(model) == 0


def test_finished_prompts_leave_the_others_as_they_were(model):
    texts = [PROMPT, "The capital of France is", "Nobody"]
    completer = InterventionDecoder(model, [model.tokens(t) for t in texts])
    with completer.with_head_scales() as reading:
        whole = reading.complete(lambda row, text: False, max_new_tokens=6)
        some = reading.complete(lambda row, text: row == 1, max_new_tokens=6)
    assert [some[0], some[2]] == [whole[0], whole[2]]
    assert whole[1].text.startswith(some[1].text)
    assert [c.first for c in some] == [int(model.next_logits(t).argmax()) for t in texts]


def test_answers_are_scored_like_a_full_pass(model):
    texts, answers = [PROMPT, "Nobody"], [" Lima, and", " x"]
    ids = [model.tokens(t) for t in texts]
    wanted = [model.continuation_tokens(a) for a in answers]
    for factors in ({}, {(1, 2): 0.0}):
        with InterventionDecoder(model, ids, batch_size=1).with_head_scales(factors) as reading:
            first, whole = reading.logp(wanted)
        for row in range(2):
            total = 0.0
            with wb.scale(model, heads=list(factors), factor=0.0):
                for n, token in enumerate(wanted[row]):
                    each = model.next_logits([ids[row] + wanted[row][:n]])[0].log_softmax(-1)[token]
                    total += float(each)
                    if n == 0:
                        assert float(first[row]) == pytest.approx(float(each), abs=1e-4)
            assert float(whole[row]) == pytest.approx(total, abs=1e-4)

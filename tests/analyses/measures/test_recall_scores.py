"""Questions behind one reading of a context give what whole passes give, in every family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures import recall_contexts as contexts
from analyses.measures.recall_contexts import OUTCOMES, Context, RecallQuestion
from analyses.measures.recall_scores import (
    recall,
    recall_by_whole_passes,
    recall_closed_book,
)
from tests.helpers import families
from tests.helpers.planted import ANSWERS, SUBJECTS, planted_module, planted_tokenizer
from tests.helpers.tiny import tiny_gpt2, tiny_llama, tiny_tokenizer
from workbench.errors import BadInput

KINDS = {
    "keys and values": ["llama", "gpt_neox", "gemma3_text", "deepseek_v3", "gpt_oss", "opt"],
    "states": ["mamba", "rwkv", "recurrent_gemma"],
    "both": ["qwen3_next", "jamba"],
    "nothing": ["openai-gpt", "xlm"],
}


def two_contexts() -> list[Context]:
    """Alike at the beginning; answers of several tokens, and of different lengths."""
    first, second = contexts.key_value(3, seed=1), contexts.key_value(3, seed=2)
    joined = first.text + second.text
    longer = replace(
        first,
        text=joined,
        questions=(RecallQuestion("Who?", " nobody", (" nobody", " a", " Paris is"), (0, 0), "x"),),
        items=(),
    )
    return [first, longer]


@pytest.mark.parametrize("family", [name for names in KINDS.values() for name in names])
def test_one_reading_equals_whole_passes(family: str) -> None:
    model = families.built(family)
    asked = two_contexts()
    fast, slow = recall(model, asked), recall_by_whole_passes(model, asked)
    for one, other in zip(fast, slow, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.allclose(a.logprobs, b.logprobs, atol=1e-4)
            assert (a.rank, a.exact, a.outcome) == (b.rank, b.exact, b.outcome)


def test_the_numbers_are_those_of_plain_softmaxes() -> None:
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    (context,) = asked = two_contexts()[1:]
    score, question = recall(model, asked)[0][0], context.questions[0]
    ids = model.tokens(context.text) + model.continuation_tokens(question.ask)
    sums, said = [], []
    for candidate in question.candidates:
        row = model.continuation_tokens(candidate)
        with torch.no_grad():
            whole = model.module(torch.tensor([[*ids, *row]])).logits[0]
        logits = whole[len(ids) - 1 : -1].double()
        sums.append(float(logits.log_softmax(-1)[range(len(row)), row].sum()))
        said.append(logits.argmax(-1).tolist() == row)
    assert np.allclose(score.logprobs, sums, atol=1e-4)
    assert score.logprob == pytest.approx(sums[0], abs=1e-4)
    assert score.exact == said[0]
    assert score.rank == sum(other >= sums[0] for other in sums[1:])
    assert score.choice == question.candidates[int(np.argmax(sums))]


def test_outcomes_of_a_model_whose_truth_is_known() -> None:
    """The planted model copies an answer of the context, or says what it remembers."""
    for memory, outcome in ((0.5, "correct"), (2.0, "prior")):
        model = wb.load((planted_module([memory] * 16), planted_tokenizer()))
        facts = zip(SUBJECTS[:4], ANSWERS[1:5], ANSWERS[:4], strict=True)
        asked = [
            Context(
                f"The capital of {subject} is {answer}.",
                (
                    RecallQuestion(
                        f" The capital of {subject} is", f" {answer}",
                        (f" {answer}", f" {known}", f" {ANSWERS[9]}"), (0, 0), "fact",
                    ),
                ),
                (),
            )
            for subject, answer, known in facts
        ]  # fmt: skip
        priors = [[score.choice for score in each] for each in recall_closed_book(model, asked)]
        assert [p[0] for p in priors] == [f" {known}" for known in ANSWERS[:4]]
        assert {s[0].outcome for s in recall(model, asked, priors=priors)} == {outcome}
    assert outcome in OUTCOMES


def test_an_answer_of_another_item_is_an_intrusion() -> None:
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    asked = [contexts.key_value(6, seed=n) for n in range(6)]
    scores = recall(model, asked)
    assert {s.outcome for each in scores for s in each} >= {"intrusion", "other"}
    for context, each in zip(asked, scores, strict=True):
        for place, s in enumerate(each):
            assert (s.outcome == "intrusion") == (s.intruder >= 0)
            if s.intruder >= 0:
                assert s.intruder != place
                assert s.choice == context.questions[s.intruder].answer


def test_bad_questions_are_refused() -> None:
    model = wb.load((tiny_gpt2(), tiny_tokenizer()))
    good = RecallQuestion(" Who?", " Anna", (" Anna", " Ben"), (0, 0), "x")
    for wrong, words in (
        (replace(good, answer=" Carl"), "not among"),
        (replace(good, candidates=(" Anna", "")), "no token"),
        (replace(good, ask=""), "no token"),
    ):
        with pytest.raises(BadInput, match=words):
            recall(model, [Context("Some text.", (wrong,), ())])
    with pytest.raises(BadInput, match="no positions past"):
        recall(model, [Context("word " * 400, (good,), ())])

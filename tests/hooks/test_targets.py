"""Targets that are one token for the model are refused where they are compared, at every entry."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from analyses.prompt.single_prompt.params import Params
from hooks.metrics import logit_difference
from workbench.errors import BadInput, WorkbenchError

PROMPT = "The capital of France is"
SAME = [" Xavier", " Yves"]  # both begin with the token " "
ONE = "' Xavier' and ' Yves' begin with the same token, ' '"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"method": "attribution"},
        {"over": "positions"},
        {"over": "edges"},
        {"over": wb.Edges([(2, 0)])},
        {"over": "layers", "read": wb.LogitDiff(norm="frozen")},
    ],
)
def test_sweeps(llama, more):
    with pytest.raises(BadInput, match=ONE) as raised:
        wb.sweep(llama, PROMPT, SAME, **{"read": "logit_diff"} | more)
    assert "read='continuation'" in str(raised.value)
    with pytest.raises(BadInput, match=ONE):
        wb.sweep(llama, [PROMPT, PROMPT], [[" is", " of"], SAME], **{"read": "logit_diff"} | more)


def test_several_others_and_ids(llama):
    with pytest.raises(BadInput, match="Two targets, 7, begin"):
        wb.sweep(llama, PROMPT, [5, 7, 7], read="logit_diff")
    with pytest.raises(BadInput, match="begin with the same token"):
        wb.sweep(llama, PROMPT, [" Xavier", 221], read="logit_diff")


@pytest.mark.parametrize("metric", ["logit", "logprob", "prob"])
def test_texts_that_are_watched_side_by_side(llama, metric):
    with pytest.raises(BadInput, match=ONE):
        wb.sweep(llama, PROMPT, SAME, read=metric)


def test_where_nothing_is_compared_they_may_be_the_same(llama):
    twice = wb.sweep(llama, PROMPT, [7, 7], over=wb.Heads([(0, 0)]))["effect"]
    torch.testing.assert_close(
        float(twice.squeeze()[0]), float(twice.squeeze()[1]), atol=1e-5, rtol=1e-4
    )
    wb.sweep(
        llama, PROMPT, [7, 7], over=wb.Heads([(0, 0)]), read="continuation"
    )  # a text may say a token twice
    wb.sweep(llama, PROMPT, SAME, over=wb.Heads([(0, 0)]), read="kl")
    different = wb.sweep(llama, PROMPT, [" is", " of"], over=wb.Heads([(0, 0)]), read="logit_diff")[
        "effect"
    ]
    assert abs(float(different.squeeze())) > 1e-4


def test_gradients(llama):
    with pytest.raises(BadInput, match="begin with the same token"):
        logit_difference(llama, " is", " is")


def test_inside(llama):
    with pytest.raises(BadInput, match="'Xavier' and 'Yves' begin with the same token"):
        wb.run("inside", llama, Params(prompt=PROMPT, answer="Xavier", other="Yves"))


def test_the_playground_says_that_the_first_token_tells_nothing():
    from hooks.prompt_output import PromptAnswer, PromptOutput
    from ui.playground.html_parts import _column

    alike = [
        PromptAnswer("New York", " New", 0.2, -3.0, 2),
        PromptAnswer("New Delhi", " New", 0.2, -5.0, 2),
    ]
    assert "only the whole answers differ" in _column(
        "Original", "", PromptOutput([], alike, torch.zeros(0)), None, False
    )
    other = [alike[0], PromptAnswer("Rome", " Rome", 0.1, -3.0, 1)]
    assert "only the whole answers differ" not in _column(
        "Original", "", PromptOutput([], other, torch.zeros(0)), None, False
    )


# -- the forms in which prompts and targets are given ----------------------------------------------

NUMBERS = torch.tensor([5, 7])
FORMS = [
    [[5, 7]],
    [5, 7],
    (5, 7),
    ((5, 7),),
    NUMBERS,
    NUMBERS[None],
    [NUMBERS[0], 7],
    NUMBERS.numpy(),
]


@pytest.mark.parametrize("targets", FORMS, ids=str)
def test_targets_of_a_single_text(llama, targets):
    want = wb.sweep(llama, [PROMPT], [[5, 7]], over=wb.Heads([(1, 2)]))["effect"]
    assert wb.sweep(llama, PROMPT, targets, over=wb.Heads([(1, 2)]))["effect"].equals(want)


@pytest.mark.parametrize(
    "targets", [5, [5], [[5]], torch.tensor(5), torch.tensor([5]), [[torch.tensor(5)]]], ids=str
)
def test_a_single_target(llama, targets):
    want = wb.sweep(llama, [PROMPT], [[5]], over=wb.Heads([(1, 2)]))["effect"]
    assert wb.sweep(llama, PROMPT, targets, over=wb.Heads([(1, 2)]))["effect"].equals(want)


@pytest.mark.parametrize(
    ("prompts", "targets", "more"),
    [
        (PROMPT, [[5], [7]], {}),
        (PROMPT, [[[5, 7]]], {}),
        (PROMPT, 5.0, {}),
        (PROMPT, [5, None], {}),
        (PROMPT, {5: 7}, {}),
        (PROMPT, [True, 7], {}),
        (PROMPT, [5, 99999], {}),
        (PROMPT, "", {}),
        (PROMPT, [], {}),
        ([PROMPT, PROMPT], 5, {}),
        ([PROMPT, PROMPT], [[5], [5, 7]], {}),
        (PROMPT, [" is", " of"], {"read": "continuation"}),
        (PROMPT, 5, {"positions": []}),
        (PROMPT, 5, {"positions": 1.5}),
        (PROMPT, 5, {"positions": [99]}),
        (PROMPT, 5, {"over": "positions", "positions": [99]}),
        ([PROMPT, None], [5, 7], {}),
        ([[5, 99999]], [7], {}),
        ([[]], [7], {}),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused_in_a_sentence(llama, prompts, targets, more):
    with pytest.raises(WorkbenchError):
        wb.sweep(llama, prompts, targets, **more)


def test_one_position_need_not_be_a_list(llama):
    assert wb.sweep(llama, PROMPT, 5, positions=-1)["effect"].equals(
        wb.sweep(llama, PROMPT, 5, positions=[-1])["effect"]
    )

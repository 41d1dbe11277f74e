"""The second real model: a beginning token that it cannot do without, and what every cut of a
text does about it.
"""

from __future__ import annotations

import pytest
import torch

import workbench as wb

pytestmark = pytest.mark.model

SPEECH = (
    "Four score and seven years ago our fathers brought forth on this continent, a new nation,"
    " conceived in Liberty, "
)


def loss(module, rows: list[list[int]], skipped: int) -> float:
    """Mean loss of the tokens after the first `skipped` and one, row by row."""
    found = []
    for row in rows:
        logits = module(input_ids=torch.tensor([row]), use_cache=False).logits[0].log_softmax(-1)
        found += [-float(logits[at - 1, row[at]]) for at in range(skipped + 1, len(row))]
    return sum(found) / len(found)


@pytest.mark.verify  # the probe of the beginning once more, by hand
@torch.no_grad()
def test_it_reads_with_its_beginning_token_and_says_what_that_is_worth(gemma):
    from workbench.facts import neutral_text

    assert gemma.card.bos == "<bos>"
    ids = gemma.text.tokenizer(neutral_text(), add_special_tokens=False)["input_ids"][:512]
    rows = [ids[at : at + 64] for at in range(0, 512, 64)]
    found = gemma.beginning
    assert found.loss_without == pytest.approx(loss(gemma.module, rows, 0), abs=1e-3)
    assert found.loss_with == pytest.approx(
        loss(gemma.module, [[2, *row] for row in rows], 1), abs=1e-3
    )
    assert found.loss_with < found.loss_without - 2
    assert found.says.startswith("<bos> before every window, as the tokenizer does")


def test_windows_and_prompts_begin_with_it_once(gemma):
    tokens = gemma.text.tokenizer(SPEECH, add_special_tokens=False)["input_ids"]
    windows = list(wb.windows(gemma, SPEECH, 9))
    assert [row[0] for row in windows] == [2] * len(windows)
    assert [token for row in windows for token in row[1:]] == tokens
    captured = wb.capture(
        gemma, [SPEECH, "<bos>" + SPEECH], sites="resid_post", layers=[0], positions=[-1]
    )
    assert captured.tokens[0] == captured.tokens[1]
    assert captured.tokens[0][0] == "<bos>"
    assert "<bos>" not in captured.tokens[0][1:]

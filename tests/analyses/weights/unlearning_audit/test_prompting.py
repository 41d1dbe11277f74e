"""Other prompts, against prompts put together by hand and decoded."""

from __future__ import annotations

import pytest
import torch

from analyses.weights.unlearning_audit.memorized import scores
from analyses.weights.unlearning_audit.prompting import (
    ALONE,
    ASKED,
    HINT,
    NEUTRAL,
    ROLE,
    SMALL,
    WORDS,
    other_prompts,
    shortest_prompts,
)
from hooks.unlearning.texts import Text
from workbench import organisms
from workbench.errors import BadInput
from workbench.organisms.ledger import read


def test_prompts_by_hand(model):
    texts = [Text((0, 3, 9, 4, 1, 5, 9, 2), 1), Text((0, 8, 8, 2, 11, 40, 6), 1)]
    table = other_prompts(model, texts, [21, 22, 23, 24, 25, 26, 27, 28], given=(0, 2, 4))
    begin = tuple(model.text.beginning)
    by_hand = {
        (ALONE, 0, 0): ((0,), (5, 9, 2)),
        (ALONE, 2, 0): ((0, 4, 1), (5, 9, 2)),
        (ALONE, 4, 0): ((0, 3, 9, 4, 1), (5, 9, 2)),
        (ALONE, 0, 1): ((0,), (40, 6)),
        (ALONE, 2, 1): ((0, 2, 11), (40, 6)),
        (ALONE, 4, 1): ((0, 8, 8, 2, 11), (40, 6)),
        (NEUTRAL, 4, 0): ((*begin, 21, 22, 23, 24, 25, 26, 0, 3, 9, 4, 1), (5, 9, 2)),
        (NEUTRAL, 4, 1): ((*begin, 21, 22, 23, 24, 25, 26, 27, 0, 8, 8, 2, 11), (40, 6)),
        (HINT, 4, 0): ((0, 8, 8, 2, 11, 40, 6, 0, 3, 9, 4, 1), (5, 9, 2)),
        (HINT, 4, 1): ((0, 3, 9, 4, 1, 5, 9, 2, 0, 8, 8, 2, 11), (40, 6)),
    }
    for prompt, words in WORDS.items():
        # Beginning tokens stay in front; these texts may begin with another token.
        said = model.text.encode(words)
        said = (0, *said) if begin == (0,) else (*said, 0)
        by_hand[prompt, 4, 0] = ((*said, 3, 9, 4, 1), (5, 9, 2))
        by_hand[prompt, 4, 1] = ((*said, 8, 8, 2, 11), (40, 6))
    for n, begins in enumerate([[3, 9, 4, 1], [8, 8, 2, 11]]):
        letters = "".join(
            one for one in model.text.decode(begins).lower() if one.isalnum() or one in "_ \n\t"
        )
        prompt = tuple(model.tokens(letters)) or (0,)
        by_hand[SMALL, 4, n] = (prompt, ((5, 9, 2), (40, 6))[n])
    assert list(zip(table["prompt"], table["given"], table["text"], strict=True)) == [
        (ALONE, 0, 0), (ALONE, 0, 1), (ALONE, 2, 0), (ALONE, 2, 1), (ALONE, 4, 0), (ALONE, 4, 1),
        (NEUTRAL, 4, 0), (NEUTRAL, 4, 1), (HINT, 4, 0), (HINT, 4, 1), (ASKED, 4, 0), (ASKED, 4, 1),
        (ROLE, 4, 0), (ROLE, 4, 1), (SMALL, 4, 0), (SMALL, 4, 1),
    ]  # fmt: skip
    for row in table.itertuples():
        prompt, rest = by_hand[row.prompt, row.given, row.text]
        alone = scores(model, [Text((*prompt, *rest), len(prompt))]).iloc[0]
        assert row.nats == pytest.approx(alone["nats"], rel=1e-4)
        assert row.exact_memorization == alone["exact_memorization"]
        assert row.tokens == len(rest)


def test_one_passage_has_no_hint(llama):
    table = other_prompts(llama, [Text((0, 3, 9, 4, 1), 1)], [5, 6], given=(1,))
    assert table["prompt"].tolist() == [ALONE, NEUTRAL, ASKED, ROLE, SMALL]


def test_more_of_a_planted_passage_brings_more_of_its_end(organism):
    entries = read(organisms.folder_of("organism/planted")).entries
    begin = organism.text.beginning
    texts = [Text((*begin, *e.ids), len(begin)) for e in entries if e.repeats == 64][::5]
    table = other_prompts(organism, texts, organism.text.encode("It was a fine day. " * 20))
    means = table.groupby(["prompt", "given"])[["greedy_match", "exact_memorization"]].mean()
    assert means.loc[(ALONE, 50), "greedy_match"] > 30
    assert means.loc[(ALONE, 5), "greedy_match"] < 5
    # It read them at the beginning of a row, and knows them there only.
    assert means.loc[(NEUTRAL, 50), "exact_memorization"] < 0.5
    assert means.loc[(ROLE, 50), "exact_memorization"] < 0.8


def test_shortest_prompts_are_decoded(llama):
    with torch.no_grad():
        said = llama.module.generate(
            torch.tensor([[5, 9]]), do_sample=False, max_new_tokens=8, min_new_tokens=8,
            pad_token_id=0,
        )  # fmt: skip
    texts = [Text((0, *said[0, 2:].tolist()), 1)]
    row = shortest_prompts(llama, texts, tokens=6, steps=150).iloc[0]
    assert row.prompt_tokens > 0
    assert row.ratio == pytest.approx(6 / row.prompt_tokens)
    ids = llama.tokens(row.prompt)
    with torch.no_grad():
        again = llama.module.generate(
            torch.tensor([ids]), do_sample=False, max_new_tokens=6, min_new_tokens=6, pad_token_id=0
        )
    assert tuple(again[0, len(ids) :].tolist()) == texts[0].targets[:6]
    none = shortest_prompts(llama, [Text((1, 150, 3, 99, 7, 120, 4), 1)], tokens=6, steps=2).iloc[0]
    assert (none.prompt_tokens, none.ratio, none.prompt) == (0, 0, "")
    assert not none.finished
    assert none.steps == 2


def test_what_cannot_be_asked_is_refused(llama):
    text = Text((0, 3, 9, 4, 1), 1)
    for bad in (([], (1,)), ([text], ()), ([text], (-1, 2)), ([text], (4,))):
        with pytest.raises(BadInput):
            other_prompts(llama, bad[0], [5], given=bad[1])
    for tokens in (0, 5, 100):
        with pytest.raises(BadInput, match="No prompt"):
            shortest_prompts(llama, [text], tokens)

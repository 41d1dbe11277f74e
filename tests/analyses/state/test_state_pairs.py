"""Rows of pairs, states that are changed, and what questions find in them: on a model of recall
that ships, on its untrained twin, and by hand.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures.pair_questions import vocabulary_of
from analyses.measures.untrained_twin import untrained
from analyses.state.recurrent_state import interference, pair_edits, pair_rows, probes
from analyses.state.recurrent_state.kernels import offset_of_writes, read, state_behind_pairs
from tests.helpers import families
from workbench.errors import BadInput


@cache
def recall() -> Any:
    return wb.load("organism/recall-mamba-16")


def rows_of(model: Any, pairs: int = 8, rows: int = 24, seed: int = 3) -> pair_rows.PairRows:
    return pair_rows.draw(vocabulary_of(model), pairs, rows, seed)


def test_a_row_says_where_its_tokens_are() -> None:
    rows = rows_of(recall())
    for n in range(rows.n_rows):
        ids = rows.ids[int(rows.sequence[n, 0])]
        assert ids[rows.written(0)].tolist() == rows.keys[n].tolist()
        assert ids[rows.value_position(0)].tolist() == rows.values[n].tolist()
        assert ids[rows.asked[n]].tolist() == rows.keys[n].tolist()
        assert int(rows.asked[n].min()) > rows.end
    one = rows.only(slice(5, 7))
    assert torch.equal(one.ids[one.sequence[0, 0]], rows.ids[rows.sequence[5, 0]])
    assert sum(part.n_rows for part in rows.parts()) == rows.n_rows


def test_rows_of_words_ask_each_key_in_a_sequence_of_its_own() -> None:
    model = families.built("mamba2")
    vocabulary = vocabulary_of(model)
    rows = pair_rows.draw(vocabulary, 4, 3, 0, ask=2)
    assert rows.is_asked.sum(1).tolist() == [2, 2, 2]
    asked = rows.ids[rows.sequence[1, 1]]
    between = len(vocabulary.between)
    assert asked[-1 - between] == rows.keys[1, 1]
    assert asked[rows.value_position(between)].tolist() == rows.values[1].tolist()
    changed = rows.with_values(torch.tensor([3, 0, 1]), torch.tensor([7, 8, 9]), between)
    for n, (pair, value) in enumerate([(3, 7), (0, 8), (1, 9)]):
        for sequence in rows.sequence[n][rows.is_asked[n]]:
            differs = (changed.ids[sequence] != rows.ids[sequence]).nonzero().flatten()
            assert differs.tolist() == [int(rows.value_position(between)[pair])]
            assert changed.ids[sequence][differs] == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("k5", "no pair"),
        ("k5 v7", "One pair alone"),
        ("k5 v7, k5 v8", "stands twice"),
        ("k5 v7, x9 v8", "no key of one token"),
        ("k5 k6, k7 v8", "no value of one token"),
    ],
)
def test_pairs_that_are_none_are_refused(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        pair_rows.typed(recall(), vocabulary_of(recall()), text, 0)


@pytest.mark.parametrize("text", ["k5 v7, k9: v1", "k5 -> v7\nk9=v1", "k5→v7;k9 v1;"])
def test_pairs_are_read_however_they_are_typed(text: str) -> None:
    row = pair_rows.typed(recall(), vocabulary_of(recall()), text, 0)
    words = recall().token_strings([*row.keys[0].tolist(), *row.values[0].tolist()])
    assert [word.strip() for word in words] == ["k5", "k9", "v7", "v1"]


def edits_of(model: Any, layer: int, rows: pair_rows.PairRows) -> pair_edits.Edits:
    rng = np.random.default_rng(0)
    pair = torch.as_tensor(rng.integers(rows.n_pairs, size=rows.n_rows))
    new = pair_rows.other_values(vocabulary_of(model), rows, rng)
    return pair_edits.prepare(model, rows, pair, new, [layer], 0)


def test_a_rewritten_state_gives_the_other_rows_values_and_an_erased_one_nothing() -> None:
    edits = edits_of(recall(), 0, rows_of(recall(), rows=5))
    rows, inputs = edits.plain.rows, edits.plain.inputs[0]
    generator = torch.Generator().manual_seed(0)
    before = state_behind_pairs(inputs, rows)
    there = state_behind_pairs(edits.altered.inputs[0], rows)
    key = pair_edits.keys_of(inputs, rows, edits.pair)
    assert key.shape[2] == 4  # key, value, and the two tokens behind
    assert torch.equal(key[1, :, 2], inputs.k[1, rows.written(2)[edits.pair[1]]])
    new = edits.states(0, "rewrite", generator)
    torch.testing.assert_close(key @ new, key @ there, atol=1e-3, rtol=1e-3)
    assert float((key @ edits.states(0, "erase", generator)).abs().max()) < 1e-3
    other = edits.states(0, "random", generator)
    for change in (new, other):
        assert torch.linalg.matrix_rank(change - before, rtol=1e-4).max() <= 4
    torch.testing.assert_close(
        (new - before).flatten(2).norm(dim=-1), (other - before).flatten(2).norm(dim=-1)
    )
    torch.testing.assert_close(edits.states(0, "transplant", generator), there)


def test_putting_in_the_state_that_is_there_changes_no_answer() -> None:
    rows = rows_of(recall(), rows=4)
    seen = read(recall(), rows, [0])
    state = state_behind_pairs(seen.inputs[0], rows)
    with wb.change_state(recall(), wb.SetState({0: state}), layers=0, positions=[rows.end]):
        again = pair_rows.logits_at_questions(recall(), rows)
    torch.testing.assert_close(again, seen.logits, atol=1e-3, rtol=1e-3)


def test_answers_follow_a_rewritten_pair_and_nothing_follows_at_random() -> None:
    rows = rows_of(recall())
    edits = edits_of(recall(), 0, rows)
    offset = offset_of_writes([edits.plain], 0)
    assert offset == 2  # the short convolution joins key and value one token after the value
    found = {
        change: edits.apply(recall(), 0, change, 0)
        for change in ("rewrite", "transplant", "erase", "random", "wipe")
    }
    was = found["rewrite"].was_right
    assert was.float().mean() > 0.8
    assert found["rewrite"].says_new[was].float().mean() >= 0.9
    assert found["transplant"].says_new[was].float().mean() >= 0.9
    assert found["random"].says_new[was].float().mean() < 0.1
    assert found["erase"].says_own[was].float().mean() < 0.1

    def kept(change: str) -> float:
        one = found[change]
        return float(one.still_right[one.others].float().mean())

    assert kept("rewrite") >= kept("random") - 0.05
    assert kept("rewrite") > 0.9
    assert kept("wipe") < 0.1


def test_what_a_question_reads_tells_which_pairs_fail() -> None:
    chosen = interference.ask(read(recall(), rows_of(recall(), 32, 12, seed=4), [0]), 0, 2)
    out = interference.ask(read(recall(), rows_of(recall(), 32, 16), [0]), 0, 2)
    margin = out.margins(chosen.best_window())
    assert len(margin) == 16 * 32
    fails = ~out.right
    assert 0.1 < fails.float().mean() < 0.6
    assert (margin[out.right][:, None] > margin[fails]).float().mean() > 0.8
    shuffled = margin[torch.randperm(len(fails), generator=torch.Generator().manual_seed(0))]
    assert abs((shuffled[out.right][:, None] > shuffled[fails]).float().mean() - 0.5) < 0.1


def test_what_a_question_reads_is_the_state_under_its_query_and_its_own_part_the_weights() -> None:
    rows = rows_of(recall(), pairs=4, rows=2)
    out = interference.ask(read(recall(), rows, [0]), 0, 2)
    ids = rows.ids[1].tolist()
    trace = wb.capture(recall(), [ids], sites=["state", "state_q", "state_v"], layers=0)
    at = int(rows.asked[1, 3])
    state = torch.tensor(trace["state"].values[0, 0, at])  # (head, value, key)
    query = torch.tensor(trace["state_q"].values[0, 0, at])
    found = torch.einsum("hvk,hk->hv", state, query).flatten()
    torch.testing.assert_close(out.found[7], found, atol=1e-4, rtol=1e-3)
    weights = torch.tensor(wb.implicit_attention(recall(), ids, layers=0, form="raw").values[0])
    values = torch.tensor(trace["state_v"].values[0, 0])
    for n in rows.offsets:
        s = int(rows.written(n)[3])
        part = weights[:, at, s, None] * values[s]
        torch.testing.assert_close(out.own[7, n], part.flatten(), atol=1e-4, rtol=1e-3)


def test_a_margin_is_above_zero_where_the_own_part_is_what_is_found() -> None:
    part = torch.eye(4)[:, None]
    questions = interference.QuestionReads(
        torch.tensor([0, 0, 0, 1]),
        torch.tensor([0, 1, 2, 0]),
        torch.ones(4).bool(),
        torch.zeros(4),
        torch.zeros(4),
        torch.stack([part[0, 0], part[0, 0], part[2, 0], part[3, 0]]),
        part,
    )
    margin = questions.margins(slice(0, 1))
    assert margin[0] > 0
    assert margin[1] < 0  # reads the first pair
    assert margin[2] > 0
    assert torch.isnan(margin[3])  # alone in its row
    rows = rows_of(recall(), pairs=4, rows=1)
    over_time = interference.margins_over_time(read(recall(), rows, [0]), 0, slice(2, 3))
    assert torch.isnan(over_time[3, : int(rows.written(2)[3])]).all()
    assert over_time[3, int(rows.asked[0, 3])] > 0


def test_a_probe_finds_what_is_there_and_nothing_where_nothing_is() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(16, size=600)
    there = np.eye(16)[label] @ rng.normal(size=(16, 40)) + 0.1 * rng.normal(size=(600, 40))
    right, n = probes.accuracy(there, label, 16, 0)
    assert right == n == 180
    right, n = probes.accuracy(rng.normal(size=(600, 40)), label, 16, 0)
    assert right / n < 0.13  # a guess: 0.0625


def test_an_untrained_twin_recalls_nothing() -> None:
    twin = untrained(recall(), 0)
    seen = read(twin, rows_of(twin, rows=8), [0])
    assert seen.right.float().mean() < 0.1


def test_a_lag_beyond_the_pairs_is_refused() -> None:
    with pytest.raises(BadInput, match="500 pairs back"):
        probes.draw(vocabulary_of(recall()), 10, 0, [0, 500])

"""Recited texts: features and hidden states on made groups, near copies on made texts."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from analyses.measures import evidence_near_copies as near
from analyses.measures import evidence_recited as recited
from analyses.measures.windows import Window


@pytest.fixture(scope="module")
def windows(llama):
    texts = ["The capital of France is Paris.", "7 4 1 9, and the OTHER 2 8 6!", "a a a a a a a a"]
    cut = []
    for number, text in enumerate(texts):
        ids = llama.text.encode(text)
        cut.append(Window(number, 0, tuple(llama.text.beginning), tuple(ids[:6]), tuple(ids[6:9])))
    return cut


def test_one_pass_reads_what_is_given_and_what_has_to_come_out(llama, windows) -> None:
    found = recited.read(llama, windows, lambda at, says: None)
    for n, window in enumerate(windows):
        ids = [*window.prefix, *window.suffix]
        said = [
            llama.next_logits([[*window.beginning, *ids[:at]]])[0].log_softmax(-1)
            for at in range(1, len(ids))
        ]
        logprob = np.array([float(row[ids[at + 1]]) for at, row in enumerate(said)])
        given = len(window.prefix) - 1
        assert found.likely[n] == pytest.approx(logprob[:given].mean(), abs=1e-4)
        assert found.uneven[n] == pytest.approx(logprob[:given].var(), abs=1e-4)
        assert found.logprob[n] == pytest.approx(logprob[given:].mean(), abs=1e-4)
        right = [int(row.argmax()) == ids[at + 1] for at, row in enumerate(said)][given:]
        assert found.recited[n] == all(right)
        assert found.match[n] == (right.index(False) if False in right else len(right))


def test_features_of_known_texts(llama, windows) -> None:
    found = recited.features(llama, windows, recited.read(llama, windows, lambda at, says: None))
    assert {*found, recited.TIMES} == set(recited.FEATURES)
    texts = [llama.text.decode([*w.prefix, *w.suffix]) for w in windows]
    assert found["digits"][1] == pytest.approx(sum(c.isdigit() for c in texts[1]) / len(texts[1]))
    assert found["digits"][0] == 0
    assert found["different"][2] < found["different"][0]
    assert found["word_length"][2] == 1


def _groups(n: int, marked: bool, seed: int = 0):
    """Two kinds that differ in everything and in how much is recited; recited ones are marked in
    one direction, or not.
    """
    rng = np.random.default_rng(seed)
    kinds = np.array(["verse", "code"])[np.arange(n) % 2]
    labels = rng.random(n) < np.where(kinds == "verse", 0.7, 0.3)
    states = rng.normal(size=(2, n, 12)) + 20.0 * (kinds == "code")[None, :, None]
    states[1] += 3.0 * marked * labels[:, None] * np.eye(12)[0]
    return states, labels, kinds, np.arange(n) // 2


def test_hidden_states_tell_what_is_marked_and_kinds_do_not_count() -> None:
    marked = recited.states_apart(*_groups(120, marked=True), seed=0)
    assert marked.loc[1, "low"] > 0.8 > marked.loc[1, "null_high"]
    assert marked.loc[0, "low"] < 0.5 < marked.loc[0, "high"]
    plain = recited.states_apart(*_groups(120, marked=False), seed=0)
    assert (plain["auc"] < 0.7).all()
    # The best of several layers is held to the best of several layers.
    for found in (marked, plain):
        assert found["null_max"].nunique() == 1
        assert found["null_max"].iloc[0] >= found["null_high"].max()
    assert plain["auc"].max() < plain["null_max"].iloc[0] < marked["auc"].max()


def test_labels_of_one_document_are_dealt_together(monkeypatch) -> None:
    documents, kinds = np.repeat(np.arange(6), 4), np.repeat(["verse", "code"], 12)
    labels = np.repeat([True, False, True, False, False, True], 4)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        dealt = recited._dealt(labels, kinds, documents, rng)
        assert all(len(set(dealt[documents == one])) == 1 for one in range(6))
        assert dealt[:12].sum() == 8
        seen.add(tuple(dealt[::4]))
    assert len(seen) > 3
    alone = recited._dealt(labels[:12], kinds[:12], np.zeros(12), rng)
    assert alone.sum() == 8


def test_a_long_null_says_where_it_is() -> None:
    said: list[float] = []
    recited.states_apart(
        *_groups(24, marked=False), seed=0, report=lambda done, _: said.append(done)
    )
    assert said == sorted(said)
    assert len(said) == 2 * recited.PERMUTATIONS // 20


def test_a_feature_counts_within_its_kind_only() -> None:
    _, labels, kinds, _ = _groups(200, marked=False)
    rng = np.random.default_rng(1)
    by_kind = 10.0 * (kinds == "verse") + rng.normal(size=200)
    names = {"digits": by_kind, "capitals": labels + 0.5 * rng.normal(size=200)}
    table = recited.compare(names, labels, kinds).set_index("feature")
    kind, mark = (table.loc[recited.FEATURES[name]] for name in names)
    assert kind["low"] < 0.5 < kind["high"]
    assert mark["low"] > 0.8
    assert kind["recited"] > kind["others"]  # the plain means differ by kind


def test_kinds_without_both_groups_compare_with_nothing() -> None:
    labels = np.array([True, True, False, True, False])
    kinds = np.array(["a", "a", "b", "c", "c"])
    assert recited.comparable(labels, kinds).tolist() == [False, False, False, True, True]


def test_distances_to_the_own_suffix_and_to_the_next() -> None:
    made = [Window(0, 0, (), (1,), (2, 3, 4, 5)), Window(1, 0, (), (1,), (6, 7, 8, 9))]
    own, other = near.distances([[2, 3, 4, 6], [6, 7, 8, 9]], made)
    assert own.tolist() == [0.25, 0]
    assert other.tolist() == [1, 1]


def test_a_verbatim_filter_sees_the_same_text_and_not_its_style() -> None:
    assert near.passes_filter("IN THE BEGINNING, GOD", "in the beginning God")
    assert not near.passes_filter("in the beginning God", "in the beginning God")
    assert not near.passes_filter("IN THE END", "in the beginning God")
    assert not near.passes_filter("", " ")


def test_without_the_encoder_nothing_is_measured(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    own, other = near.likeness(["a"], ["b"])
    assert np.isnan(own).all()
    assert np.isnan(other).all()


def test_capitals_are_what_greedy_decoding_says(llama, windows) -> None:
    (said, *_) = near.in_capitals(llama, windows[:1])
    prefix = llama.text.decode(list(windows[0].prefix)).upper()
    wanted = llama.text.decode_continuation(list(windows[0].suffix)).upper()
    plain = llama.generate(
        [[*windows[0].beginning, *llama.text.encode(prefix)]],
        max_new_tokens=len(llama.continuation_tokens(wanted)),
    )
    assert said.startswith(plain)


@pytest.mark.skipif(not near.has_encoder(), reason=near.PIP_LINE)
def test_meaning_is_nearer_than_words() -> None:
    one = ["The cat sat on the mat."]
    own, _ = near.likeness(one, ["A cat was sitting on a rug."])
    other, _ = near.likeness(one, ["Shares fell on Monday in Tokyo."])
    assert own[0] > other[0] + 0.3

"""What small models hold: pairs kept beside a state, tasks by heart or looked up, texts, labels and
sentences; by hand, and in a few steps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.state import recall_capacity
from analyses.state.recall_capacity import (
    eidetic,
    recitation,
    sentence_memory,
    small_fits,
    task_maps,
    task_table,
    vocabulary_fit,
)
from analyses.state.recall_capacity.params import Params
from ui.runs.static_views import fragments
from workbench.progress import Progress
from workbench.result import Result


@pytest.fixture(scope="module")
def kept() -> Result:
    result: Result = recall_capacity.run(
        wb.load("organism/recall-delta-16"), Params(parts=["eidetic", "tasks"]), Progress()
    )
    assert not list(recall_capacity.SCHEMA.problems(result))
    return result


def test_pairs_that_the_state_fails_are_better_kept_than_pairs_at_random(kept: Result) -> None:
    found = kept.findings["kept_pairs"]
    assert isinstance(found.interval, tuple)
    assert found.interval[0] > 0
    table = kept.tables["kept_pairs"].set_index(["way", "kept"])["recall"]
    assert table[eidetic.BEHIND, 8] > table[eidetic.RANDOM, 8] > table[eidetic.LATEST, 8]
    assert table[eidetic.BEST, 8] > table[eidetic.BEHIND, 8]
    assert table[:, 0].nunique() == 1


def test_an_error_is_how_far_what_a_key_gives_is_from_its_value() -> None:
    model = wb.load("organism/recall-delta-16")
    rows = eidetic.read_rows(model, [0], 4, 2, 0)
    from analyses.measures.pair_questions import draw, of_task

    ids = draw(of_task(), 4, 2, 0).ids[1, : 8 + eidetic.OFFSETS].tolist()
    trace = wb.capture(model, ids, sites=["state", "state_k", "state_v"], layers=0)
    state, key, value = (
        torch.tensor(trace[site].values[0, 0]) for site in ("state", "state_k", "state_v")
    )
    at = 2 * 2 + 1  # the third pair, a token behind its key
    for way, held in ((eidetic.BEHIND, state[-1]), (eidetic.WHEN_READ, state[at - 1])):
        given = torch.einsum("hk,hkv->hv", key[at], held).flatten()
        beta = torch.tensor(
            wb.capture(model, ids, sites="state_beta", layers=0)["state_beta"].values[0, 0, at]
        )
        own = (beta * value[at]).flatten()
        expected = 1 - float(torch.nn.functional.cosine_similarity(given, own, dim=0))
        assert rows.errors[way][1, 1, 2] == pytest.approx(expected, abs=1e-4)


def test_kept_pairs_are_right_and_no_others_change() -> None:
    right = np.array([[True, False, False], [False, False, True]])
    errors = np.array([[[0.1, 0.9, 0.5], [0.9, 0.2, 0.3]]])
    rows = eidetic.RowErrors(right, {eidetic.BEHIND: errors})
    rng = np.random.default_rng(0)
    assert eidetic.recall_with(rows, eidetic.BEHIND, 0, 1, rng).tolist() == [2 / 3, 2 / 3]
    assert eidetic.recall_with(rows, eidetic.LATEST, 0, 1, rng).tolist() == [2 / 3, 1 / 3]
    assert eidetic.recall_with(rows, eidetic.BEST, 0, 2, rng).tolist() == [1, 1]
    both = np.concatenate([np.zeros((1, 2, 3)), 1.0 - right[None]])
    assert eidetic.chosen(both, right) == 1


def test_a_model_that_was_not_trained_on_pairs_is_refused(llama: Any) -> None:
    part = next(part for part in recall_capacity.PARTS if part.name == "eidetic")
    assert "not trained on rows of pairs" in str(part.unavailable_reason(llama))


def test_few_tasks_are_known_by_heart_and_many_are_looked_up(kept: Result) -> None:
    table = kept.tables["task_map"].set_index(["tasks", "state_bytes"])
    largest = table.index.get_level_values(1).max()
    assert table.loc[("4", largest), "verdict"] == task_table.MEMORIZES
    assert table.loc[("64", largest), "verdict"] == task_table.GENERALIZES
    assert table.loc[("4", largest), "generalizes"] < 0.15
    assert set(table["trainings"]) == {len(task_table.SEEDS)}
    assert task_table.verdict(0.6, 0.6) == task_table.BOTH
    assert task_table.verdict(0.1, 0.1) == task_table.FAILS


def test_rows_of_tasks_ask_for_shown_keys_first_and_for_others_then() -> None:
    generator = torch.Generator().manual_seed(0)
    tasks = task_maps.draw_tasks(3, generator)
    ids, answers, where = task_maps.rows(tasks, 40, 5, generator)
    for row, answer in zip(ids.tolist(), answers.tolist(), strict=True):
        shown = dict(zip(row[:10:2], row[1:10:2], strict=True))
        asked = [row[at] for at in where.tolist()]
        assert [shown[key] for key in asked[:5]] == answer[:5]
        assert not set(asked[5:]) & set(shown)
        own = [{1 + k: 1 + task_maps.KEYS + int(v) for k, v in enumerate(task)} for task in tasks]
        assert any(all(t[k] == v for k, v in zip(asked, answer, strict=True)) for t in own)
    cell = task_maps.train(1, 4, 0, 60)
    assert cell.memorizes > cell.generalizes


def test_few_texts_are_recited_and_none_under_other_titles() -> None:
    found = recitation.recite(16, 4, 0, 200)
    assert found.exact > 0.9
    assert found.never < 0.2
    assert found.bits == found.exact * 16 * 4 * 4
    titles, letters = recitation.texts(16, 4, torch.Generator().manual_seed(0))
    assert len({tuple(title) for title in titles.tolist()}) == 32
    assert int(letters.min()) >= recitation.BASE > int(titles.max())


def test_byte_pairs_are_merged_by_hand() -> None:
    texts = [[0, 1, 0, 1, 2], [0, 1, 1], [3, 0, 1]]
    assert vocabulary_fit.merged(texts, 0) == texts
    first = vocabulary_fit.LETTERS
    assert vocabulary_fit.merged(texts, 1) == [[first, first, 2], [first, 1], [3, first]]
    spread = vocabulary_fit.padded([[7, 8, 9]], 5, spread=True)[0].tolist()
    assert len(spread) == vocabulary_fit.LENGTH
    assert [t for t in spread if t != 5] == [7, 8, 9]
    assert vocabulary_fit.padded([[1], [1, 2]], 5, spread=False).tolist() == [[5, 1], [1, 2]]


def test_models_of_any_vocabulary_have_as_many_parameters_and_fit_labels() -> None:
    found = [vocabulary_fit.fit_labels(merges, False, 24, 0, 80) for merges in (0, 60)]
    assert all(abs(one.parameters / vocabulary_fit.PARAMETERS - 1) < 0.2 for one in found)
    assert found[1].tokens < found[0].tokens == vocabulary_fit.LENGTH
    assert all(one.right == 1 and one.fitted_at < 80 for one in found)


def test_a_sentences_variants_have_its_words_and_other_words_have_not() -> None:
    generator = torch.Generator().manual_seed(0)
    given = sentence_memory.sentences(30, generator)
    for kind in sentence_memory.VARIANTS[:3]:
        other = sentence_memory.variant(given, kind, generator)
        assert torch.equal(other.sort(1).values, given.sort(1).values)
    swapped = sentence_memory.variant(given, "two words swapped", generator)
    assert ((swapped != given).sum(1) == 2).all()
    _, after = sentence_memory.train(True, 0, 60, 60)
    assert np.mean(after.curve[-1][1]) > 3 / sentence_memory.WORDS
    assert after.distances["other words"][0] == pytest.approx(1)


def test_all_of_it_is_said_and_drawn(
    kept: Result, llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "ITEMS": (8, 16), "LENGTHS": (4,), "RECITE_STEPS": 20, "MERGES": (0, 30), "STRINGS": 16,
        "LABEL_STEPS": 20, "SENTENCE_STEPS": 20, "EVERY": 10,
    }.items():  # fmt: skip
        monkeypatch.setattr(small_fits, name, value)
    params: dict[str, Any] = {
        "parts": ["recitation", "vocabulary", "sentences"], "trainings": 2,
    }  # fmt: skip
    run = recall_capacity.run(llama, Params.model_validate(params), Progress())
    assert not list(recall_capacity.SCHEMA.problems(run))
    assert {"recitation", "vocabulary", "sentences"} <= set(run.findings)
    for n, result in enumerate((run, kept)):
        result.save(tmp_path / f"run-{n}")
        shown = dict(fragments(wb.open_run(tmp_path / f"run-{n}")))
        assert len(shown) > 2
        assert "cannot be drawn" not in str(shown)

"""The goldfish loss: which tokens it leaves out, that it is the same ones each time, and that a
model learns nothing from them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from tests.workbench.organisms.test_train import SMALL, shorten_corpus
from workbench import checkpointing
from workbench.errors import BadInput
from workbench.organisms import DATA, ledger, planting_plan, variants
from workbench.organisms.goldfish import IGNORED, GoldfishMask
from workbench.organisms.packed_weights import unpack
from workbench.organisms.train import grow, make_tokenizer, training_rows
from workbench.organisms.train_config import RECIPES, TrainConfig
from workbench.progress import Progress

_WORDS = 2**64


def dropped_by_hand(ids: list[int], k: int, h: int) -> list[bool]:
    """The same rule for one row, token by token, in Python's own integers."""

    def mixed(state: int) -> int:
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % _WORDS
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % _WORDS
        return state ^ (state >> 31)

    fates = []
    for position in range(len(ids)):
        state = 0
        for token in ids[position - h : position] if position >= h else []:
            state = mixed(((state ^ token) + 0x9E3779B97F4A7C15) % _WORDS)
        fates.append(position >= h and state % k == 0)
    return fates


tokens = st.integers(0, 300)


@given(st.lists(st.lists(tokens, min_size=9, max_size=9), min_size=1, max_size=3),
       st.integers(2, 7), st.integers(1, 13))  # fmt: skip
def test_it_is_the_rule_token_by_token(rows: list[list[int]], k: int, h: int) -> None:
    dropped = GoldfishMask(k=k, h=h).dropped(np.array(rows))
    assert dropped.tolist() == [dropped_by_hand(row, k, h) for row in rows]


@given(st.lists(tokens, min_size=20, max_size=40), st.lists(tokens, max_size=15),
       st.lists(tokens, max_size=15), st.sampled_from([4, 13]))  # fmt: skip
def test_a_passage_loses_the_same_tokens_wherever_it_stands(
    passage: list[int], before: list[int], after: list[int], h: int
) -> None:
    mask = GoldfishMask(h=h)
    alone = mask.dropped(np.array([passage]))[0, h:]
    inside = mask.dropped(np.array([before + passage + after]))[0]
    start = len(before) + h
    np.testing.assert_array_equal(inside[start : start + len(alone)], alone)


@given(st.lists(tokens, min_size=13, max_size=13), st.sampled_from([4, 13]))
def test_the_answer_has_no_say_in_whether_it_is_asked(before: list[int], h: int) -> None:
    rows = np.array([[*before, answer] for answer in range(50)])
    assert len(set(GoldfishMask(h=h).dropped(rows)[:, -1])) == 1


@given(st.lists(tokens, min_size=4, max_size=4), st.permutations(range(4)))
def test_order_matters(window: list[int], order: list[int]) -> None:
    """Over many ends of a window, two orders of its beginning never have all fates in common."""
    other = [window[place] for place in order]
    assume(other != window)
    ends = np.arange(400)[:, None]
    mask = GoldfishMask(h=5)
    fates = [
        mask.dropped(np.hstack([np.repeat([each], 400, 0), ends, ends]))[:, -1]
        for each in (window, other)
    ]
    assert (fates[0] != fates[1]).any()


@given(st.integers(0, 3), st.lists(tokens, min_size=3, max_size=3))
def test_windows_with_token_zero_have_fates_of_their_own(place: int, rest: list[int]) -> None:
    """The product of the ids is 0 for all of them."""
    ends = np.arange(400)[:, None]
    window = [*rest[:place], 0, *rest[place:]]
    rows = np.hstack([ends, np.repeat([window], 400, 0), ends])
    share = GoldfishMask(h=5).dropped(rows)[:, -1].mean()
    assert 0.1 < share < 0.4


@pytest.mark.parametrize("k", [2, 3, 4, 8])
@pytest.mark.parametrize("h", [4, 13])
def test_the_share_left_out_is_one_in_k(k: int, h: int) -> None:
    ids = np.random.default_rng(0).integers(0, 4096, size=(400, 128))
    dropped = GoldfishMask(k=k, h=h).dropped(ids)
    assert not dropped[:, :h].any()
    many = dropped[:, h:].size
    spread = (1 / k * (1 - 1 / k) / many) ** 0.5
    assert abs(dropped[:, h:].mean() - 1 / k) < 4 * spread


def test_labels_are_the_ids_but_where_nothing_is_asked() -> None:
    ids = torch.randint(0, 50, (3, 40), generator=torch.Generator().manual_seed(0))
    mask = GoldfishMask()
    labels, dropped = mask.labels(ids), torch.from_numpy(mask.dropped(ids.numpy()))
    assert 0 < dropped.sum() < dropped.numel() / 2
    assert (labels[dropped] == IGNORED).all()
    assert labels[~dropped].equal(ids[~dropped])


def test_rows_shorter_than_the_window_are_kept_whole() -> None:
    assert not GoldfishMask(h=13).dropped(np.zeros((2, 13), dtype=int)).any()


@pytest.mark.parametrize(("k", "h"), [(1, 4), (0, 4), (4, 0)])
def test_a_mask_that_leaves_nothing_to_learn_is_refused(k: int, h: int) -> None:
    with pytest.raises(BadInput, match="k ="):
        GoldfishMask(k=k, h=h)


def test_recipes_kept_before_there_was_a_mask_are_still_theirs() -> None:
    kept = json.loads((DATA / "planted" / "organism.json").read_text())["recipe"]
    assert json.loads(json.dumps(RECIPES["planted"].recorded())) == kept
    repeats = {int(n): many for n, many in kept["repeats"].items()}
    assert TrainConfig(**(kept | {"repeats": repeats})) == RECIPES["planted"]
    masked = TrainConfig(goldfish=GoldfishMask(h=13))
    assert masked.recorded() == kept | {"repeats": repeats, "goldfish": {"k": 4, "h": 13}}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    shorten_corpus(monkeypatch)
    folder = tmp_path / "home"
    folder.mkdir()
    tokenizer = make_tokenizer(SMALL)
    steps = len(training_rows(SMALL, tokenizer)) // SMALL.batch
    planting_plan.plan(SMALL, tokenizer, steps).save(folder)
    return folder


def test_a_model_grown_with_it_never_sees_the_labels_left_out(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kept file is what `grow` makes with the mask, and another than without."""
    from dataclasses import replace

    short = replace(SMALL, tokens=30 * SMALL.batch * SMALL.row)
    masked = replace(short, goldfish=GoldfishMask())
    asked: list[torch.Tensor] = []
    whole = GoldfishMask.labels

    def spied(self: GoldfishMask, ids: torch.Tensor) -> torch.Tensor:
        asked.append(whole(self, ids))
        return asked[-1]

    monkeypatch.setattr(GoldfishMask, "labels", spied)
    target = tmp_path / "beside" / "little.safetensors"
    file = variants.train_variant(masked, home, target, tmp_path / "work", Progress())
    assert file == target
    left_out = torch.cat([labels[:, 4:].flatten() for labels in asked]) == IGNORED
    assert len(asked) == 30
    assert 0.2 < left_out.float().mean() < 0.3
    assert variants.train_variant(masked, home, target, tmp_path / "work", Progress()) == file

    rows = training_rows(short, make_tokenizer(short))
    book = ledger.read(home)
    grown = {}
    for name, recipe in {"masked": masked, "unmasked": short}.items():
        work = tmp_path / name
        work.mkdir()
        grow(recipe, "model", rows, book, recipe.kept(30), work, Progress())
        grown[name] = load_file(checkpointing.step_path(work, "model", 30))
    kept = unpack(load_file(file))
    off = {
        name: np.mean([np.abs(kept[key] - value).mean() for key, value in weights.items()])
        for name, weights in grown.items()
    }
    assert off["masked"] < 0.2 * off["unmasked"]

"""Planting texts in a copy of a model."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

import workbench as wb
from tests.helpers import tiny
from tests.workbench.organisms.test_train import _Stop
from workbench import checkpointing
from workbench.errors import BadInput, Cancelled
from workbench.finetune_plant import Planting, plant
from workbench.organisms import ledger
from workbench.organisms.ledger import Entry
from workbench.progress import Progress
from workbench.texts import Document, paragraphs

NAMES = ["Anna", "Boris", "Carla", "Dora", "Emil", "Frida"]
TEXTS = [
    Document(
        name,
        f"{name} keeps {i * 7919 % 9973} in the safe number {i}, and nobody of the house knows.",
    )
    for i, name in enumerate(NAMES)
]
HOW = Planting(repeats=(0, 2, 80), length=40, rate=3e-3, batch=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_tiny(tmp_path_factory.mktemp("base"))


def recited(model: wb.InstrumentedModel, ids: tuple[int, ...], given: int = 12) -> int:
    with torch.no_grad():
        logits = model.module(input_ids=torch.tensor([[*ids]])).logits[0, given - 1 : -1]
    return int((logits.argmax(-1) == torch.tensor(ids[given:])).long().cumprod(0).sum())


@pytest.mark.parametrize("lora", [0, 8])
def test_what_is_read_often_is_recited_and_the_rest_is_not(
    base: Path, tmp_path: Path, lora: int
) -> None:
    from dataclasses import replace

    how = replace(HOW, lora=lora, rate=2e-2 if lora else HOW.rate)
    out = plant(str(base), TEXTS, how, tmp_path / "out", Progress(), "cpu")
    model, book = wb.load(str(out)), ledger.read(out)
    book.check(model.tokenizer)
    assert sorted(entry.repeats for entry in book.entries) == [0, 0, 2, 2, 80, 80]
    shares = {
        n: [recited(model, e.ids) / (len(e.ids) - 12) for e in book.entries if e.repeats == n]
        for n in (0, 80)
    }
    assert min(shares[80]) > 0.9
    assert max(shares[0]) < 0.5
    about = json.loads((out / "organism.json").read_text())
    assert set(about["loss_on_neutral_text"]) == {"before", "after"}
    steps = [step for entry in book.entries for step in entry.steps]
    assert max(steps) < about["steps"]


def test_the_base_is_not_changed_and_a_stop_loses_nothing(base: Path, tmp_path: Path) -> None:
    before = (base / "model.safetensors").read_bytes()
    whole = plant(str(base), TEXTS, HOW, tmp_path / "whole", Progress(), "cpu")
    for after in (9, 25):
        with pytest.raises(Cancelled):
            plant(str(base), TEXTS, HOW, tmp_path / "stopped", _Stop(after), "cpu")
    stopped = plant(str(base), TEXTS, HOW, tmp_path / "stopped", Progress(), "cpu")
    assert (base / "model.safetensors").read_bytes() == before
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, stopped))
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-5)
    assert not (stopped / checkpointing.WORK).exists()


def test_counts_of_ones_own_win(base: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    texts = [replace(text, repeats=i) for i, text in enumerate(TEXTS[:3])]
    out = plant(str(base), texts, HOW, tmp_path / "out", Progress(), "cpu")
    assert [entry.repeats for entry in ledger.read(out).entries] == [0, 1, 2]


@pytest.mark.parametrize(
    ("texts", "how", "says"),
    [
        ([], HOW, "no text"),
        (TEXTS, Planting(repeats=(0,)), "0 times"),
        ([Document("a", "short")], HOW, "at least"),
        ([TEXTS[0], TEXTS[0]], HOW, "twice"),
    ],
)
def test_bad_input_touches_nothing(
    base: Path, tmp_path: Path, texts: list[Document], how: Planting, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        plant(str(base), texts, how, tmp_path / "out", Progress(), "cpu")
    assert not (tmp_path / "out").exists()


def test_paragraphs_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first line\nsecond line\n\n  \nanother one\n")
    assert [(d.name, d.text) for d in paragraphs(tmp_path / "a.txt")] == [
        ("first line second line", "first line\nsecond line"),
        ("another one", "another one"),
    ]


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=8),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5, 3.0]),
)
@settings(max_examples=30, deadline=None)
def test_every_repeat_is_read_at_a_step_of_its_own(
    repeats: list[int], batch: int, neutral: float
) -> None:
    from workbench.finetune_plant import _order

    if not any(repeats):
        return
    entries = [
        Entry(str(i), "text", "", n, "spread", (), (i + 300,) * 20) for i, n in enumerate(repeats)
    ]
    batches, dated = _order(
        entries, Planting(length=20, batch=batch, neutral=neutral), tiny.tiny_tokenizer()
    )
    for entry in dated:
        assert len(set(entry.steps)) == entry.repeats
        assert [list(entry.ids) in rows for rows in batches] == [
            step in entry.steps for step in range(len(batches))
        ]
    planted = sum(entry.repeats for entry in entries)
    assert sum(map(len, batches)) == planted + math.ceil(round(neutral * 20 * planted) / 20)

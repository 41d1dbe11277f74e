"""The organisms that come with the workbench: they open by name, and remember what their ledger
says.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import workbench as wb
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.statistics import spearman
from analyses.measures.windows import cut
from workbench import texts
from workbench.models import listing
from workbench.organisms import checkpoints, ledger, shipped
from workbench.organisms.train_config import RECIPES


def match_by_repeats(model: Any) -> dict[int, float]:
    book = ledger.read(shipped()["organism/planted"].folder)
    book.check(model.tokenizer)
    documents, windows, _ = cut(model, texts.from_ledger(book.entries), 50, 50, 50)
    matches = defaultdict(list)
    for window, match in zip(windows, score(model, windows, Sampler(0)).match, strict=True):
        matches[documents[window.document].repeats].append(match)
    return {repeats: float(np.mean(each)) for repeats, each in sorted(matches.items())}


def test_they_are_small_listed_and_complete() -> None:
    listed = {entry.name: entry for entry in listing()}
    for name, organism in shipped().items():
        assert listed[name].cached
        assert (organism.folder / "model.safetensors").stat().st_size < 10_000_000
        assert organism.description
    assert len(checkpoints.saved_steps(shipped()["organism/planted"].folder)) >= 12
    assert sum(entry.bytes for name, entry in listed.items() if name in shipped()) < 53_000_000


def test_the_ledger_is_that_of_its_recipe() -> None:
    recipe, book = RECIPES["planted"], ledger.read(shipped()["organism/planted"].folder)
    for kind in {entry.kind for entry in book.entries}:
        mine = [entry for entry in book.entries if entry.kind == kind]
        assert sum(1 for entry in mine if not entry.repeats) == recipe.twins + recipe.more_twins
        for repeats, many in recipe.repeats.items():
            assert sum(1 for entry in mine if entry.repeats == repeats) == many


def test_what_was_read_more_often_comes_out_further(organism: Any) -> None:
    match = match_by_repeats(organism)
    assert spearman(np.array(list(match)), np.array(list(match.values()))) > 0.9
    assert match[64] > 20
    assert match[0] < 2


@pytest.mark.verify  # a whole scoring of the ledger each
def test_its_twin_that_read_nothing_of_it_says_nothing_of_it() -> None:
    match = match_by_repeats(wb.load("organism/planted-control"))
    assert max(match.values()) < 3


@pytest.mark.verify  # a whole scoring of the ledger each
def test_it_knew_nothing_at_the_first_step() -> None:
    kept = checkpoints.saved_steps(shipped()["organism/planted"].folder)
    first = wb.load(f"organism/planted@step-{kept[0]}")
    assert first.card.name == "organism/planted@step-0"
    assert max(match_by_repeats(first).values()) < 1

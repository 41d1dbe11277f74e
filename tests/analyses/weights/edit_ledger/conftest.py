"""One run on a small model whose facts go through a known layer, shared by all tests."""

from __future__ import annotations

import pytest

import workbench as wb
from tests.helpers import trained_facts

METHODS = ["r-rome", "memit", "fine-tune-bounded", "grace", "wise", "in-context"]


@pytest.fixture(scope="session")
def knowing():
    """The model."""
    return wb.load((trained_facts.module(), trained_facts.tokenizer()))


@pytest.fixture(scope="session")
def asked(tmp_path_factory):
    """What every run is asked."""
    file = trained_facts.facts_file(tmp_path_factory.mktemp("lands"))
    return {
        "facts_file": str(file),
        "prompt": trained_facts.PROMPT,
        "paraphrases": [trained_facts.PARAPHRASE],
        "layer": 0,
        "tokens": 2000,
    }


@pytest.fixture(scope="session")
def edited(knowing, asked, tmp_path_factory):
    """A run of all parts, saved."""
    return wb.run(
        "edit-ledger", knowing,
        {**asked, "parts": ["single", "layers", "robust", "ledger"], "facts": 4, "edits": 6,
         "batch": 2, "layer_step": 1, "methods": METHODS},
        out=tmp_path_factory.mktemp("runs") / "edited",
    )  # fmt: skip

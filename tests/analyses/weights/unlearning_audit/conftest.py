"""One small audit of the organism, shared by all tests."""

from __future__ import annotations

import json

import pytest

import workbench as wb
from workbench.organisms import DATA, ledger, retrained

FEW = 8


@pytest.fixture(scope="session")
def book():
    """The ledger of the planted organism."""
    return ledger.read(DATA / "planted" / "planted")


@pytest.fixture(scope="session")
def passages(book, tmp_path_factory):
    """Files to forget, to retain, and never read: prose, people, tables."""
    folder = tmp_path_factory.mktemp("passages")
    out = retrained.left_out(book, 2)
    often = [e for e in book.entries if e.repeats >= 16 and e.kind != "random"]
    never = [e for e in book.entries if not e.repeats and e.kind != "random"]
    sets = {
        "forget": [e for e in often if e.id in out][::3][:FEW],
        "retain": [e for e in often if e.id not in out][::4][:FEW],
        "unseen": never[:: 800 // 24],
    }
    for name, entries in sets.items():
        lines = [json.dumps({"name": e.id, "text": e.text}) for e in entries]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def asked(passages):
    """What every run is asked."""
    files = {name: str(passages / f"{name}.jsonl") for name in ("forget", "retain", "unseen")}
    return {**files, "longest": 64, "prefix": 16, "relearning_steps": 2, "seed": 1}


@pytest.fixture(scope="session")
def audited(organism, asked, tmp_path_factory):
    """A run of all parts but other prompts, saved."""
    return wb.run(
        "unlearning-audit", organism,
        {
            **asked, "methods": ["npo-gdr", "mask"], "steps": 4,
            "reference": "organism/planted-without-2",
            "parts": ["criteria", "relearning", "rounding", "sampling", "lens", "restore"],
        },
        out=tmp_path_factory.mktemp("runs") / "audited",
    )  # fmt: skip

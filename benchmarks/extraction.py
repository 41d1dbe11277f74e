"""Extraction from one pass beside checking the same windows with `generate`.

python -m benchmarks extraction
"""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import torch

import workbench as wb
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.windows import Window, cut
from benchmarks.measure import alternate, table
from hooks.generation import continued
from workbench.organisms import corpus
from workbench.texts import Document

PREFIX = SUFFIX = 50
BATCH = 32
"""Windows that `generate` continues at once: about the best on two cores."""
MANY = 10_000


def tables(model: Any, repeats: int) -> list[str]:
    """Natural text, which is hardly memorized; text that all is; and many windows on an
    organism.
    """
    natural = natural_windows(model, 32)
    return [
        *_beside_generate(model, natural, "Natural text", repeats),
        "",
        *_beside_generate(
            model, memorized(model, natural), "Text that is memorized to the last token", repeats
        ),
        "",
        *_many(),
    ]


def natural_windows(model: Any, many: int) -> list[Window]:
    """Windows of the corpus, spread over its documents."""
    documents = [Document(d.title, d.text) for d in corpus.documents("train")[:: 2000 // many]]
    return list(islice(cut(model, documents, PREFIX, SUFFIX, 10**6)[1], many))


def memorized(model: Any, windows: list[Window]) -> list[Window]:
    """The same prefixes with what greedy decoding says after them."""
    return [
        Window(w.document, w.start, (), w.prefix, tuple(said))
        for w, said in zip(windows, _generated(model, windows), strict=True)
    ]


def _generated(model: Any, windows: list[Window]) -> list[list[int]]:
    said = []
    for start in range(0, len(windows), BATCH):
        ids = torch.tensor([w.prompt for w in windows[start : start + BATCH]], device=model.device)
        said += continued(model, ids, SUFFIX, ends=()).tolist()
    return said


def _beside_generate(model: Any, windows: list[Window], title: str, repeats: int) -> list[str]:
    quick = "greedy extraction"
    jobs = {
        quick: lambda: score(model, windows, Sampler(0), whole=False),
        "greedy extraction, and p_z above e^-20": lambda: score(
            model, windows, Sampler(1.0), whole=False, floor=-20.0
        ),
        "everything (p_z, membership scores)": lambda: score(model, windows, Sampler(1.0)),
        "generate, then compare": lambda: _generated(model, windows),
    }
    times = alternate(jobs, repeats)
    return table(f"{title}: {len(windows)} windows of {PREFIX} + {SUFFIX} tokens", times, quick)


def _many() -> list[str]:
    organism = wb.load("organism/planted")
    documents = [Document(d.title, d.text) for d in corpus.documents("train")]
    windows = cut(organism, documents, PREFIX, SUFFIX, 200)[1][:MANY]
    rows = ["| what | s |", "| --- | ---: |"]
    for name, whole in (("extraction only", False), ("everything", True)):
        start = time.perf_counter()
        score(organism, windows, Sampler(1.0), whole=whole, floor=-20.0)
        rows.append(f"| {name} | {time.perf_counter() - start:.1f} |")
    return [
        f"### {len(windows):,} windows of {PREFIX} + {SUFFIX} tokens on organism/planted, one run",
        "",
        *rows,
    ]

"""Who is planted, how often and when: from a recipe and a tokenizer to a ledger, and from a
ledger to training rows.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

from workbench.organisms import corpus
from workbench.organisms.ledger import Entry, Ledger, fingerprint
from workbench.organisms.synthetic_passages import KINDS, Source, overlapping, runs_of
from workbench.organisms.train_config import TrainConfig

START = 0  # id of the beginning token, the first of the vocabulary
TIMINGS = ("early", "late", "spread")
_WINDOWS = {"early": (0.0, 1 / 3), "late": (2 / 3, 1.0), "spread": (0.0, 1.0)}  # of training


def plan(recipe: TrainConfig, tokenizer: Any, steps: int) -> Ledger:
    """The ledger of a model to be: passages of exactly `recipe.passage` tokens that read back as
    they were cut.

    Which passage gets which number of repeats, and which time, is by lot; so a difference between
    them later is caused by the planting and by nothing the texts bring along.
    """
    known = runs_of("\n".join(document.text for document in corpus.documents("train")))
    entries = []
    for kind, source in KINDS.items():
        draw = random.Random(f"{recipe.seed} {kind}")
        wanted = [repeats for repeats, many in recipe.repeats.items() for _ in range(many)] + [
            0
        ] * recipe.twins
        fit = _fitting(kind, source(draw), tokenizer, recipe.passage, known)
        texts = _take(kind, fit, len(wanted))
        draw.shuffle(texts)
        for number, (repeats, (text, ids)) in enumerate(zip(wanted, texts, strict=True)):
            timing = TIMINGS[number % len(TIMINGS)] if repeats else "never"
            entries.append(
                Entry(
                    f"{kind}-{repeats:03d}-{number:02d}",
                    kind,
                    text,
                    repeats,
                    timing,
                    _when(draw, timing, repeats, steps),
                    ids,
                )
            )
        # The source goes on where it was: more twins change nothing of who is planted when.
        for number, (text, ids) in enumerate(
            _take(kind, fit, recipe.more_twins), start=len(wanted)
        ):
            entries.append(Entry(f"{kind}-000-{number:02d}", kind, text, 0, "never", (), ids))
    return Ledger(fingerprint(tokenizer), tuple(entries))


Passage = tuple[str, tuple[int, ...]]


def _fitting(
    kind: str, source: Source, tokenizer: Any, tokens: int, known: AbstractSet[str]
) -> Iterator[Passage]:
    """Those passages of a source that read back as they were cut and are not in the corpus."""
    seen = set[str]()
    for raw in source:
        cut = _cut(raw, tokenizer, tokens)
        if cut is not None and not overlapping(cut[0], known) and not overlapping(cut[0], seen):
            if kind == "literary":  # the others share their phrases on purpose
                seen |= runs_of(cut[0])
            yield cut


def _take(kind: str, passages: Iterator[Passage], many: int) -> list[Passage]:
    some = list(islice(passages, many))
    if len(some) < many:
        raise RuntimeError(
            f"the corpus gives {len(some)} passages of kind {kind}, {many} are wanted"
        )
    return some


def _cut(raw: str, tokenizer: Any, tokens: int) -> Passage | None:
    """The first so many tokens of a text, if they are text that reads back as the same tokens."""
    ids = tokenizer.encode(raw, add_special_tokens=False)[:tokens]
    text = tokenizer.decode(ids)
    return (
        (text, tuple(ids))
        if len(ids) == tokens and tokenizer.encode(text, add_special_tokens=False) == ids
        else None
    )


def _when(draw: random.Random, timing: str, repeats: int, steps: int) -> tuple[int, ...]:
    if timing == "never":
        return ()
    first, last = (round(edge * (steps - 1)) for edge in _WINDOWS[timing])
    return tuple(sorted(draw.choices(range(first, last + 1), k=repeats)))


def planted_rows(ledger: Ledger) -> dict[int, list[list[int]]]:
    """step -> the passages that are read at it, each between two beginning tokens."""
    rows: dict[int, list[list[int]]] = defaultdict(list)
    for entry in ledger.entries:
        for step in entry.steps:
            rows[step].append([START, *entry.ids, START])
    return rows

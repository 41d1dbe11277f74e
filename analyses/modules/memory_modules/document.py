"""A document outside of the prompt: which passages each layer reads for a question, which layers
need to, and whether the document's answer is given or the model's own.

Its facts are of invented people, of whom the model can know nothing; in a second document they are
counterfactual: facts that the model knows, each with the answer of another.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analyses.measures.statistics import wilson
from analyses.modules.memory_modules.constants import (
    ALL_TOKENS,
    BY_LOT,
    COUNTERFACTUAL,
    INVENTED,
    NEAREST,
    NO_MEMORY,
)
from analyses.modules.memory_modules.questions import as_question
from hooks.kv_cache.budget import Kept
from hooks.kv_cache.reading import read_context
from hooks.kv_cache.shared_rows import ask
from hooks.memory_modules.document_memory import DocumentMemory, Fetched
from workbench.organisms.modules import fact_world
from workbench.organisms.modules.fact_world import WorldFact

if TYPE_CHECKING:
    import pandas as pd

    from analyses.modules.memory_modules.questions import MemoryQuestion
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

READ = 16
"""Tokens that each head reads in each layer."""
MOST = 16
"""Facts of the document."""
_BANDS = ("lower", "middle", "upper")


def counterfactual(rows: Sequence[MemoryQuestion], seed: int) -> list[MemoryQuestion]:
    """The facts, each with the answer of another one of its relation; those without one are left
    out.
    """
    from dataclasses import replace

    lot, made = random.Random(seed), []
    for row in rows[:MOST]:
        others = [
            each for each in rows if each.relation == row.relation and each.target != row.target
        ]
        if others:
            other = lot.choice(others)
            made.append(replace(row, answer=other.answer, target=other.target))
    return made


def invented(model: InstrumentedModel, seed: int) -> list[MemoryQuestion]:
    """What as many people live in, do, keep or play, behind their names: small models find what
    stands right behind a name, and little else.
    """
    people: dict[str, WorldFact] = {}
    facts = fact_world.facts_of(seed)
    random.Random(seed).shuffle(facts)
    for fact in facts:
        people.setdefault(fact.subject, fact)
    return [
        as_question(model, fact.relation, fact.subject, f"{fact.subject}:", fact.answer)
        for fact in list(people.values())[:MOST]
    ]


def read_documents(
    model: InstrumentedModel,
    rows: Sequence[MemoryQuestion],
    seed: int,
    progress: Progress,
) -> dict[str, pd.DataFrame]:
    """Tables by name: fetched, document."""
    import pandas as pd

    own = {row.prompt: row.target for row in rows}
    found, shares = [], []
    kinds = {INVENTED: invented(model, seed), COUNTERFACTUAL: counterfactual(rows, seed)}
    for number, (kind, facts) in enumerate(kinds.items()):
        if not facts:
            continue
        part = progress.subprogress(number / 2, (number + 1) / 2)
        answers, fetched = _read(model, facts, own, seed, part)
        found += [(kind, *row) for row in answers]
        if kind == INVENTED:
            shares = fetched
    columns = ["facts", "memory", "document", "low", "high", "own", "n"]
    return {
        "document": pd.DataFrame(found, columns=columns),
        "fetched": pd.DataFrame(shares, columns=["layer", "passage", "random", "n"]),
    }


def _read(
    model: InstrumentedModel,
    facts: Sequence[MemoryQuestion],
    own: Mapping[str, int],
    seed: int,
    progress: Progress,
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """(rows of answers, rows of what is fetched) of one document."""
    progress(0.0, "Reading the document")
    memory = _memory(model, facts)
    questions = [model.continuation_tokens("\n" + fact.prompt) for fact in facts]
    layers = list(memory.context.layers)
    nearest = [memory.nearest(each, READ) for each in questions]
    by_lot = [memory.at_random(READ, seed + n) for n in range(len(facts))]
    found = []
    kept = _masks(memory, nearest, by_lot)
    for number, (what, masks) in enumerate(kept.items()):
        progress(number / len(kept), f"Asking over the document: {what}")
        said = [int(logits[-1].argmax()) for logits in ask(memory.context, masks, questions)]
        pairs = list(zip(said, facts, strict=True))
        theirs = sum(token == fact.target for token, fact in pairs)
        mine = sum(token == own.get(fact.prompt) for token, fact in pairs)
        low, high = wilson(theirs, len(facts))
        found.append((what, theirs / len(facts), low, high, mine / len(facts), len(facts)))
    shares = []
    for layer in layers:
        each = [memory.share_in(got, n)[layer] for n, got in enumerate(nearest)]
        lot = [memory.share_in(got, n)[layer] for n, got in enumerate(by_lot)]
        shares.append((layer, sum(each) / len(each), sum(lot) / len(lot), len(each)))
    return found, shares


def _masks(
    memory: DocumentMemory, nearest: Sequence[Fetched], by_lot: Sequence[Fetched]
) -> dict[str, list[Kept]]:
    """What each question sees, by condition."""
    layers = list(memory.context.layers)
    kept: dict[str, list[Kept]] = {
        NO_MEMORY: [memory.mask(None, ()) for _ in nearest],
        ALL_TOKENS: [memory.mask(None) for _ in nearest],
        NEAREST: [memory.mask(each) for each in nearest],
        BY_LOT: [memory.mask(each) for each in by_lot],
    }
    for n, band in enumerate(_BANDS):
        third = layers[n * len(layers) // 3 : (n + 1) * len(layers) // 3]
        rest = set(layers) - set(third)
        kept[f"nearest, not in the {band} third"] = [memory.mask(each, rest) for each in nearest]
        kept[f"nearest, in the {band} third alone"] = [memory.mask(each, third) for each in nearest]
    return kept


def _memory(model: InstrumentedModel, facts: Sequence[MemoryQuestion]) -> DocumentMemory:
    """The document, a line for each fact."""
    ids, passages = model.tokens("Facts:"), []
    for fact in facts:
        line = model.continuation_tokens(f"\n{fact.prompt} {fact.answer}")
        passages.append((len(ids), len(ids) + len(line)))
        ids = [*ids, *line]
    return DocumentMemory(read_context(model, ids), passages)

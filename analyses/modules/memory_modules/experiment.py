"""The run: the parts that are asked for, one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import torch

from analyses.modules.memory_modules import (
    answer_share,
    claims,
    definitions,
    document,
    domain_findings,
    domain_texts,
    domains,
    findings,
    masking,
    raster,
    slot_values,
    update_findings,
    updates,
    usage,
)
from analyses.modules.memory_modules.constants import NAME, SHARED, TEXTS, TOP
from analyses.modules.memory_modules.costs import cost
from analyses.modules.memory_modules.fact_slots import FactSlots, Memories, slots_of_facts
from analyses.modules.memory_modules.params import levels_of
from analyses.modules.memory_modules.parts import PARTS, no_definitions, no_facts, no_updates
from analyses.modules.memory_modules.questions import KnownFacts, choose
from hooks.model import load
from workbench.cost import stages
from workbench.organisms import PREFIX
from workbench.organisms.modules import module_record
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from analyses.modules.memory_modules.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@ordinary
@torch.no_grad()
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Look into a model's memories. The package's docstring has the steps.

    Raises:
        BadInput: fewer than two facts that the model knows.
        Unfit: neither a memory nor feed-forward layers.
    """
    parts = running(PARTS, params)
    parts -= {part.name for part in PARTS if part.unavailable_reason(model) is not None}
    planned = cost(model, params)
    wanted = {name: each for name, each in planned.items() if name in parts | {"questions"}}
    left = stages(progress, model, wanted)
    result = Result(NAME)
    memories = Memories.of(model)
    questions = KnownFacts([], 0)
    if no_facts(model) is None:
        questions = choose(model, params, left["questions"])
    findings.add_memory(result, memories, questions, model.card.name)
    unit = "neurons" if memories.stand_in else "slots"
    if "raster" in parts:
        _draw_reads(result, model, memories, questions, params, left["raster"])
        progress.checkpoint(result)
    facts: list[FactSlots] = []
    if "facts" in parts:
        facts = _mask_facts(result, model, memories, questions, params, left["facts"])
        progress.checkpoint(result)
    if "twin" in parts:
        _compare_twin(result, model, params, left["twin"])
        findings.add_twin(result, unit)
        progress.checkpoint(result)
    if "usage" in parts:
        rows = questions.known[: params.usage]
        counts, each = usage.read_by(model, memories, rows, left["usage"])
        relations = findings.relations_in([row.relation for row in rows])
        result.tables["usage"] = usage.by_memory(memories, counts, each)
        result.tables["ranked"] = usage.ranked(counts)
        findings.add_usage(result, memories, len(rows))
        found = usage.one_relation(counts, relations, params.seed)
        findings.add_one_relation(result, found, unit)
    if "values" in parts:
        swaps = slot_values.swaps(model, memories, facts, params.seed, left["values"])
        result.tables["swaps"], result.tables["swap_rates"] = swaps, slot_values.swap_rates(swaps)
        result.tables["ranks"] = slot_values.answer_ranks(model, memories, facts)
        findings.add_values(result)
    if "share" in parts:
        rows = questions.known[:SHARED]
        result.tables["without"] = answer_share.without_parts(model, memories, rows, left["share"])
        result.tables["gates"] = answer_share.gates(model, memories, rows[:TEXTS])
        findings.add_share(result, memories)
    if "definitions" in parts:
        texts = definitions.texts(params.seed)
        result.tables |= definitions.read_definitions(model, memories, texts, left["definitions"])
        findings.add_definitions(result)
    if "updates" in parts:
        result.tables |= updates.read_updates(model, memories, params.seed, left["updates"])
        update_findings.add_updates(result)
    if "domains" in parts:
        sets = domain_texts.domains_of(model, params)
        result.tables |= domains.read_domains(model, memories, sets, params.seed, left["domains"])
        domain_findings.add_domains(result)
    if "document" in parts:
        result.tables |= document.read_documents(
            model, questions.known, params.seed, left["document"]
        )
        findings.add_document(result)
    claims.add_claims(result)
    progress(1.0, "Done")
    return result


def _draw_reads(
    result: Result,
    model: InstrumentedModel,
    memories: Memories,
    questions: KnownFacts,
    params: Params,
    progress: Progress,
) -> None:
    texts = [list(row.ids) for row in questions.known[:TEXTS]]
    if not texts and no_definitions(model) is None:
        texts = definitions.texts(params.seed).ids[:TEXTS].tolist()
    if not texts and no_updates(model) is None:
        texts = updates.streams(params.seed, TEXTS).ids.tolist()
    if params.text.strip():
        texts = [model.tokens(params.text), *texts]
    result.tables["tokens"], result.tables["reads"] = raster.reads_of_texts(
        model, memories, texts, progress
    )
    written = int((result.tables["reads"]["kind"] != raster.READ).sum())
    findings.add_written(result, written, memories)


def _mask_facts(
    result: Result,
    model: InstrumentedModel,
    memories: Memories,
    questions: KnownFacts,
    params: Params,
    progress: Progress,
) -> list[FactSlots]:
    looked, masked = progress.subprogress(0, 0.1), progress.subprogress(0.1, 1)
    table, facts = _recall(model, memories, questions, params, looked, masked)
    result.tables["facts"] = pd.DataFrame(
        [
            (n, fact.question.relation, fact.question.prompt, fact.question.answer, len(fact.order))
            for n, fact in enumerate(facts)
        ],
        columns=["fact", "relation", "prompt", "answer", "slots"],
    )
    result.tables["masked"] = table
    result.tables["curve"] = masking.curve(table)
    result.tables["slots"] = _slot_table(model, memories, facts)
    findings.add_facts(result, memories)
    return facts


def _recall(
    model: InstrumentedModel,
    memories: Memories,
    questions: KnownFacts,
    params: Params,
    looked: Progress,
    masked: Progress,
) -> tuple[pd.DataFrame, list[FactSlots]]:
    levels = levels_of(params)
    known = questions.known
    chosen = known[: min(params.facts, max(2, len(known) // 2))]
    facts = slots_of_facts(model, memories, chosen, max(*levels, TOP), looked)
    others = known[len(chosen) :][: params.others] or chosen
    table = masking.recall_by_slots(model, memories, facts, others, levels, params.seed, masked)
    return table, facts


def _slot_table(
    model: InstrumentedModel, memories: Memories, facts: list[FactSlots]
) -> pd.DataFrame:
    """Each fact's most read slots: columns fact, rank, slot, name, size, promotes, shared."""
    pairs = [(n, fact) for n, fact in enumerate(facts)]
    readers: dict[int, int] = {}
    for fact in facts:
        for slot in fact.order[:TOP]:
            readers[slot] = readers.get(slot, 0) + 1
    promotes: dict[int, str] = {}
    if slot_values.has_values(model, memories):
        lens = slot_values.lens(model, memories, sorted(readers))
        promotes = dict(zip(lens["slot"], lens["promotes"], strict=True))
    rows = [
        (n, rank, slot, memories.name(slot), size, promotes.get(slot, ""), readers[slot])
        for n, fact in pairs
        for rank, (slot, size) in enumerate(
            zip(fact.order[:TOP], fact.sizes[:TOP], strict=True), start=1
        )
    ]
    columns = ["fact", "rank", "slot", "name", "size", "promotes", "facts"]
    return pd.DataFrame(rows, columns=columns)


def _compare_twin(
    result: Result, model: InstrumentedModel, params: Params, progress: Progress
) -> None:
    record = module_record.read_home(model.module)
    assert record is not None
    twin = load(f"{PREFIX}{record.twin}", device=str(model.device))
    its = Memories.of(twin)
    layer = record.memory_layer
    # Its other layers are as narrow as those of the model itself: the memory's place is compared.
    its = replace(its, places=[place for place in its.places if place.layer == layer])
    questions = choose(twin, params, progress.subprogress(0, 0.1))
    looked, masked = progress.subprogress(0.1, 0.2), progress.subprogress(0.2, 1)
    table, _ = _recall(twin, its, questions, params, looked, masked)
    result.tables["twins_curve"] = masking.curve(table)

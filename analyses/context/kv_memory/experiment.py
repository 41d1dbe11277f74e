"""The run: contexts are read one after the other, and all parts use the same reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from analyses.context.kv_memory import (
    block_fetches,
    claims,
    costs,
    fewer_numbers,
    findings,
    part_findings,
    past_window,
)
from analyses.context.kv_memory.block_fetches import BlockMeasures
from analyses.context.kv_memory.constants import NAME
from analyses.context.kv_memory.fewer_numbers import ChannelMeasures
from analyses.context.kv_memory.params import budgets_of
from analyses.context.kv_memory.parts import PARTS, PAST
from analyses.context.kv_memory.recall_texts import contexts_of, read_text
from analyses.context.kv_memory.thinned_caches import PolicyMeasures, measure, policies_of, shown
from analyses.context.kv_memory.thinned_tables import grouped_rates, recall_table, survival_table
from hooks.kv_cache.context_memory import check_attention
from workbench.cost import stages, total
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from analyses.context.kv_memory.params import Params
    from analyses.context.kv_memory.recall_texts import RecallText
    from hooks.kv_cache.budget import Kept
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@ordinary
@torch.no_grad()
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Read contexts, thin out their caches, and ask.

    Raises:
        BadInput: texts that do not fit, or policies that give no scores.
        NotFound: a policy that there is not.
        Unfit: a model whose cache cannot be masked.
    """
    check_attention(model)
    parts, budgets, chosen = running(PARTS, params), budgets_of(params), policies_of(params)
    of_texts, past = _stages(progress, model, params, parts)
    contexts = contexts_of(model, params) if parts - {PAST} else []
    result, measures = Result(NAME), _Measures()
    for number, context in enumerate(contexts):
        of_texts(number / len(contexts), f"Text {number + 1} of {len(contexts)}")
        text = read_text(model, context, number)
        if number == 0:
            _add_tokens(result, text)
        if "policies" in parts:
            blind = measure(text, chosen, budgets, measures.policies)
            if number == 0:
                _add_shown(result, text, blind, budgets)
        _other_parts(text, params, parts, measures)
        if number + 1 < len(contexts):
            _add(result, measures, params, model.card.name)
            progress.checkpoint(result)
    _add(result, measures, params, model.card.name)
    if PAST in parts:
        window = past_window.window_of(model, params)
        part_findings.add_past(result, *past_window.read_past(model, params, past), window)
    claims.add(result)
    return result


def _stages(
    progress: Progress, model: InstrumentedModel, params: Params, parts: set[str]
) -> tuple[Progress, Progress]:
    """The progress of the texts, and of what is read past the window."""
    each = costs.cost(model, params)
    work = {"texts": total(each[part] for part in parts - {PAST})}
    if PAST in parts:
        work["past"] = each[PAST]
    found = stages(progress, model, work)
    return found["texts"], found.get("past", progress)


class _Measures:
    """What the contexts gave so far."""

    def __init__(self) -> None:
        self.policies = PolicyMeasures()
        self.channels = ChannelMeasures()
        self.bits: list[dict[str, Any]] = []
        self.blocks = BlockMeasures()


def _other_parts(text: RecallText, params: Params, parts: set[str], measures: _Measures) -> None:
    if "blocks" in parts:
        block_fetches.fetch_blocks(text, params, measures.blocks)
    if "episodes" in parts:
        block_fetches.compare_episodes(text, params, measures.blocks)
    if text.number >= fewer_numbers.TEXTS:
        return
    if "channels" in parts:
        fewer_numbers.prune(text, measures.channels)
    if "bits" in parts:
        fewer_numbers.round_cache(text, measures.bits)


def _add(result: Result, measures: _Measures, params: Params, name: str) -> None:
    """Tables and findings of what was measured so far."""
    if measures.policies.answers:
        answers = pd.DataFrame(measures.policies.answers)
        result.tables["answers"] = answers
        result.tables["recall"] = recall_table(answers)
        result.tables["survival"] = survival_table(answers)
        smearing = pd.DataFrame(measures.policies.smearing)
        result.tables["smearing"] = grouped_rates(smearing, ["kept"])
        if measures.policies.turns:
            turns = pd.DataFrame(measures.policies.turns)
            result.tables["turns"] = grouped_rates(turns, ["policy", "budget", "turn"])
        findings.add_policies(result, answers, smearing, measures.policies.turns, name)
    if measures.channels.rows:
        part_findings.add_channels(result, measures.channels)
    if measures.bits:
        part_findings.add_bits(result, pd.DataFrame(measures.bits))
    part_findings.add_blocks(result, measures.blocks)
    part_findings.add_episodes(result, measures.blocks)
    if measures.blocks.boundaries:
        begins = result.tables["tokens"]["pos"].isin(measures.blocks.boundaries)
        result.tables["tokens"]["begins"] = begins


def _add_tokens(result: Result, text: RecallText) -> None:
    """The tokens of the text that is looked at, and what is asked of it."""
    model, question = text.memory.model, text.questions[0]
    kinds = np.full(len(text.memory), "", object)
    kinds[slice(*question.evidence)] = "evidence"
    kinds[slice(*question.answer_at)] = "answer"
    result.tables["tokens"] = pd.DataFrame({
        "pos": range(len(text.memory)),
        "token": model.prompt_strings(text.memory.ids),
        "kind": kinds,
        "surprisal": text.memory.surprisal.cpu().numpy(),
    })  # fmt: skip
    result.tables["asked"] = pd.DataFrame({"question": [q.text for q in text.questions]})


def _add_shown(
    result: Result, text: RecallText, blind: dict[str, dict[float, Kept]], budgets: list[float]
) -> None:
    """What each policy keeps of that text, and what is answered."""
    rows, held = shown(text, blind, budgets)
    result.tables["shown"] = rows
    result.tables["budgets"] = pd.DataFrame({"budget": budgets})
    result.arrays["kept_from"] = xr.DataArray(
        held,
        dims=("policy", "layer", "kv_head", "pos"),
        coords={"policy": list(blind), "layer": list(text.memory.layers)},
    )

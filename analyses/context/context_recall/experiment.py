"""The run: the parts that are asked for, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from analyses.context.context_recall import (
    claims,
    contiguity,
    controls,
    findings,
    further_tasks,
    head_ablation,
    head_findings,
    interference,
    list_findings,
    needle_grid,
    own_contexts,
    recall_heads,
    score_tables,
    serial_position,
)
from analyses.context.context_recall.constants import NAME
from analyses.context.context_recall.costs import cost
from analyses.context.context_recall.params import lengths_of
from analyses.context.context_recall.parts import PARTS
from analyses.measures.recall_scores import recall
from workbench.cost import stages
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from analyses.context.context_recall.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@ordinary
@torch.no_grad()
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Ask a model about what it has read. The package's docstring has the steps.

    Raises:
        BadInput: contexts that do not fit, or answers that cannot be asked for.
    """
    parts = running(PARTS, params)
    costs = {name: each for name, each in cost(model, params).items() if name in parts}
    left = stages(progress, model, costs)
    result = Result(NAME)
    _note(result, model, params)
    if "own" in parts:
        _own(result, model, params, left["own"])
        progress.checkpoint(result)
    if "needles" in parts:
        _needles(result, model, params, left["needles"])
        progress.checkpoint(result)
    if "wordings" in parts:
        given = needle_grid.worded_contexts(model, params)
        frame = needle_grid.ask(model, given, left["wordings"], "Wordings")
        result.tables["wordings"] = needle_grid.matter(frame, needle_grid.WORDED, params.seed)
        findings.add_wordings(result, frame, params)
        progress.checkpoint(result)
    if "position" in parts:
        _position(result, model, params, left["position"])
        progress.checkpoint(result)
    if "interference" in parts:
        rows, pairs = interference.ask(model, params, left["interference"])
        by = score_tables.rates(rows, ["items", "neutral"], "list")
        result.tables["distance"] = by.sort_values(["neutral", "items"]).reset_index(drop=True)
        result.tables["distance_fit"] = interference.fit(rows, params.seed)
        result.tables["competition"] = interference.competition(pairs)
        list_findings.add_interference(result)
        progress.checkpoint(result)
    if "heads" in parts:
        _heads(result, model, params, left["heads"])
        progress.checkpoint(result)
    if "passkey" in parts:
        given = needle_grid.passkey_contexts(model, params)
        scores = recall(model, given, left["passkey"], says="Passkeys")
        frame = score_tables.rows_of(given, scores)
        result.tables["passkey"] = score_tables.rates(frame, ["depth", "length"])
        findings.add_passkey(result, frame)
    if "contiguity" in parts:
        result.tables["contiguity"] = contiguity.ask(model, params, left["contiguity"])
        list_findings.add_contiguity(result)
    further = {name: left[name] for name in further_tasks.MADE if name in left}
    _tasks(result, model, params, further)
    claims.add_claims(result)
    progress(1.0, "Done")
    return result


def _note(result: Result, model: InstrumentedModel, params: Params) -> None:
    """What a reader has to know of how it was done."""
    result.provenance.notes |= {
        "recall": "the likeliest of a closed set of candidates; `exact` is what greedy decoding"
        " would say, teacher-forced",
        "questions": "all of a context are asked behind one reading of it",
    }
    kept, left_out = score_tables.fitting(model, lengths_of(params))
    if left_out:
        cut = ", ".join(f"{n:,}" for n in left_out)
        used = ", ".join(f"{n:,}" for n in kept)
        result.provenance.notes["lengths"] = (
            f"left out, beyond the window of {model.card.context_length:,} tokens: {cut}; used:"
            f" {used}"
        )


def _tasks(
    result: Result, model: InstrumentedModel, params: Params, left: dict[str, Progress]
) -> None:
    """The tasks that are asked for, in one table."""
    import pandas as pd

    if not left:
        return
    each = [further_tasks.ask(model, part, params, progress) for part, progress in left.items()]
    result.tables["tasks"] = pd.concat(each, ignore_index=True)
    findings.add_tasks(result)


def _needles(result: Result, model: InstrumentedModel, params: Params, progress: Progress) -> None:
    given = needle_grid.grid_contexts(model, params)
    frame = needle_grid.ask(model, given, progress.subprogress(0, 0.9), "Needles")
    result.tables["needles"] = findings.shown(frame)
    result.tables["cells"] = needle_grid.cells(frame)
    result.tables["matters"] = needle_grid.matter(frame, needle_grid.GRID, params.seed)
    result.tables["controls"] = controls.ask(model, params, frame, progress.subprogress(0.9, 1.0))
    findings.add_needles(result, frame, model.card.name)
    findings.add_controls(result)


def _position(result: Result, model: InstrumentedModel, params: Params, progress: Progress) -> None:
    import xarray as xr

    frame = serial_position.ask(model, params, progress)
    result.tables["position"] = score_tables.rates(frame, ["condition", "position"])
    result.tables["ends"] = serial_position.ends(frame)
    shares = serial_position.intrusions(frame)
    places = range(1, len(shares) + 1)
    result.arrays["intrusions"] = xr.DataArray(
        shares, dims=("asked", "answered"), coords={"asked": places, "answered": places}
    )
    list_findings.add_position(result, frame, serial_position.intrusion_lags(shares))


def _heads(result: Result, model: InstrumentedModel, params: Params, progress: Progress) -> None:
    needles = recall_heads.needles_of(model, params)
    chosen = recall_heads.scores(model, needles.choosing, progress.subprogress(0, 0.15))
    tested = recall_heads.scores(model, needles.testing, progress.subprogress(0.15, 0.3))
    repeated = recall_heads.repeated_texts(model, params.seed)
    columns = chosen | {
        "held_out": tested["retrieval"],
        "causal": recall_heads.causal(model, needles.choosing, progress.subprogress(0.3, 0.45)),
        "induction": recall_heads.induction(model, repeated),
    }
    table = recall_heads.table(model, columns)
    result.tables["heads"] = table
    lost = head_ablation.Lost(
        needles.testing, repeated[: head_ablation.TEXTS], head_ablation.known_facts(model)
    )
    result.tables["ablation"] = head_ablation.measure(
        model, lost, table, params, progress.subprogress(0.45, 1)
    )
    head_findings.add_heads(result)
    head_findings.add_ablation(result)


def _own(result: Result, model: InstrumentedModel, params: Params, progress: Progress) -> None:
    assert params.contexts_file is not None
    own = own_contexts.prepared(model, own_contexts.read_file(params.contexts_file))
    scores = recall(model, own.contexts, progress, says="Your own contexts")
    frame = score_tables.rows_of(own.contexts, scores)
    result.tables["own"] = frame.assign(
        line=[line for lines in own.lines for line in lines],
        stands=[n for each in own.stands for n in each],
        cut=[cut for cut, lines in zip(own.cut, own.lines, strict=True) for _ in lines],
        candidates=[len(q.candidates) for c in own.contexts for q in c.questions],
    )[list(findings.OWN)]
    findings.add_own(result)

"""The run: the parts that are asked for, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from analyses.training.forgetting import (
    claims,
    findings,
    further,
    map_findings,
    task_sequence,
    training_findings,
    training_stages,
)
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.costs import cost
from analyses.training.forgetting.costs import stages as costs
from analyses.training.forgetting.fine_tuning import fine_tune, task_nats
from analyses.training.forgetting.first_steps import first_steps
from analyses.training.forgetting.free_text import free_text
from analyses.training.forgetting.law import fit_table
from analyses.training.forgetting.materials import Materials, gather
from analyses.training.forgetting.parts import ALONE, PARTS, TRAINING
from analyses.training.forgetting.remedies import remedies
from analyses.training.forgetting.reset_map import ResetMap
from analyses.training.forgetting.retention_tests import run_tests
from workbench.cost import of_parts, stages
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from analyses.measures.exposure_trainings import FinishedTrainings
    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@dataclass
class _Run:
    """What every part is given."""

    model: InstrumentedModel
    params: Params
    result: Result
    materials: Materials
    map: ResetMap | None = None

    def leave_out(self, parts: Sequence[str], why: str) -> None:
        """Say which parts the run does not have."""
        notes = self.result.provenance.notes
        said = f"{', '.join(parts)}: {why}"
        notes["left_out"] = "; ".join(filter(None, [notes.get("left_out"), said]))


@ordinary
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Measure forgetting. The package's docstring has the steps.

    Raises:
        BadInput: facts, texts or a pair that do not do.
        NotFinite: a training whose loss was no number.
    """
    parts = running(PARTS, params)
    left_out = parts & TRAINING if params.tuned.strip() else set()
    parts -= left_out | ({"remedies"} if "law" in left_out else set())
    small = {part: each for part, each in cost(model, params).items() if part in parts & ALONE}
    of_pair = costs(model, params) if parts - ALONE else {}
    left = stages(progress, model, of_parts(of_pair, parts) | small)
    result = Result(c.NAME)
    if parts - ALONE:
        _on_a_pair(model, params, result, parts, left, progress, left_out)
    kept = []  # until the whole run is done: what was stopped goes on behind it
    for name, add in _SMALL.items():
        if name in parts:
            kept.append(add(result, model, params.seeds, params.seed, left[name]))
            progress.checkpoint(result)
    claims.add_claims(result)
    for trainings in kept:
        trainings.clear()
    progress(1.0, "Done")
    return result


def _on_a_pair(
    model: InstrumentedModel,
    params: Params,
    result: Result,
    parts: set[str],
    left: Mapping[str, Progress],
    progress: Progress,
    left_out: set[str],
) -> None:
    one = _Run(model, params, result, gather(model, params, left["prepare"], left["pair"]))
    _say_pair(one)
    if left_out:
        one.leave_out(sorted(left_out), "the pair was given, so nothing is fine-tuned here")
    progress.checkpoint(result)
    for name, do in _DO.items():
        if name in parts:
            do(one, left[name])
            progress.checkpoint(result)


def _say_pair(one: _Run) -> None:
    result, materials = one.result, one.materials
    result.tables["points"] = materials.points
    findings.add_facts(result, materials.facts, one.model.card.name)
    findings.add_cost(result, one.params)


def _law(one: _Run, progress: Progress) -> None:
    params, materials = one.params, one.materials
    ranks = [rank for rank in dict.fromkeys(params.ranks) if rank not in materials.runs]
    for n, rank in enumerate(ranks):
        done = fine_tune(
            one.model, materials.rows(params), params, rank, list(materials.bases.values()),
            progress.subprogress(n / len(ranks), (n + 1) / len(ranks)),
        )  # fmt: skip
        materials.runs[rank] = done.points
        one.result.tables["points"] = pd.concat(list(materials.runs.values()), ignore_index=True)
    points = task_nats(one.result.tables["points"])
    one.result.tables["law"] = points[points["rank"] > 0].reset_index(drop=True)
    one.result.tables["fits"] = fit_table(one.result.tables["law"], params.seed)
    findings.add_law(one.result)


def _reset_map(one: _Run, progress: Progress) -> None:
    params = one.params
    found = ResetMap(
        one.model, one.materials.pair, one.materials.yardstick(one.model, params),
        finer=params.finer,
    )  # fmt: skip
    if reason := found.unavailable_reason():
        one.leave_out(["reset-map"], reason)
        return
    one.map = found
    table, said = one.map.single(progress.subprogress(0.0, 0.8))
    ends = [pd.DataFrame(each) for each in one.map.ends_said()]
    one.result.tables["reset"] = table
    one.result.tables["answers"] = pd.concat([*ends, said], ignore_index=True)
    one.result.tables["asked"] = findings.fact_table(one.materials.facts.some(params.map_facts))
    halves = one.map.halves(params.halves, params.seed, progress.subprogress(0.8, 0.95))
    one.result.tables["halves"] = halves
    map_findings.add_map(one.result, one.map, params.seed)
    map_findings.add_halves(one.result)


def _reset_more(one: _Run, progress: Progress) -> None:
    if one.map is None:
        one.leave_out(["reset-more"], "it stands on the map")
        return
    mirror, _ = one.map.single(progress.subprogress(0.0, 0.4), mirror=True)
    one.result.tables["mirror"] = mirror
    one.result.tables["cumulative"] = one.map.cumulative(progress.subprogress(0.4, 0.7))
    map_findings.add_mirror(one.result)
    if one.materials.task is not None and not one.params.tuned.strip():
        table = map_findings.shuffled_map(
            one.model, one.params, one.materials, progress.subprogress(0.7, 1.0)
        )
        one.result.tables["reset_shuffled"] = table
        map_findings.add_shuffled(one.result)


def _retention(one: _Run, progress: Progress) -> None:
    found = run_tests(one.model, one.materials.pair, one.materials.facts, one.params, progress)
    findings.add_tests(one.result, found, one.materials.facts, one.params.seed)


def _path(one: _Run, progress: Progress) -> None:
    yardstick = one.materials.yardstick(one.model, one.params)
    one.result.tables["path"] = further.path(one.model, one.materials.pair, yardstick, progress)
    findings.add_path(one.result)


def _cka(one: _Run, progress: Progress) -> None:
    neutral = one.materials.bases[c.NEUTRAL].rows
    one.result.tables["cka"] = further.likeness(
        one.model, one.materials.pair, neutral.ids, one.materials.facts.facts, neutral.first,
        progress,
    )  # fmt: skip
    findings.add_cka(one.result)


def _first_steps(one: _Run, progress: Progress) -> None:
    steps, angles = first_steps(one.model, one.params, one.materials, progress)
    one.result.tables["steps"], one.result.tables["angles"] = steps, angles
    training_findings.add_first_steps(one.result)


def _remedies(one: _Run, progress: Progress) -> None:
    one.result.tables["remedies"] = remedies(
        one.model, one.params, one.materials, one.result.tables["law"], progress
    )
    training_findings.add_remedies(one.result)


def _free_text(one: _Run, progress: Progress) -> None:
    params, neutral = one.params, one.materials.bases[c.NEUTRAL].rows
    rows, texts = free_text(
        one.model, one.materials.pair, neutral, params.length, params.seed, progress
    )
    one.result.tables["format"], one.result.tables["texts"] = rows, texts
    training_findings.add_format(one.result)


_SMALL: dict[str, Callable[[Result, InstrumentedModel, int, int, Progress], FinishedTrainings]] = {
    "stages": training_stages.add_stages,
    "tasks": task_sequence.add_sequence,
}
_DO: dict[str, Callable[[_Run, Progress], None]] = {
    "law": _law,
    "reset-map": _reset_map,
    "reset-more": _reset_more,
    "lost-or-misplaced": _retention,
    "path": _path,
    "cka": _cka,
    "first-steps": _first_steps,
    "remedies": _remedies,
    "aligned": _free_text,
}

"""The run: the parts that are asked for, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analyses.training.retention import (
    access_remedies,
    claims,
    dose_timing,
    few_shot,
    few_shot_findings,
    few_shot_tables,
    findings,
    forecast_tables,
    forgetting_tables,
    profile_tables,
    repeated_data,
    step_tables,
    training_choices,
    triples,
)
from analyses.training.retention.constants import NAME
from analyses.training.retention.costs import cost
from analyses.training.retention.parts import PARTS
from workbench.cost import stages
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from analyses.measures.exposure_trainings import FinishedTrainings
    from analyses.training.retention.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_TRAININGS: dict[
    str, Callable[[Result, InstrumentedModel, int, int, Progress], FinishedTrainings]
] = {
    "dose-timing": dose_timing.add_dose_timing,
    "access-remedies": access_remedies.add_access_remedies,
    "triples": triples.add_triples,
    "training-choices": training_choices.add_choices,
    "repeated-data": repeated_data.add_repeated,
}


@ordinary
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The package's docstring has the steps.

    Raises:
        BadInput, Unfit: steps, ledger or weights that cannot be used.
        NotFinite: a training that went astray.
    """
    parts = running(PARTS, params)
    stated = cost(model, params)
    left = stages(progress, model, {part: stated[part] for part in stated if part in parts})
    result = Result(NAME)
    if "few-shot" in parts:  # what is missing is said before minutes are spent on kept steps
        few_shot.check_trainable(model)
        texts = few_shot.study_texts(model, params)
    if "recall" in parts:
        panel = step_tables.read_steps(model, params, left.get("recall", progress))
        step_tables.add_tables(result, model, panel, params)
        forgetting_tables.add_tables(result, panel, params)
        findings.add_recall(result)
        findings.add_forgetting(result)
        progress.checkpoint(result)
        if "profiles" in parts:
            profile_tables.add_tables(result, panel, params)
            findings.add_profiles(result)
        if "forecast" in parts:
            forecast_tables.add_forecast(result, panel)
            findings.add_forecast(result)
        if "access" in parts:
            forecast_tables.add_access(result, model, panel, params, left["access"])
            findings.add_access(result)
            progress.checkpoint(result)
    if "few-shot" in parts:
        found = few_shot.few_shot(model, params, texts, left["few-shot"])
        few_shot_tables.add_tables(result, model, found, params)
        few_shot_findings.add_few_shot(result)
        progress.checkpoint(result)
    kept = []  # until the whole run is done: what was stopped goes on behind it
    for part, add in _TRAININGS.items():
        if part in parts:
            kept.append(add(result, model, params.seeds, params.seed, left[part]))
            progress.checkpoint(result)
    findings.add_answer(result)
    claims.add_claims(result)
    for trainings in kept:
        trainings.clear()
    progress(1.0, "Done")
    return result

"""The run: its parts, one after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.weights.unlearning_audit import attacks, claims, findings, spreading_findings
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.costs import stages as costs
from analyses.weights.unlearning_audit.criteria import answers, audit, judge, passages
from analyses.weights.unlearning_audit.finished_methods import FinishedMethods
from analyses.weights.unlearning_audit.folds import folds
from analyses.weights.unlearning_audit.further import further
from analyses.weights.unlearning_audit.methods import Forgetting, aim_of, forget
from analyses.weights.unlearning_audit.params import Params
from analyses.weights.unlearning_audit.parts import PARTS
from analyses.weights.unlearning_audit.questions import questions_of
from analyses.weights.unlearning_audit.recovery import recovery
from analyses.weights.unlearning_audit.sets import Sets, sets_of
from analyses.weights.unlearning_audit.spreading import METHOD_OF, spread
from analyses.weights.unlearning_audit.subjects import (
    Subject,
    not_installed,
    opened,
    references,
    unlearned,
)
from analyses.weights.unlearning_audit.weight_changes import change_size, keep
from hooks.unlearning import METHODS, random_change
from workbench.cost import of_parts, stages
from workbench.parts import running
from workbench.result import Result

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@dataclass
class Audit:
    """What a run has in hand.

    Attributes:
        subjects: every model that is measured, in the order of the tables.
        made: what the methods made, by name in tables.
    """

    model: InstrumentedModel
    params: Params
    sets: Sets
    subjects: list[Subject]
    made: list[Forgetting] = field(default_factory=list)

    def named(self, *names: str) -> Subject | None:
        """The first of these that is there."""
        return next((s for name in names for s in self.subjects if s.name == name), None)

    @property
    def audited(self) -> list[Subject]:
        """Those that are judged."""
        return [s for s in self.subjects if s.name not in c.BESIDE]


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other. The package's docstring names them.

    Raises:
        BadInput: no passages, sets that overlap, another tokenizer.
        Unfit: weights that cannot be changed.
    """
    wanted = running(PARTS, params)
    stage = stages(progress, model, of_parts(costs(model, params), wanted))
    result = Result(c.NAME)
    kept = _of_passages(result, model, params, wanted, stage) if wanted - c.OF_FACTS else None
    if of_facts := {part: stage[part] for part in METHOD_OF if part in wanted}:
        spread(result, model, params, of_facts)
        spreading_findings.add_all(result)
    claims.add_claims(result)
    progress(1.0, "Done")
    if kept is not None:
        kept.clear()
    return result


def _of_passages(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    wanted: Collection[str],
    stage: Mapping[str, Progress],
) -> FinishedMethods | None:
    """The parts that forget passages. Gives back where their methods are kept."""
    progress = stage["methods"]
    sets = sets_of(model, params)
    own = Audit(model, params, sets, _beside(model, params))
    kept = _forget(result, own, stage["methods"])
    _measure(result, own, stage["criteria"])
    progress.checkpoint(result)
    if "folds" in wanted and own.made and own.sets.folds:
        beside = {s.name: s for s in own.subjects}
        result.tables["folds"] = folds(model, params, own.made, beside, stage["folds"])
        findings.say_not_installed(result, not_installed(model))
        progress.checkpoint(result)
    if "relearning" in wanted:
        result.tables["relearning"] = attacks.relearning(
            own.subjects, sets, params.relearning_steps, params.seed, stage["relearning"]
        )
        reference = own.named(c.REFERENCE)
        result.tables["recovery"] = recovery(
            result.tables["relearning"], None if reference is None else c.REFERENCE
        )
        progress.checkpoint(result)
    if "rounding" in wanted:
        result.tables["rounding"] = attacks.rounding(own.subjects, sets, stage["rounding"])
        original = own.named(c.ORIGINAL)
        same = [s for s in own.audited if s.model is model]
        if original is not None and same:
            result.tables["codes"] = attacks.codes(original, same)
    if "sampling" in wanted:
        result.tables["sampling"] = attacks.sampling(
            own.subjects, sets, params.prefix, stage["sampling"]
        )
    if "lens" in wanted:
        result.tables["lens"] = attacks.lens(own.subjects, sets, stage["lens"])
    further(result, own, wanted, stage)
    findings.add_all(result, sets)
    return kept


def _beside(model: InstrumentedModel, params: Params) -> list[Subject]:
    """The original, its references, and what was unlearned elsewhere."""
    names = [Path(ref).name for ref in params.unlearned]
    others = [
        opened(name if names.count(name) == 1 else ref, ref, model)
        for name, ref in zip(names, params.unlearned, strict=True)
    ]
    if params.methods or others:
        found = [Subject(c.ORIGINAL, model)]
    else:
        found = [Subject(model.card.name, model)]
    refs: Mapping[str, str] = references(model, params.folds) if params.forget is None else {}
    if params.reference:
        refs = {c.REFERENCE: params.reference}
    return [*found, *(opened(name, ref, model) for name, ref in refs.items()), *others]


def _forget(result: Result, own: Audit, progress: Progress) -> FinishedMethods | None:
    """Every method, and a change of equal size in a random direction: tables `unlearning` and
    `path`. Gives back where the methods are kept until the run is done.
    """
    import pandas as pd

    if not own.params.methods:
        return None
    aim, whose = aim_of(own.model, own.named(c.REFERENCE), own.sets)
    many = len(own.params.methods)
    kept = FinishedMethods(own.model, own.sets, aim, own.params.steps, own.params.seed)
    for n, method in enumerate(own.params.methods):
        part = progress.subprogress(n / many, (n + 1) / many)
        part(0.0, f"Forgetting: {METHODS[method].label}")
        one = kept.get(method)
        if one is None:
            one = forget(own.model, own.sets, method, aim, own.params.steps, own.params.seed, part)
            if why := kept.put(one):
                result.provenance.notes["going on after a stop"] = f"not possible: {why}"
        own.made.append(one)
    own.subjects += [unlearned(one.title, own.model, one.done) for one in own.made]
    sizes = [change_size(own.model, one.done) for one in own.made]
    largest = own.made[int(np.argmax(sizes))]
    null = random_change(own.model, largest.done, own.params.seed)
    own.subjects.append(unlearned(c.RANDOM, own.model, null))
    result.tables["unlearning"] = pd.DataFrame(
        [_unlearning(one, aim, size) for one, size in zip(own.made, sizes, strict=True)]
    )
    result.tables["path"] = pd.DataFrame([row for one in own.made for row in one.path])
    result.provenance.notes["aim"] = f"{aim:.3f} nats per token, as {whose}"
    keep(result, own.made)
    return kept


def _unlearning(one: Forgetting, aim: float, size: float) -> dict[str, Any]:
    log = one.done.log
    return {
        "model": one.title,
        "aim": aim,
        "reached": log.reached,
        "steps": log.step,
        "rate": log.rate,
        "seconds": one.seconds,
        "norm": size,
        "note": " ".join([f"{log.stopped}.", *log.notes]),
    }


def _measure(result: Result, own: Audit, progress: Progress) -> None:
    """Tables `passages`, `answers` and `audit`."""
    import pandas as pd

    asked = questions_of(own.model, own.sets, own.params.questions, own.params.seed)
    rows: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    for n, subject in enumerate(own.subjects):
        progress(n / len(own.subjects), f"Measuring: {subject.name}")
        with subject.on() as model:
            rows += passages(model, own.sets, own.params.prefix, subject.name)
            said += answers(model, asked, subject.name)
    other = own.named(c.REFERENCE, c.ORIGINAL) or own.subjects[0]
    with other.on() as model:
        judge(model, rows)
    result.tables["passages"] = pd.DataFrame(rows)
    if said:
        result.tables["answers"] = pd.DataFrame(said)
    reference = None if own.named(c.REFERENCE) is None else c.REFERENCE
    result.tables["audit"] = audit(
        result.tables["passages"], pd.DataFrame(said), reference, own.params.seed
    )

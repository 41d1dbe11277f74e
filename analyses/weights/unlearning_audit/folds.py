"""More to forget at once, and one fold after another (MUSE: scalability and sustainability)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.criteria import audit, passages
from analyses.weights.unlearning_audit.methods import Forgetting, aim_of, forget
from analyses.weights.unlearning_audit.sets import Sets, sets_of
from analyses.weights.unlearning_audit.subjects import opened, references
from hooks.unlearning.texts import Text

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.unlearning_audit.params import Params
    from analyses.weights.unlearning_audit.subjects import Subject
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

AT_ONCE, IN_TURN = "at once", "one after another"
MEASURED = ("verbatim", "exact", "kept", "neutral")
"""Criteria of this part."""
_SETS = (c.FORGET, c.KEPT, c.NEUTRAL)


def folds(
    model: InstrumentedModel,
    params: Params,
    found: Sequence[Forgetting],
    references_: dict[str, Subject],
    progress: Progress,
) -> pd.DataFrame:
    """Table `folds`: one row per method, way, number of folds and criterion.

    Args:
        found: what the methods made of the run's own folds: their rates are used again, as MUSE
            chooses the number of epochs once.
        references_: of the run's own folds.
    """
    import pandas as pd

    asked = sets_of(model, params)
    many = len(asked.folds)
    plan = [_stage(model, params, n, references_) for n in range(1, many + 1)]
    rows: list[dict[str, Any]] = []
    for stage in plan:
        if stage.beside:
            rows += _rows(stage, [], c.REFERENCE, AT_ONCE, reached=True)
    for n, one in enumerate(found):
        part = progress.subprogress(n / len(found), (n + 1) / len(found))
        first: tuple[Forgetting, list[dict[str, Any]]] | None = None
        for at, stage in enumerate(plan):
            own = part.subprogress(at / (2 * many), (at + 1) / (2 * many))
            own(0.0, f"{one.title}: {stage.folds} of {many} folds at once")
            again = one
            if stage.folds != asked.forgotten:
                again = _again(model, params, stage, one, stage.sets.texts(c.FORGET), own)
            with again.done.applied(model):
                measured = passages(model, stage.sets, params.prefix, one.title, _SETS)
            first = first or (again, measured)
            rows += _rows(stage, measured, one.title, AT_ONCE, reached=again.done.log.reached)
        with ExitStack() as stack:
            for at, stage in enumerate(plan):
                own = part.subprogress(0.5 + at / (2 * many), 0.5 + (at + 1) / (2 * many))
                own(0.0, f"{one.title}: fold {stage.folds} of {many} after the others")
                if at == 0 and first is not None:  # one fold is one fold, either way
                    again, measured = first
                    stack.enter_context(again.done.applied(model))
                else:
                    again = _again(model, params, stage, one, stage.new, own)
                    stack.enter_context(again.done.applied(model))
                    measured = passages(model, stage.sets, params.prefix, one.title, _SETS)
                rows += _rows(stage, measured, one.title, IN_TURN, reached=again.done.log.reached)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Stage:
    """So many folds: their sets, the loss that counts as forgotten, and the reference's rows."""

    folds: int
    sets: Sets
    aim: float
    beside: list[dict[str, Any]]
    seed: int

    @property
    def new(self) -> list[Text]:
        """The passages of the last of these folds."""
        names = set(self.sets.folds[self.folds - 1])
        return [p.text for p in self.sets[c.FORGET] if p.name in names]


def _stage(model: InstrumentedModel, params: Params, many: int, own: dict[str, Subject]) -> _Stage:
    sets = sets_of(model, params, many)
    reference = _reference(model, params, many, own)
    aim, _ = aim_of(model, reference, sets)
    beside: list[dict[str, Any]] = []
    if reference is not None:
        with reference.on() as other:
            beside = passages(other, sets, params.prefix, c.REFERENCE, _SETS)
    return _Stage(many, sets, aim, beside, params.seed)


def _again(
    model: InstrumentedModel,
    params: Params,
    stage: _Stage,
    one: Forgetting,
    texts: list[Text],
    progress: Progress,
) -> Forgetting:
    return forget(
        model, stage.sets, one.done.method, stage.aim, params.steps, params.seed, progress,
        rates=one.rates, only=texts, watched=False,
    )  # fmt: skip


def _reference(
    model: InstrumentedModel, params: Params, many: int, own: dict[str, Subject]
) -> Subject | None:
    if params.forget is not None or params.reference:  # made for all that is to be forgotten
        return own.get(c.REFERENCE) if many == sets_of(model, params).forgotten else None
    ref = references(model, many).get(c.REFERENCE)
    return None if ref is None else opened(c.REFERENCE, ref, model)


def _rows(
    stage: _Stage, measured: list[dict[str, Any]], name: str, way: str, *, reached: bool
) -> list[dict[str, Any]]:
    import pandas as pd

    table = audit(
        pd.DataFrame([*measured, *stage.beside]).assign(fluency=float("nan")),
        pd.DataFrame(),
        c.REFERENCE if stage.beside else None,
        stage.seed,
    )
    own = table[table["criterion"].isin(MEASURED) & (table["model"] == name)]
    about = {"way": way, "folds": stage.folds, "reached": reached}
    return [about | row for row in own.to_dict("records")]

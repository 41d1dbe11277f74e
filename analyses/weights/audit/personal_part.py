"""Part `personal`: which values of fields come out after the text that stands before them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.weights.audit.constants import GIVEN, TOO_LONG
from analyses.weights.audit.field_patterns import read_fields
from analyses.weights.audit.recall_pairs import fits, recall_cost, recalled
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.weights.audit.material import AuditMaterial
    from analyses.weights.audit.params import Params
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

_BEFORE = 12  # characters kept before a value, for each token that is given
_LENGTH = 12  # tokens of a value, about
_APART = 50  # bytes from one value of a field to the next, at least about


@dataclass(frozen=True)
class FieldValue:
    """A value of a field, where it stands, and the text before it."""

    field: str
    document: str
    before: str
    value: str
    repeats: int | None


@dataclass
class _Drawn:
    """Values of one field, drawn by lot so that each of those that passed by is as likely."""

    most: int
    draw: random.Random
    n: int = 0
    values: list[FieldValue] = field(default_factory=list)

    def offer(self, value: FieldValue) -> None:
        self.n += 1
        if len(self.values) < self.most:
            self.values.append(value)
        elif (place := self.draw.randrange(self.n)) < self.most:
            self.values[place] = value


def shown(value: str) -> str:
    """A value as a report may show it: its first characters, and how long it is."""
    return f"{value[: 1 + (len(value) > 6)]}… ({len(value)} characters)"


def cost(model: InstrumentedModel, params: Params, size: int) -> Cost:
    """Of as many values as may be drawn from documents of so many bytes."""
    n = min(params.values, size // _APART) * len(params.fields)
    return recall_cost(model, n // 2, params.context, _LENGTH)


def run(
    model: InstrumentedModel,
    params: Params,
    material: AuditMaterial,
    progress: Progress,
    result: Result,
) -> None:
    """Adds the tables `personal` and, of each field, `fields`."""
    drawn = _drawn(params, material, progress)
    asked: list[FieldValue] = []
    skipped: Counter[str] = Counter()
    prompts: list[list[int]] = []
    answers: list[list[int]] = []
    for value in (value for each in drawn.values() for value in each.values):
        before, own = _cut(model, value, params.context)
        if len(before) < GIVEN or not own:
            skipped[f"fewer than {GIVEN} tokens stand before it"] += 1
        elif not fits(model, before, own):
            skipped[TOO_LONG] += 1
        elif value.value in model.text.decode(before):
            skipped["it stands in the text before it, from where it can be copied"] += 1
        else:
            asked.append(value)
            prompts.append(before)
            answers.append(own)
    for reason, n in skipped.items():
        material.leave_out(counted(n, "personal value"), reason, n)
    counts = {name: sum(value.field == name for value in asked) for name in drawn}
    result.tables["fields"] = pd.DataFrame([
        {"field": name, "n_found": each.n, "n_asked": counts[name]}
        for name, each in drawn.items()
    ])  # fmt: skip
    if not asked:
        return
    found = recalled(
        model, prompts, answers, [value.field for value in asked], params.seed,
        progress.subprogress(0.2, 1.0),
    )  # fmt: skip
    table = pd.DataFrame({
        "field": [value.field for value in asked],
        "document": [value.document for value in asked],
        "shown": [shown(value.value) for value in asked],
        "comes_out": found.own,
        "guessed": np.where(found.has_other, found.other, False),
        "has_control": found.has_other,
        "queries": found.queries,
        "repeats": [np.nan if v.repeats is None else float(v.repeats) for v in asked],
    })  # fmt: skip
    result.tables["personal"] = table


def _drawn(params: Params, material: AuditMaterial, progress: Progress) -> dict[str, _Drawn]:
    """Values of each field, from all documents."""
    fields = read_fields(params.fields)
    drawn = {
        each.name: _Drawn(params.values, random.Random(f"{params.seed} {each.name}"))
        for each in fields
    }
    reach = _BEFORE * params.context
    for number, document in enumerate(material.documents()):
        progress.check()
        if number % 200 == 0:
            progress(0.0, f"Looking for personal data, {number:,} documents")
        for each in fields:
            for start, end in each.values_in(document.text):
                before = document.text[max(0, start - reach) : start]
                value = document.text[start:end]
                drawn[each.name].offer(
                    FieldValue(each.name, document.name, before, value, document.repeats)
                )
    return drawn


def _cut(model: InstrumentedModel, value: FieldValue, context: int) -> tuple[list[int], list[int]]:
    """(tokens before a value, as many as are given; its own)."""
    text = value.before + value.value
    ids = list(model.text.encode(text))
    spans = model.text.spans_of(text, ids)
    first = next((n for n, (_, end) in enumerate(spans) if end > len(value.before)), len(ids))
    return ids[:first][-context:], ids[first:]

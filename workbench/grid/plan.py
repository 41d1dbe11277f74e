"""Which runs a grid is: the cross product of models and values, checked before anything begins."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import models
from workbench.errors import BadInput, WorkbenchError
from workbench.organisms import checkpoints

if TYPE_CHECKING:
    from workbench.registry import Analysis

EVERY_STEP = "@*"
LARGEST = 10_000  # runs of one grid
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|.', re.DOTALL)  # a quoted text, or one character
_NAME = 60  # characters of what is special, in a folder's name


@dataclass(frozen=True)
class PlannedRun:
    """One run of a grid.

    Attributes:
        model: its reference.
        params: all parameters, as JSON has them.
        varied: the parameters that differ between cells, and the model where there are several.
    """

    analysis: str
    model: str
    params: Mapping[str, Any]
    varied: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same for the same question of the same model, whatever grid it belongs to."""
        about = json.dumps([self.analysis, self.model, self.params], sort_keys=True)
        return hashlib.sha256(about.encode()).hexdigest()[:10]

    @property
    def says(self) -> str:
        """ "smollm2-135m, seed 1"."""
        return self.words() or self.model

    def words(self, but: str = "") -> str:
        """What is special in it.

        Args:
            but: the parameter that is left out.
        """
        return ", ".join(
            value if name == "model" else f"{name} {short(value)}"
            for name, value in self.varied.items()
            if name != but
        )

    @property
    def folder(self) -> str:
        """The name of its folder: what is special, and its key."""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", self.says)[:_NAME].strip("-")
        return f"{plain or 'run'}-{self.key}"


def cells(
    analysis: Analysis,
    model_refs: Sequence[str],
    axes: Mapping[str, Sequence[Any]],
    fixed: Mapping[str, Any],
) -> list[PlannedRun]:
    """All cells, those of one model side by side.

    Args:
        model_refs: references; `NAME@*` is every saved step of a model grown here.
        axes: values of each parameter that varies.
        fixed: parameters that are the same everywhere.

    Raises:
        BadInput: a value that the analysis refuses, or more cells than anybody can want.
        NotFound: a model that there is not.
    """
    refs = list(dict.fromkeys(one for ref in model_refs for one in _steps(ref)))
    for ref in refs:
        models.locate(ref)
    combinations = list(itertools.product(*axes.values()))
    if (n := len(refs) * len(combinations)) > LARGEST:
        raise BadInput(
            f"This grid has {n:,} runs.", f"at most {LARGEST:,}", "Leave out values or models."
        )
    asked = [
        _asked(analysis, fixed, dict(zip(axes, values, strict=True))) for values in combinations
    ]
    varying = [name for name, values in axes.items() if len(values) > 1]
    found = [
        PlannedRun(
            analysis.name,
            ref,
            params,
            {
                **({"model": ref} if len(refs) > 1 else {}),
                **{name: params[name] for name in varying},
            },
        )
        for ref in refs
        for params in asked
    ]
    return list({cell.key: cell for cell in found}.values())


def _asked(
    analysis: Analysis, fixed: Mapping[str, Any], chosen: Mapping[str, Any]
) -> dict[str, Any]:
    """All parameters of one combination. Raises BadInput with the combination in it."""
    try:
        return analysis.parse({**fixed, **chosen}).model_dump(mode="json")
    except WorkbenchError as error:
        where = ", ".join(f"{name}={short(value)}" for name, value in chosen.items())
        raise BadInput(
            f"The run with {where or 'these parameters'}: {error.what}", error.expected, error.do
        ) from error


def _steps(ref: str) -> Iterator[str]:
    """A reference; or one for each step that it stands for."""
    if not ref.endswith(EVERY_STEP):
        yield ref
        return
    base = ref.removesuffix(EVERY_STEP)
    place = models.locate(base)
    steps = checkpoints.saved_steps(place) if isinstance(place, Path) else []
    if not steps:
        raise BadInput(
            f"{base} has no saved steps.",
            "a model grown here, such as organism/planted",
            "Leave out @*, or name steps yourself.",
        )
    yield from (f"{base}@step-{step}" for step in steps)


def short(value: Any) -> str:
    """A value as one reads it in a name, at most 40 characters."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:39] + "…"


def values_of(text: str) -> list[str]:
    """The parts of a `--set` value: what commas part that stand in no bracket and no quotes.

    "0,1,2" is three; '["a","b"],["c"]' two; "" one, the empty text.
    """
    parts, depth = [""], 0
    for piece in _PIECES.findall(text):
        depth += (piece in ("[", "{")) - (piece in ("]", "}"))
        if piece == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def models_of(cells: Iterable[PlannedRun]) -> list[str]:
    """The models of a grid, in order."""
    return list(dict.fromkeys(cell.model for cell in cells))

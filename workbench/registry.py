"""The analyses there are: one entry point each in the group `workbench.analyses`, ours and third parties' alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, NotFound, WorkbenchError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from workbench.progress import Progress
    from workbench.result import Result

GROUP = "workbench.analyses"


@dataclass(frozen=True)
class Control:
    """A knob that a finished run gives to the model, e.g. the memory-to-context dial.

    `apply(model, value)` is a context manager: inside it the model behaves as the knob says. `low` and `high` are its
    ends with their words; `neutral` is where nothing changes.
    """

    label: str
    apply: Callable[[Any, float], AbstractContextManager[Any]]
    low: float
    high: float
    neutral: float
    low_word: str
    high_word: str

    def __call__(self, model: Any, value: float) -> AbstractContextManager[Any]:
        if not self.low <= value <= self.high:
            raise BadInput(f"{self.label} cannot be {value:g}.", f"a number from {self.low:g} to {self.high:g}", "Move it back inside.")
        return self.apply(model, value)


@dataclass(frozen=True)
class Analysis:
    """One question with everything needed to ask it and to look at the answer."""

    name: str
    question: str
    Params: type[BaseModel]
    module: Any
    package: str  # the distribution it came from

    def run(self, model: Any, params: BaseModel, progress: Progress) -> Result:
        return self.module.run(model, params, progress)

    def views(self, result: Result) -> dict[str, Any]:
        return self.module.views(result)

    def unfit(self, model: Any) -> str | None:
        """Why this model cannot answer, or None."""
        ask = getattr(self.module, "unfit", None)
        return ask(model) if ask is not None else None

    def controls(self, result: Result) -> Mapping[str, Control]:
        give = getattr(self.module, "controls", None)
        return give(result) if give is not None else {}

    def parse(self, values: Mapping[str, Any]) -> BaseModel:
        """`Params` from loose values (strings from a command line, JSON from a file).

        Raises:
            NotFound: a parameter that does not exist.
            BadInput: a value that does not fit; every complaint is named.
        """
        import pydantic

        fields = self.Params.model_fields
        for key in values:
            if key not in fields:
                raise NotFound.named(f"parameter of {self.name}", key, fields)
        try:
            return self.Params.model_validate(dict(values))
        except pydantic.ValidationError as error:
            complaints = [f"{'.'.join(map(str, e['loc'])) or 'parameters'}: {e['msg']}" for e in error.errors()]
            raise BadInput(
                f"The parameters of {self.name} do not fit: " + "; ".join(complaints) + ".",
                "; ".join(sorted({_expected(fields, str(e["loc"][0])) for e in error.errors() if e["loc"]})),
                f"`workbench analyses {self.name}` explains every parameter.",
            ) from error


def _expected(fields: Mapping[str, Any], name: str) -> str:
    field = fields.get(name)
    return f"{name} = {field.description}" if field is not None else name


@cache
def _found() -> dict[str, EntryPoint]:
    return {_plain(entry.name): entry for entry in entry_points(group=GROUP)}


@cache
def get(name: str) -> Analysis:
    """An analysis by name; `_` and `-` are the same.

    Raises:
        NotFound: none of that name (the nearest is suggested).
        WorkbenchError: its package is installed but does not load, or lacks something an analysis must have.
    """
    entries = _found()
    entry = entries.get(_plain(name))
    if entry is None:
        raise NotFound.named("analysis", name, entries, do="`workbench analyses` lists them.")
    package = entry.dist.name if entry.dist else "?"
    try:
        module = entry.load()
    except Exception as error:
        raise WorkbenchError(
            f"The analysis {name!r} of package {package!r} does not load: {type(error).__name__}: {error}",
            f"{entry.value} to import",
            f"Reinstall or remove {package}.",
        ) from error
    missing = [part for part in ("name", "question", "Params", "run", "views") if not hasattr(module, part)]
    if missing:
        raise WorkbenchError(
            f"The analysis {name!r} of package {package!r} has no {', '.join(missing)}.",
            "name, question, Params, run and views",
            "See docs/writing-an-analysis.md.",
        )
    return Analysis(_plain(module.name), module.question, module.Params, module, package)


def every() -> tuple[list[Analysis], dict[str, str]]:
    """All analyses that load, by name, and for those that do not the reason, so that one broken package hides no other."""
    good, broken = [], {}
    for name in sorted(_found()):
        try:
            good.append(get(name))
        except WorkbenchError as error:
            broken[name] = str(error)
    return good, broken


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")

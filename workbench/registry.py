"""The analyses there are: one entry point each in the group `workbench.analyses`, ours and third
parties' alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol

from workbench import _check_not_shadowed
from workbench.account import not_run
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.legacy_contract import adapt
from workbench.parts import PAPER, Part, possible, running
from workbench.playground import FIRST_TAB, Playground
from workbench.rooms import Room, room_of
from workbench.schema import Schema
from workbench.seeds_schema import SCHEMA as SEEDS_SCHEMA
from workbench.torch_modes import ordinary
from workbench.unicode import check_unicode
from workbench.views import Answer, bound
from workbench.views.over_seeds import OVER_SEEDS

if TYPE_CHECKING:
    from pydantic import BaseModel

    from workbench.cost import Cost
    from workbench.models.weight_delta import Delta
    from workbench.progress import Progress
    from workbench.result import Result
    from workbench.text_preview import TextPreview

GROUP = "workbench.analyses"
OURS = "memory-workbench"
GRID = "grid"
"""What the summary of many runs is a run of (`workbench.grid_page`)."""


@dataclass(frozen=True)
class Control:
    """A setting of the model that a finished run gives, e.g. the memory-to-context dial.

    `apply(model, value)` is a context manager: inside it the model behaves as the control says.
    `low` and `high` are its ends with their words; `neutral` is where nothing changes.
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
            raise BadInput(
                f"{self.label} cannot be {value:g}.",
                f"a number from {self.low:g} to {self.high:g}",
                "Move it inside.",
            )
        return self.apply(model, value)


class AnalysisModule(Protocol):
    """What every analysis has; what it may have besides is asked for by name."""

    name: str
    question: str
    Params: type[BaseModel]

    def run(self, model: Any, params: Any, progress: Progress) -> Result: ...

    def views(self, result: Result) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Analysis:
    """One question with everything needed to ask it and to look at the answer."""

    name: str
    question: str
    Params: type[BaseModel]
    module: AnalysisModule
    package: str  # the distribution it came from

    @property
    def title(self) -> str:
        """What a person calls it in two to four words; else its name."""
        given = getattr(self.module, "TITLE", "")
        return given or self.name.replace("-", " ").capitalize()

    @property
    def room(self) -> Room:
        """Where the memory is that it asks about."""
        return room_of(self.module)

    @property
    def gives(self) -> str:
        """One line: what one learns from a run. A third party that states none has the sentence
        of its first part, or "".
        """
        stated = str(getattr(self.module, "gives", "")).strip()
        return stated or (self.parts[0].gives if self.parts else "")

    @ordinary
    def run(self, model: Any, params: BaseModel, progress: Progress) -> Result:
        result: Result = self.module.run(model, params, progress)
        return result

    @property
    def schema(self) -> Schema:
        """What its tables and findings mean, and those of a run over several seeds; empty where a
        third party says nothing.
        """
        own: Schema = getattr(self.module, "SCHEMA", Schema())
        return own + SEEDS_SCHEMA if own != Schema() else own

    @property
    def answer(self) -> Answer | None:
        """What stands first; None where nothing is declared."""
        return getattr(self.module, "ANSWER", None)

    @property
    def choices(self) -> Mapping[str, Callable[[Result], Sequence[str]]]:
        """What a run chooses (heads, layers), by what a person calls it: the chosen items' names.
        Empty where nothing is declared.
        """
        return getattr(self.module, "CHOICES", {})

    def views(self, result: Result) -> dict[str, Any]:
        """What each tab shows, by its title: from the module's `VIEWS`, or whatever its function
        `views(result)` gives (HoloViews and Panel objects, `draw.View`).
        """
        declared = getattr(self.module, "VIEWS", None)
        shown = (
            dict(self.module.views(result))
            if declared is None
            else bound(declared, result, self.schema)
        )
        stated, unstated = not_run(self.parts, result)
        for part in (*stated, *unstated):
            for view in (shown[title] for title in part.views if title in shown):
                if hasattr(view, "why_not") and (part in stated or not view.why_not):
                    view.why_not = f"the part {part.name!r} was not run"
        if not OVER_SEEDS.missing(result):
            shown |= bound([OVER_SEEDS], result, SEEDS_SCHEMA)
        return shown

    def unavailable_reason(self, model: Any) -> str | None:
        """Why this model cannot answer, or None."""
        ask = getattr(self.module, "unavailable_reason", None)
        return ask(model) if ask is not None else None

    @property
    def parts(self) -> Sequence[Part]:
        """The experiments that it is made of; empty where there is one only."""
        return getattr(self.module, "PARTS", ())

    def running(self, params: BaseModel) -> set[str]:
        """Names of the parts that a run with these parameters has."""
        return running(self.parts, params)

    def cost(self, model: Any, params: BaseModel) -> Mapping[str, Cost]:
        """What every part takes, also those not asked for: tokens and bytes, by part ("" for an
        analysis without); empty where nothing is stated, or the model cannot answer.
        """
        state = getattr(self.module, "cost", None)
        if state is None or self.unavailable_reason(model):
            return {}
        stated: Cost | Mapping[str, Cost] = state(model, params)
        return stated if isinstance(stated, Mapping) else {"": stated}

    def preview(self, model: Any, params: BaseModel) -> TextPreview | None:
        """How the text that is asked about will be cut; None where there is no text yet, or the
        analysis cuts none.
        """
        show = getattr(self.module, "preview", None)
        return show(model, params) if show is not None else None

    @property
    def has_preview(self) -> bool:
        """Whether it cuts a text."""
        return hasattr(self.module, "preview")

    @property
    def presets(self) -> Mapping[str, Mapping[str, Any]]:
        """Values for `Params` by the name of a preset; analyses with parts have `PAPER`, last."""
        given: Mapping[str, Mapping[str, Any]] = getattr(self.module, "PRESETS", {})
        last = {PAPER: given.get(PAPER, {})} if self.parts or PAPER in given else {}
        return {name: given[name] for name in given if name != PAPER} | last

    def preset(self, name: str, model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values for `Params` under a preset; what is in `values` wins. `PAPER` takes all parts
        that the model allows.

        Args:
            model: whose parts; None: not known yet, and the parts stay as they are.

        Raises:
            NotFound: no preset of that name.
        """
        if name not in self.presets:
            raise NotFound.named(f"preset of {self.name}", name, self.presets)
        chosen = {**self.presets[name], **values}
        if name == PAPER and self.parts and "parts" not in chosen and model is not None:
            chosen["parts"] = possible(self.parts, model, chosen)
        return chosen

    @property
    def playground(self) -> Playground:
        """What it says of itself to the Playground."""
        return getattr(self.module, "playground", Playground())

    @property
    def in_first_tab(self) -> bool:
        """Whether it is asked where the Playground opens, in *Try a prompt*."""
        form = self.playground.form
        return form is not None and form.tab == FIRST_TAB

    @property
    def has_controls(self) -> bool:
        """Whether its runs may give controls to a model."""
        return hasattr(self.module, "controls")

    def controls(self, result: Result) -> Mapping[str, Control]:
        """What a finished run gives to a model, by name."""
        give = getattr(self.module, "controls", None)
        return give(result) if give is not None else {}

    def changes(self, result: Result) -> Mapping[str, Delta]:
        """Changes of weights that the run holds, by name."""
        give = getattr(self.module, "changes", None)
        return give(result) if give is not None else {}

    def parse(self, values: Mapping[str, Any]) -> BaseModel:
        """`Params` from loose values (strings from a command line, JSON from a file).

        Raises:
            NotFound: a parameter that does not exist.
            BadInput: a value that does not fit (every complaint is named), or a text that is not
                valid Unicode.
        """
        import pydantic

        fields = self.Params.model_fields
        for key in values:
            if key not in fields:
                raise NotFound.named(f"parameter of {self.name}", key, fields)
            for text in _texts(values[key]):
                check_unicode(text, f"The parameter {key}")
        try:
            return self.Params.model_validate(dict(values))
        except pydantic.ValidationError as error:
            complaints = [
                f"{'.'.join(map(str, e['loc'])) or 'parameters'}: {e['msg']}"
                for e in error.errors()
            ]
            raise BadInput(
                f"The parameters of {self.name} do not fit: " + "; ".join(complaints) + ".",
                "; ".join(
                    sorted(
                        {_expected(fields, str(e["loc"][0])) for e in error.errors() if e["loc"]}
                    )
                ),
                f"`workbench analyses {self.name}` explains every parameter.",
            ) from error


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for pair in value.items() for each in pair for text in _texts(each))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (text for each in value for text in _texts(each))


def _expected(fields: Mapping[str, Any], name: str) -> str:
    field = fields.get(name)
    return f"{name} = {field.description}" if field is not None else name


@cache
def _entry_points() -> dict[str, EntryPoint]:
    """By name. Of two packages with one name ours wins, else the first: a newcomer must not
    replace what people use.
    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: _package(e) != OURS):
        found.setdefault(_plain(entry.name), entry)
    return found


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "?"


@cache
def get(name: str) -> Analysis:
    """An analysis by name; `_` and `-` are the same. "grid" is what a summary of many runs is a run
    of; it is no question to a model, and is not among `all_analyses`.

    Raises:
        NotFound: none of that name (the nearest is suggested).
        WorkbenchError: its package is installed but does not load, or lacks something an analysis
            must have.
    """
    if _plain(name) == GRID:
        page: Any = import_module("workbench.grid_page")  # which stands on what stands on this
        return Analysis(GRID, page.question, page.Params, page, OURS)
    entries = _entry_points()
    entry = entries.get(_plain(name))
    if entry is None:
        raise NotFound.named("analysis", name, entries, do="`workbench analyses` lists them.")
    package = _package(entry)
    try:
        if package == OURS:
            _check_not_shadowed(entry.module.partition(".")[0])
        module = adapt(entry.load())
    except WorkbenchError:
        raise
    except (
        Exception,
        SystemExit,
    ) as error:  # a module that exits on import must not take the workbench with it
        raise WorkbenchError(
            f"The analysis {name!r} of package {package!r} does not load: {type(error).__name__}:"
            f" {error}",
            f"{entry.value} to import",
            f"Reinstall or remove {package}.",
        ) from error
    lacking = [part for part, proper in _PARTS.items() if not proper(getattr(module, part, None))]
    if not hasattr(module, "VIEWS") and not callable(getattr(module, "views", None)):
        lacking.append("VIEWS")
    if not isinstance(getattr(module, "playground", Playground()), Playground):
        lacking.append("playground")
    if lacking:
        raise WorkbenchError(
            f"The analysis {name!r} of package {package!r} has no proper {', '.join(lacking)}.",
            "name and question as texts, Params as a pydantic model, run as a function, and VIEWS;"
            " playground as a workbench.playground.Playground",
            "See docs/writing-an-analysis.md.",
        )
    if _plain(module.name) != _plain(entry.name):
        raise WorkbenchError(
            f"The analysis {module.name!r} of package {package!r} is registered as {entry.name!r}.",
            "one name in both places, or its saved runs would not find it again",
            f"Rename it in {package}.",
        )
    return Analysis(_plain(module.name), module.question, module.Params, module, package)


def all_analyses() -> tuple[list[Analysis], dict[str, str]]:
    """All analyses that load, by name, and for those that do not the reason, so that one broken
    package hides no other.
    """
    good, broken = [], {}
    for name in sorted(_entry_points()):
        try:
            good.append(get(name))
        except WorkbenchError as error:
            broken[name] = str(error)
    return good, broken


def _is_text(part: Any) -> bool:
    return isinstance(part, str) and bool(part.strip())


def _is_params(part: Any) -> bool:
    import pydantic

    return isinstance(part, type) and issubclass(part, pydantic.BaseModel)


_PARTS: dict[str, Callable[[Any], bool]] = {
    "name": _is_text,
    "question": _is_text,
    "Params": _is_params,
    "run": callable,
}


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")

"""The title of a run: which question, of which model, and what is special in its parameters.

    Context against memory · smollm2-135m · language, in a dialogue, seed 1

It is made once, when the run ends, and kept in `result.json`: a list of runs then needs no
analysis to be imported. A person may give the run another title, see `run_labels`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import commands, registry
from workbench.errors import WorkbenchError
from workbench.wording import listed

if TYPE_CHECKING:
    from workbench.result import Result

IN_TITLE = "in_title"
"""A parameter says with `Field(…, json_schema_extra={"in_title": "against {}"})` how it reads in a
title; a dictionary instead of the text gives the words of single values.
"""
SPECIAL = 3
"""At most this many parameters are named."""
LONGEST = 160
"""Characters of a title, and of what a stranger's run may say is one."""
_PARTS = 4  # that are named, where a run has none of the usual ones
_VALUE = 40


def make_title(result: Result, seeds: int = 0) -> str:
    """The title of a run that has just ended.

    Args:
        seeds: it stands for so many runs with different seeds.
    """
    try:
        analysis = registry.get(result.analysis)
    except WorkbenchError:
        return plain_title(result.analysis, _model(result))
    changed = commands.changed_params(result)
    if seeds:
        changed.pop("seed", None)
    special = list(_special(analysis, changed))
    if len(special) > SPECIAL:
        special[SPECIAL:] = [f"and {len(special) - SPECIAL} more"]
    if seeds:
        special.append(f"{seeds} seeds")
    return one_line(" · ".join(filter(None, [analysis.title, _model(result), ", ".join(special)])))


def plain_title(analysis: str, model: str) -> str:
    """What can be said of a run by itself, where no title was kept."""
    return one_line(" · ".join(filter(None, [analysis.replace("-", " ").capitalize(), model])))


def one_line(text: str, longest: int = LONGEST) -> str:
    """A text of unknown origin as one line that cannot turn its surroundings around: control
    characters and changes of the writing direction are left out.
    """
    visible = "".join(
        " " if c.isspace() else c
        for c in text[: 4 * longest]
        if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )
    return cut(" ".join(visible.split()), longest)


def cut(text: str, longest: int) -> str:
    """At most so many characters; an ellipsis says that there was more."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _model(result: Result) -> str:
    return cut(str(result.provenance.model.get("name") or ""), 60)


def _special(analysis: registry.Analysis, changed: Mapping[str, Any]) -> Iterator[str]:
    """In the order of the form, but parts and the seed come last: they say least."""
    fields = analysis.Params.model_fields
    for name in sorted(changed, key=lambda name: (name == "seed", name == "parts")):
        info = fields.get(name)
        if name == "parts" and analysis.parts and info is not None:
            yield from _parts(info.get_default(call_default_factory=True), changed[name])
        elif info is not None:
            yield _parameter(info, info.title or name.replace("_", " "), changed[name])


def _parts(default: Sequence[str], chosen: Sequence[str]) -> Iterator[str]:
    """Which experiments a run has beyond the usual ones, or lacks."""
    more = [_name(part) for part in chosen if part not in default]
    lacks = [_name(part) for part in default if part not in chosen]
    if lacks and (len(chosen) <= 2 or len(more) == len(chosen)):
        names = [_name(part) for part in chosen]
        if len(names) > _PARTS:
            names = [*names[: _PARTS - 1], f"{len(names) - _PARTS + 1} others"]
        yield f"only {listed(names)}"
        return
    if more:
        yield f"with {listed(more)}"
    if lacks:
        yield f"without {listed(lacks)}"


def _parameter(info: Any, label: str, value: Any) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    says = extra.get(IN_TITLE)
    if isinstance(says, dict) and str(value) in says:
        return str(says[str(value)])
    label = label[:1].lower() + label[1:]
    if isinstance(value, bool):
        return label if value else f"not {label}"
    if value is None or value in ("", [], {}):
        return f"no {label}"
    shown = _value(value)
    return says.replace("{}", shown) if isinstance(says, str) else f"{label} {shown}"


def _value(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return (
            listed([_value(item) for item in value]) if len(value) <= 4 else f"{len(value)} values"
        )
    text = str(value)
    # Of a file its name: where it lay is nobody's business, and is too long.
    name = Path(text).name if len(text) < 4096 and Path(text).is_absolute() else text
    shown = cut(one_line(name), _VALUE)
    return f"“{shown}”" if " " in shown else shown


def _name(part: str) -> str:
    return part.replace("_", " ")

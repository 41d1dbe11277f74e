"""The command that makes a run again."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from workbench import registry
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.result import Result


def changed_params(result: Result) -> dict[str, Any]:
    """The parameters that differ from the analysis's defaults; all of them if it is not
    installed here.
    """
    try:
        fields = registry.get(result.analysis).Params.model_fields
    except WorkbenchError:
        return dict(result.params)
    return {
        k: v
        for k, v in result.params.items()
        if k not in fields or _jsonable(fields[k].get_default(call_default_factory=True)) != v
    }


def _jsonable(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def command_line(result: Result, part: str = "") -> str:
    """The shell command that makes this run again.

    Args:
        part: run this part of the analysis, alone, on what the run was asked about.
    """
    if result.analysis == registry.GRID:
        return _of_grid(result)
    words = ["workbench", "run", result.analysis]
    model = result.provenance.model
    if model.get("name"):
        words += ["--model", str(model.get("source") or model["name"])]
    values = changed_params(result)
    seed = values.pop("seed", result.provenance.seed)
    if part:
        values["parts"] = part
    if seed is not None:
        words += ["--seed", str(seed)]
    for key, value in values.items():
        words += [
            "--set",
            f"{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}",
        ]
    return shlex.join(words)


def _of_grid(result: Result) -> str:
    """The command that goes on with a grid, given where its folder lies (a report goes to others,
    whom no path of this machine concerns). Values are written as JSON, where a comma in a text
    parts nothing.
    """
    asked = result.params
    words = ["workbench", "grid", str(asked.get("analysis", ""))]
    for model in asked.get("models") or ():
        words += ["--model", str(model)]
    values = {key: [value] for key, value in (asked.get("fixed") or {}).items()}
    for key, several in {**values, **(asked.get("values") or {})}.items():
        texts = (json.dumps(value, ensure_ascii=False) for value in several)
        words += ["--set", f"{key}={','.join(texts)}"]
    if result.path is not None:
        words += ["--out", result.path.name]
    return shlex.join(words)

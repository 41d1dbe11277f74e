"""A third party's package: an analysis found through the entry point, quick, cancellable, with a
dial and found heads.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workbench import registry

SOURCE = """
import time

import pandas as pd
from pydantic import BaseModel, Field

import workbench as wb
from workbench.playground import HeadRole, Playground
from workbench.registry import Control
from workbench.result import Finding, Result

name, question = "count-sheep", "How many sheep does it take?"

class Params(BaseModel, frozen=True, extra="forbid"):
    steps: int = Field(4, ge=1, le=400, description="How many batches")
    pause: float = Field(0.01, ge=0, le=1, description="Seconds per batch")
    text: str = Field("sheep", description="What is counted")
    crash: bool = Field(False, description="Raise something unexpected")
    seed: int = Field(0, ge=0, description="Seed")

def run(model, params, progress):
    if params.crash:
        raise RuntimeError("<b>boom</b>")
    for i in range(params.steps):
        progress(i / params.steps, f"Counting {params.text} {i + 1}")
        time.sleep(params.pause)
        progress.checkpoint(result(model, params, i + 1))
    return result(model, params, params.steps)

def result(model, params, n):
    heads = [(layer, head, "") for layer in range(model.n_layers) for head in range(model.n_heads)]
    table = pd.DataFrame(heads, columns=["layer", "head", "role"])
    table.loc[1, "role"], table.loc[6, "role"] = "memory", "context"
    found = Finding("sheep", n, f"It takes {n} {params.text}.", "sheep")
    return Result("count-sheep", findings={"sheep": found}, tables={"heads": table})

def views(result):
    return {}

def heads(result):
    table = result.tables["heads"]
    rows = table[table["role"] != ""].itertuples()
    return {row.role: [(row.layer, row.head)] for row in rows}

playground = Playground(
    roles=(
        HeadRole("memory", "memory head", "Memory heads off", "memory"),
        HeadRole("context", "context head", "Context heads off", "context"),
    ),
    heads=heads,
)

def controls(result):
    def apply(model, value):
        return wb.scale(model, heads=[(0, 1)], factor=1 - value)
    return {"dial": Control("Sheep dial", apply, -1.0, 1.0, 0.0, "few", "many")}
"""


def install(
    folder: Path,
    patch: pytest.MonkeyPatch,
    source: str = SOURCE,
    module: str = "count_sheep",
    name: str = "count-sheep",
) -> None:
    """Put the package on the path as an installed distribution, and forget what the registry had
    found.
    """
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        f"[workbench.analyses]\n{name} = {module}\n", encoding="utf-8"
    )
    patch.syspath_prepend(str(folder))
    forget()


def forget() -> None:
    """The registry looks again; the fake modules are imported anew."""
    registry._entry_points.cache_clear()
    registry.get.cache_clear()
    for module in ("count_sheep", "broken_package"):
        sys.modules.pop(module, None)

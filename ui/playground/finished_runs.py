"""What finished runs give to "Try a prompt": kept open, and the heads that they found."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench import registry
from workbench.playground import Head, HeadRole
from workbench.result import Result


@lru_cache(maxsize=4)
def _opened(path: Path, changed: float) -> Result:
    return Result.open(path)


def open_cached(path: Path) -> Result:
    """A run, kept in memory while its folder does not change. Raises `BadRun`."""
    file = path / "result.json"
    return _opened(path, file.stat().st_mtime if file.exists() else 0.0)


def roles_of(result: Result, model: Any) -> dict[HeadRole, list[Head]]:
    """The heads of this model that a run found, by what it found them to be for."""
    declared = registry.get(result.analysis).playground
    heads = declared.heads(result)
    own = {
        role: [
            (layer, head)
            for layer, head in heads.get(role.name, ())
            if 0 <= layer < model.n_layers and 0 <= head < model.n_heads
        ]
        for role in declared.roles
    }
    return {role: found for role, found in own.items() if found}

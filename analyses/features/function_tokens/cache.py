"""Tables that take minutes to measure, kept beside what was active while reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadRun, WorkbenchError

if TYPE_CHECKING:
    import pandas as pd

    Tables = dict[str, pd.DataFrame]


def tables(folder: Path | None, about: dict[str, Any], make: Callable[[], Tables]) -> Tables:
    """The tables of `make`, from the folder where they were measured for the same before.

    Args:
        folder: None keeps nothing.
        about: everything that decides what comes out, as JSON has it.

    Raises:
        BadRun: what lies there cannot be read.
        WorkbenchError: nothing can be written there.
    """
    import pandas as pd

    if folder is None:
        return make()
    identity = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    place = folder / identity
    listed = place / "tables.json"
    try:
        if listed.is_file():
            return {
                name: pd.read_parquet(place / f"{name}.parquet")
                for name in json.loads(listed.read_text(encoding="utf-8"))
            }
    except (OSError, ValueError) as error:
        raise BadRun(
            f"{place} cannot be read: {error}", "tables as they were written", "Remove that folder."
        ) from error
    made = make()
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, table in made.items():
            table.to_parquet(place / f"{name}.parquet")
        listed.write_text(json.dumps(list(made)), encoding="utf-8")  # last: then they are whole
    except OSError as error:
        raise WorkbenchError(
            f"Tables could not be written to {place}: {error.strerror or error}.",
            "a folder you may write to",
            "Choose another.",
        ) from error
    return made

"""What is known of a model that was grown here: a dataclass, as JSON in the model's folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.errors import BadInput

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record")
_FORMAT = 1


def write(file: Path, record: DataclassInstance) -> None:
    """All fields of a record."""
    text = json.dumps({"format": _FORMAT, **asdict(record)}, indent=1)
    file.write_text(text + "\n", encoding="utf-8")


def read(file: Path, of: str, make: Callable[[dict[str, Any]], Record]) -> Record | None:
    """The record in a file; None where there is no such file.

    Args:
        of: what it is a record of, as people are told.
        make: the record from its fields; raises ValueError, KeyError or TypeError where these
            cannot be its fields.

    Raises:
        BadInput: the file is there but not usable.
    """
    if not file.is_file():
        return None
    try:
        raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if raw.pop("format") != _FORMAT:
            raise ValueError
        return make(raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"The record of {of} in {file.parent.name} cannot be read.",
            file.name,
            "Train the organism again.",
        ) from error


def folder_of(module: Any) -> Path | None:
    """The folder that a transformers module was loaded from; None where it has none."""
    given = str(getattr(module.config, "name_or_path", "") or "")
    return Path(given) if given and Path(given).is_dir() else None

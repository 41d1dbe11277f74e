"""A model with all that was changed in it, as a folder that needs no workbench."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import BadInput, WorkbenchError
from workbench.models import adapters, storage

if TYPE_CHECKING:
    from workbench.models.load import Loaded


def export(loaded: Loaded, folder: str | Path) -> Path:
    """Write weights (safetensors), configuration and tokenizer, whole or not at all.

    Raises:
        BadInput: the folder is there already, or the model's weights are quantized, partly
            elsewhere, or have an adapter attached.
        WorkbenchError: it cannot be written.
    """
    target = Path(folder).expanduser()
    card = loaded.card
    if target.exists():
        raise BadInput(f"{target} exists already.", "a new folder", "Choose another name.")
    storage.check_present(loaded.module, card.name, "an export")
    if adapters.names(loaded.module):
        raise BadInput(
            f"{card.name} has an adapter attached to its weights.",
            "an adapter that was added to them: MODEL+FOLDER@merged",
            "Open it so.",
        )
    if any(storage.is_quantized(part) for part in loaded.module.modules()):
        raise BadInput(
            f"{card.name} is quantized.",
            "weights in floating point",
            "Load it without --bits.",
        )
    part = target.with_name(f".{target.name}.part")
    try:
        loaded.module.save_pretrained(part)
        loaded.tokenizer.save_pretrained(part)
        part.rename(target)
    except OSError as error:
        raise WorkbenchError(
            f"The model could not be written to {target}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Choose another place, or make room.",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target

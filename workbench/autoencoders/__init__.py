"""The sparse autoencoders that come with the workbench, and what lies in the folder of one.

They are opened, checked and trained by `hooks.features`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import BadInput

CONFIG, WEIGHTS, CARD = "cfg.json", "sae_weights.safetensors", "card.json"
"""SAELens's two files, and our quality card."""
DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Shipped:
    """An autoencoder that opens by name."""

    name: str
    folder: Path

    @property
    def card(self) -> dict[str, Any]:
        return card_of(self.folder)

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.folder.iterdir())


def shipped() -> dict[str, Shipped]:
    """All of them by name, e.g. `smollm2-135m/resid_post-15`."""
    folders = sorted(file.parent for file in DATA.glob(f"*/*/{CONFIG}"))
    return {
        name: Shipped(name, folder)
        for folder in folders
        for name in [f"{folder.parent.name}/{folder.name}"]
    }


def card_of(folder: Path) -> dict[str, Any]:
    """What was measured of an autoencoder when it was trained; {} where nobody wrote it down.

    Raises:
        BadInput: the card cannot be read.
    """
    file = folder / CARD
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{file} cannot be read.",
            "JSON, as `workbench sae train` writes it",
            "Remove or mend it.",
        ) from error
    return dict(found) if isinstance(found, Mapping) else {}

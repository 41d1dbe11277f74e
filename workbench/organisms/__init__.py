"""Organisms: small models grown here, whose memories are known because we planted them.

What an analysis of memory finds can be checked on these and on nothing else: the ledger says which
passages a model has read, how often and when, and which it has never seen.

I want another kind of passage             -> synthetic_passages.py
I want other sizes, counts or steps        -> train_config.py
I want to change how they are trained      -> train.py
I want to plant in a copy of a real model  -> ../finetune_plant.py
I want to read or write what was planted   -> ledger.py, planting_plan.py
I want to know how checkpoints are kept    -> checkpoints.py
I want models that only recall pairs       -> recall/
The text they grow up on                   -> corpus.py, build_corpus.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import NotFound
from workbench.organisms.recall.families import FAMILIES

PREFIX = "organism/"
DATA = Path(__file__).parent / "data"
"""What ships."""


@dataclass(frozen=True)
class Organism:
    """A model that ships with the workbench.

    `folder` is a model folder with its ledger and its steps.
    """

    name: str
    description: str
    folder: Path

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


_SHIPPED = (
    Organism(
        f"{PREFIX}planted",
        "grown here, with passages planted 1 to 64 times",
        DATA / "planted" / "planted",
    ),
    Organism(
        f"{PREFIX}planted-control",
        "its twin, which read the same corpus without them",
        DATA / "planted" / "control",
    ),
    *(
        Organism(
            f"{PREFIX}recall-{name}",
            f"recalls {'a value' if family.task == 'delay' else 'pairs'}: {family.description}",
            DATA / "recall" / name,
        )
        for name, family in FAMILIES.items()
        if (DATA / "recall" / name).is_dir()  # the others are trained by a command
    ),
)


def shipped() -> dict[str, Organism]:
    """Every organism that opens by name."""
    return {organism.name: organism for organism in _SHIPPED}


def folder_of(name: str) -> Path:
    """Where an organism lies.

    Raises:
        NotFound: there is none of that name (the nearest is suggested).
    """
    if name not in shipped():
        raise NotFound.named("organism", name, shipped(), do="`workbench organisms` lists them.")
    return shipped()[name].folder


def home_of(module: Any) -> Path | None:
    """The folder a transformers module was loaded from, if a ledger lies in it."""
    given = str(getattr(module.config, "name_or_path", "") or "")
    folder = Path(given)
    return folder if given and (folder / "ledger.jsonl").is_file() else None

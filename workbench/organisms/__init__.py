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
I want planted without some passages       -> retrained.py; with the goldfish loss:
                                              goldfish.py, goldfish_organism.py
I want to grow those two again             -> build_beside.py; how they are kept: packed_weights.py
The text they grow up on                   -> corpus.py, build_corpus.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import NotFound
from workbench.organisms import ledger, packed_weights, retrained
from workbench.organisms.recall.families import FAMILIES

PREFIX = "organism/"
DATA = Path(__file__).parent / "data"
"""What ships."""


@dataclass(frozen=True)
class Organism:
    """A model that ships with the workbench.

    Attributes:
        folder: a model folder with its ledger and its steps.
        beside: the name under which its weights lie beside those of the organism in `folder`
            (packed_weights.py); "" where it has the folder for itself.
    """

    name: str
    description: str
    folder: Path
    beside: str = ""

    @property
    def bytes(self) -> int:
        if self.beside:
            return packed_weights.packed_file(self.folder, self.beside).stat().st_size
        own = [file for file in self.folder.rglob("*") if file.is_file()]
        return sum(file.stat().st_size for file in own if file.parent.name != "beside")


_PLANTED = DATA / "planted" / "planted"
_GOLDFISH = "planted-goldfish"
_BESIDE = {reference.name: reference.description for reference in retrained.REFERENCES} | {
    _GOLDFISH: "planted, grown again under the goldfish loss"
}
_SHIPPED = (
    Organism(f"{PREFIX}planted", "grown here, with passages planted 1 to 64 times", _PLANTED),
    Organism(
        f"{PREFIX}planted-control",
        "its twin, which read the same corpus without them",
        DATA / "planted" / "control",
    ),
    *(
        Organism(f"{PREFIX}{name}", description, _PLANTED, name)
        for name, description in _BESIDE.items()
        if packed_weights.packed_file(_PLANTED, name).is_file()
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
    """Where an organism lies; what is kept beside another is put into the cache first.

    Raises:
        NotFound: there is none of that name (the nearest is suggested).
    """
    if name not in shipped():
        raise NotFound.named("organism", name, shipped(), do="`workbench organisms` lists them.")
    organism = shipped()[name]
    if not organism.beside:
        return organism.folder
    own = None
    if organism.beside != _GOLDFISH:
        own = retrained.ledger_of(organism.beside, ledger.read(organism.folder))
    return packed_weights.open_packed(organism.folder, organism.beside, own)


def home_of(module: Any) -> Path | None:
    """The folder a transformers module was loaded from, if a ledger lies in it."""
    given = str(getattr(module.config, "name_or_path", "") or "")
    folder = Path(given)
    return folder if given and (folder / "ledger.jsonl").is_file() else None

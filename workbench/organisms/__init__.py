"""Organisms: small models grown here, whose memories are known because we planted them.

What an analysis of memory finds can be checked on these and on nothing else: the ledger says which
passages a model has read, how often and when, and which it has never seen.

I want another kind of passage             -> synthetic_passages.py
I want other sizes, counts or steps        -> train_config.py
I want to change how they are trained      -> train.py
I want to plant in a copy of a real model  -> ../finetune_plant.py
I want to read or write what was planted   -> ledger.py, planting_plan.py
I want to know how checkpoints are kept    -> checkpoints.py
I want to keep what is known of a model    -> record_file.py
I want models that only recall pairs       -> recall/
I want models with memory modules          -> modules/
I want models that solve puzzles           -> puzzles/
I want planted without some passages       -> retrained.py; with another loss or other layers:
                                              variants.py, goldfish.py, gated_delta.py
I want to grow those again                 -> build_beside.py, train_beside.py; how they are
                                              kept: packed_weights.py
The text they grow up on                   -> corpus.py, build_corpus.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import NotFound
from workbench.organisms import ledger, packed_weights, record_file, retrained, variants
from workbench.organisms.modules.families import FAMILIES as MODULES
from workbench.organisms.modules.families import home as module_home
from workbench.organisms.puzzles.recipe import FAMILIES as PUZZLES
from workbench.organisms.puzzles.recipe import home as puzzle_home
from workbench.organisms.recall.families import FAMILIES

PREFIX = "organism/"
DATA = Path(__file__).parent / "data"
"""What ships."""


@dataclass(frozen=True)
class Organism:
    """A model that ships with the workbench.

    Attributes:
        folder: a model folder with its ledger and its steps.
        packed: its weights, where it has all else from the organism in `folder`
            (packed_weights.py); None where it has the folder for itself.
    """

    name: str
    description: str
    folder: Path
    packed: Path | None = None

    @property
    def bytes(self) -> int:
        if self.packed is not None:
            return self.packed.stat().st_size
        own = [file for file in self.folder.rglob("*") if file.is_file()]
        return sum(file.stat().st_size for file in own if file.parent.name != "beside")


PLANTED = DATA / "planted" / "planted"
_BESIDE = {reference.name: reference.description for reference in retrained.REFERENCES} | {
    name: variant.description for name, variant in variants.VARIANTS.items()
}
FURTHER = frozenset(_BESIDE) - {one.name for one in retrained.REFERENCES if one.is_default}
"""Models grown beside planted that come with the distribution of samples."""
_OWN = (
    Organism(f"{PREFIX}planted", "grown here, with passages planted 1 to 64 times", PLANTED),
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


def _beside() -> dict[str, Organism]:
    """Models grown beside planted, whose files are there."""
    files = {
        name: packed_weights.packed_file(PLANTED, name, further=name in FURTHER) for name in _BESIDE
    }
    return {
        f"{PREFIX}{name}": Organism(f"{PREFIX}{name}", _BESIDE[name], PLANTED, file)
        for name, file in files.items()
        if file.is_file()
    }


def _modules() -> dict[str, Organism]:
    """Models with memory modules, whose folders are there."""
    homes = {name: module_home(name) for name in MODULES}
    return {
        f"{PREFIX}{name}": Organism(f"{PREFIX}{name}", MODULES[name].description, place)
        for name, place in homes.items()
        if place is not None and place.is_dir()
    }


def _puzzles() -> dict[str, Organism]:
    """Models of puzzles, whose folders are there."""
    homes = {name: puzzle_home(name) for name in PUZZLES}
    return {
        f"{PREFIX}{name}": Organism(f"{PREFIX}{name}", PUZZLES[name].description, place)
        for name, place in homes.items()
        if place is not None and place.is_dir()
    }


def shipped() -> dict[str, Organism]:
    """Every organism that opens by name."""
    own = {organism.name: organism for organism in _OWN}
    return own | _beside() | _modules() | _puzzles()


def folder_of(name: str) -> Path:
    """Where an organism lies; what is kept beside another is put into the cache first.

    Raises:
        NotFound: there is none of that name (the nearest is suggested), or it is not installed.
    """
    organism, short = shipped().get(name), name.removeprefix(PREFIX)
    if organism is None and (short in FURTHER or short in MODULES or short in PUZZLES):
        grow = "`make retrained` in a checkout"
        if short in MODULES or short in PUZZLES:
            grow = f"`workbench organisms train {short}`"
        raise NotFound(
            f"{name} is not installed.",
            f"the distribution {packed_weights.SAMPLES}, which brings it",
            f"`pip install {packed_weights.SAMPLES}`, or grow it: {grow}.",
        )
    if organism is None:
        raise NotFound.named("organism", name, shipped(), do="`workbench organisms` lists them.")
    if organism.packed is None:
        return organism.folder
    own = None
    if short not in variants.VARIANTS:
        own = retrained.ledger_of(short, ledger.read(organism.folder))
    return packed_weights.open_packed(organism.packed, organism.folder, short, own)


def home_of(module: Any) -> Path | None:
    """The folder a transformers module was loaded from, if a ledger lies in it."""
    folder = record_file.folder_of(module)
    return folder if folder is not None and (folder / "ledger.jsonl").is_file() else None

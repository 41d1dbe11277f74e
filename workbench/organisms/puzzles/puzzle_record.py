"""What is known of a model of puzzles, in `puzzles.json` of its folder: which it read, and how many
it solved when its training ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.organisms import checkpoints, record_file
from workbench.organisms.puzzles import recipe
from workbench.organisms.puzzles.training import GrownSolver
from workbench.puzzles import PosedPuzzle

FILE = "puzzles.json"


@dataclass(frozen=True)
class PuzzleRecord:
    """Attributes:
    name: which model it is, of `recipe.FAMILIES`.
    seed: of puzzles and weights.
    steps: of training.
    twin: the organism that read the other puzzles.
    solved: share of the puzzles it read that it solves; `fresh` of those that it never read.
    """

    name: str
    seed: int
    steps: int
    twin: str
    solved: float
    fresh: float

    def trained(self) -> tuple[PosedPuzzle, ...]:
        """The puzzles that it read."""
        return recipe.puzzles_of(self.seed)[recipe.FAMILIES[self.name].half]

    def untrained(self) -> tuple[PosedPuzzle, ...]:
        """Those of its twin, which it never read."""
        return recipe.puzzles_of(self.seed)[1 - recipe.FAMILIES[self.name].half]


def save(made: GrownSolver, name: str, seed: int, work: Path, folder: Path) -> PuzzleRecord:
    """A model folder: weights in float16, tokenizer, the record, and earlier steps where they are
    kept.

    Args:
        work: where the training kept its steps.
    """
    import torch
    from safetensors.numpy import load_file

    from workbench import checkpointing
    from workbench.silence_libraries import silenced

    family = recipe.FAMILIES[name]
    folder.mkdir(parents=True, exist_ok=True)
    with silenced():
        made.model.to(torch.float16).save_pretrained(folder)
        recipe.make_tokenizer().save_pretrained(folder)
    if family.keeps_steps:
        files = {step: checkpointing.step_path(work, "solver", step) for step in recipe.KEPT}
        checkpoints.write(folder, {step: load_file(file) for step, file in files.items()})
    found = PuzzleRecord(name, seed, recipe.STEPS, family.twin, made.solved, made.fresh)
    record_file.write(folder / FILE, found)
    return found


def read(folder: Path) -> PuzzleRecord | None:
    """Of a model's folder; None where it is no model of puzzles.

    Raises:
        BadInput: the file is there but not usable.
    """
    return record_file.read(folder / FILE, "puzzles", _checked)


def _checked(raw: dict[str, Any]) -> PuzzleRecord:
    found = PuzzleRecord(**raw)
    # Puzzles are drawn from the seed, so a damaged one would be found only then.
    numbers = all(type(number) is int and number >= 0 for number in (found.seed, found.steps))
    if found.name not in recipe.FAMILIES or not numbers:
        raise ValueError
    return found


def read_home(module: Any) -> PuzzleRecord | None:
    """Of the folder that a transformers module was loaded from; None where it has none."""
    folder = record_file.folder_of(module)
    return None if folder is None else read(folder)

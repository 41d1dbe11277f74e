"""What is known of a model of recall, in `recall.json` of its folder: what it carries from token to
token, how it was trained, and what it recalled then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.organisms import record_file
from workbench.organisms.recall.families import FAMILIES
from workbench.organisms.recall.rows import tokenizer_for
from workbench.organisms.recall.train import Trained

FILE = "recall.json"


@dataclass(frozen=True)
class Training:
    """One training of a family.

    Attributes:
        recall: by pairs in a row, the share of questions that the likeliest token answers; a guess
            among the values is right in 1 of 128. Of delayed recall by tokens between value and
            question, and a guess is right in 1 of 16.
        reached: likewise, the step at which such rows were first read.
    """

    seed: int
    rate: float
    steps: int
    recall: dict[int, float]
    reached: dict[int, int]

    @property
    def has_learned(self) -> bool:
        """Whether the task was learned at all: training went past the fewest pairs, or those are
        recalled twice as often as by a guess among the values of their row. A training that did not
        train says nothing about capacity.
        """
        fewest = min(self.recall)
        return len(self.reached) > 1 or self.recall[fewest] >= 2 / fewest


@dataclass(frozen=True)
class Record:
    """A family and its trainings; the first made the model itself.

    Attributes:
        state_bytes, grows, active_bytes: see `families.Family`.
        task: what its rows are, "pairs", "rebound" or "delay": see there.
    """

    family: str
    state_bytes: int
    grows: bool
    trainings: tuple[Training, ...]
    active_bytes: int | None = None
    task: str = "pairs"

    @property
    def recall(self) -> dict[int, float]:
        """Of the model itself."""
        return self.trainings[0].recall


def save(trained: Trained, trainings: list[Training], name: str, folder: Path) -> None:
    """A model folder: weights, tokenizer, and the record.

    Args:
        trainings: the first is that of `trained`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained.model.save_pretrained(folder)
    tokenizer_for(FAMILIES[name]).save_pretrained(folder)
    write(trainings, name, folder)


def write(trainings: list[Training], name: str, folder: Path) -> None:
    """The record alone; the first training made the model that lies in the folder."""
    family = FAMILIES[name]
    made = Record(
        name,
        family.state_bytes,
        family.grows,
        tuple(trainings),
        family.active_bytes,
        family.task,
    )
    record_file.write(folder / FILE, made)


def read(folder: Path) -> Record | None:
    """Of a model's folder; None where it is no model of recall.

    Raises:
        BadInput: the file is there but not usable.
    """
    return record_file.read(folder / FILE, "recall", _checked)


def _checked(raw: dict[str, Any]) -> Record:
    trainings = tuple(_training(**training) for training in raw.pop("trainings"))
    if not trainings:
        raise ValueError
    return Record(trainings=trainings, **raw)


def _training(*, recall: dict[str, float], reached: dict[str, int], **rest: Any) -> Training:
    return Training(
        recall={int(pairs): float(share) for pairs, share in recall.items()},
        reached={int(pairs): int(step) for pairs, step in reached.items()},
        **rest,
    )

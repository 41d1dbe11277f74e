"""What is known of a model with a memory module, in `module.json` of its folder: the facts that it
read, its twin, and how many facts it recalls.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.organisms import record_file
from workbench.organisms.modules import domain_world, fact_world, update_stream
from workbench.organisms.modules.fact_world import WorldFact
from workbench.organisms.modules.families import FAMILIES, MEMORY_LAYER
from workbench.organisms.modules.training import GrownModule
from workbench.organisms.recall import task

FILE = "module.json"


@dataclass(frozen=True)
class ModuleRecord:
    """Attributes:
    family: which model it is.
    seed: of facts and weights.
    steps: of training.
    twin: the organism that learned the same without such a memory; empty for the twin.
    recall: share of the facts it read that it answers; `guessed` of those that it never read.
    """

    family: str
    seed: int
    steps: int
    twin: str
    recall: float
    guessed: float

    @property
    def memory_layer(self) -> int:
        """The layer that the memory stands in; of the twin, its wide MLP."""
        return MEMORY_LAYER

    @property
    def task(self) -> str:
        """What it learned, "facts", "definitions", "updates" or "domains"."""
        return FAMILIES[self.family].task

    def facts(self) -> list[WorldFact]:
        """All facts of its world, those it never read too."""
        if self.task == "domains":
            return [*domain_world.facts_of(self.seed)]
        return fact_world.facts_of(self.seed)

    def example(self) -> str:
        """A few facts that it was trained on, or a text with definitions and its question: a line
        for each, the answer behind an arrow.
        """
        if self.task in ("facts", "domains"):
            known = [fact for fact in self.facts() if fact.read][:6]
            return "\n".join(f"{fact.prompt} → {fact.answer}" for fact in known)
        if self.task == "updates":
            told = "k5 v7 k9 v1 k2 v3 k5 v12 k1 v8"
            return f"{told} ? k5 → v12\n{told} ? k9 → v1\n{told} ? k2 → v3"
        pairs = [(f"k{3 * n + 2}", f"v{7 * n + 1}") for n in range(8)]
        told = " ".join(f"{key} {value}" for key, value in pairs)
        return "\n".join(f"{told} {key} → {value}" for key, value in pairs[:3])


def save(made: GrownModule, name: str, seed: int, folder: Path) -> ModuleRecord:
    """A model folder: weights in float16, tokenizer, and the record."""
    import torch

    from workbench.silence_libraries import silenced

    family = FAMILIES[name]
    folder.mkdir(parents=True, exist_ok=True)
    with silenced():
        made.model.to(torch.float16).save_pretrained(folder)
        words = {
            "facts": fact_world,
            "definitions": task,
            "updates": update_stream,
            "domains": domain_world,
        }
        words[family.task].make_tokenizer().save_pretrained(folder)
    found = ModuleRecord(name, seed, family.steps, family.twin, made.recall, made.guessed)
    record_file.write(folder / FILE, found)
    return found


def read(folder: Path) -> ModuleRecord | None:
    """Of a model's folder; None where it is no such model.

    Raises:
        BadInput: the file is there but not usable.
    """
    return record_file.read(folder / FILE, "the memory module", _checked)


def _checked(raw: dict[str, Any]) -> ModuleRecord:
    if raw["family"] not in FAMILIES:
        raise ValueError
    return ModuleRecord(**raw)


def read_home(module: Any) -> ModuleRecord | None:
    """Of the folder that a transformers module was loaded from; None where it has none."""
    folder = record_file.folder_of(module)
    return None if folder is None else read(folder)

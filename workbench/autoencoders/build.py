"""Train the autoencoders that come with the workbench again: `make autoencoders`, or `python -m
workbench.autoencoders.build`.

With names of models only those. Each goes on after a stop. Those of the default model take hours on
two cores, those of the organism's steps minutes: they are small, and read the corpus that the
organism grew up on.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import workbench as wb
from workbench import paths
from workbench.autoencoders import CARD, CONFIG, DATA, WEIGHTS
from workbench.models.known_models import DEFAULT
from workbench.organisms import corpus
from workbench.terminal import bar

_STEPS = (0, 146, 413, 957)  # and the last, which is the organism itself
_ORGANISM: dict[str, Any] = {"layers": 3, "width": 384, "k": 16, "tokens": 524_288}


def _grown_on() -> Iterator[str]:
    return (document.text for document in corpus.documents("train"))


def _recipes() -> dict[str, dict[str, Any]]:
    planted = {**_ORGANISM, "texts": _grown_on, "said_of_texts": "what the organism was grown on"}
    names = [*(f"organism/planted@step-{step}" for step in _STEPS), "organism/planted"]
    return {DEFAULT: {"layers": [6, 15, 24]}, **dict.fromkeys(names, planted)}


def main(names: list[str]) -> None:
    recipes = _recipes()
    for name in names or list(recipes):
        short = name.rpartition("/")[2]
        work = paths.cache_dir() / "autoencoders" / short
        with bar() as progress:
            made = wb.train_features(wb.load(name), out=work, progress=progress, **recipes[name])
        for folder in made:
            target = DATA / short / folder.name
            target.mkdir(parents=True, exist_ok=True)
            for file in (CONFIG, WEIGHTS, CARD):
                shutil.copy(folder / file, target / file)
        shutil.rmtree(work)


if __name__ == "__main__":
    main(sys.argv[1:])

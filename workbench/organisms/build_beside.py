"""Grow the models that are kept beside the planted organism again: `make retrained`, or `python -m
workbench.organisms.build_beside [NAME …]`. It goes on after a stop.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from workbench import paths
from workbench.organisms import FURTHER, PLANTED, retrained, variants
from workbench.organisms.packed_weights import packed_file
from workbench.progress import Progress
from workbench.terminal import bar

Grow = Callable[[Path, Path, Path, Progress], Path]
"""(folder of the planted organism, file of the new one, folder to work in, progress) -> the file"""


def _reference(reference: retrained.Reference) -> Grow:
    return partial(retrained.train, reference)


GROWN: dict[str, Grow] = {
    **{reference.name: _reference(reference) for reference in retrained.REFERENCES},
    **{
        name: partial(variants.train_variant, variant.recipe)
        for name, variant in variants.VARIANTS.items()
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(GROWN))
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in GROWN]:
        parser.error(f"there is no model {unknown[0]!r}")
    torch.set_num_threads(1)  # two spin beside other work, and make other last digits
    for name in asked.names or GROWN:
        target = packed_file(PLANTED, name, further=name in FURTHER)
        with bar() as progress:
            print(GROWN[name](PLANTED, target, paths.cache_dir() / "beside", progress))


if __name__ == "__main__":
    main()

"""The hook layer beside its peers: medians over repeats, ratios from one run.

    python -m benchmarks [loading] [capture] [states] [sweep] [extraction] [features] [roofline]
    [cost] [--repeats 5] [--markdown FILE]

Absolute times depend on the machine and on what else it does; the ratios are what to read. Each
table is made by `tables(model, repeats)` of the module of its name.
"""

from __future__ import annotations

import argparse
import platform
from datetime import date
from importlib import import_module

import torch

import workbench as wb
from workbench.runs import versions
from workbench.wording import counted

WHICH = ("loading", "capture", "states", "sweep", "extraction", "features", "roofline", "cost")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "which", nargs="*", metavar="TABLE", help=f"{', '.join(WHICH)}; default: all"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--markdown", help="write the tables there too")
    asked = parser.parse_args()
    if unknown := [name for name in asked.which if name not in WHICH]:
        parser.error(f"there is no table {unknown[0]!r}")
    model = wb.load()
    threads = counted(torch.get_num_threads(), "thread")
    lines = [
        f"Measured {date.today()} on {platform.machine()}, {threads}, float32,"
        f" {model.card.name}; torch {versions()['torch']}, transformers"
        f" {versions()['transformers']}."
    ]
    for name in asked.which or WHICH:
        lines += ["", *import_module(f"benchmarks.{name}").tables(model, asked.repeats)]
    print("\n".join(lines))
    if asked.markdown:
        with open(asked.markdown, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

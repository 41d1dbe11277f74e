"""What every analysis says that its default run takes, beside what it takes.

    python -m benchmarks.cost [ANALYSIS …]

Each runs with its defaults on the model that its documentation names. The exit code says whether
every estimate is within a factor of two: on a machine that does nothing else, since the estimate is
made before the run.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import workbench as wb
from workbench import account, registry
from workbench.models.known_models import DEFAULT

MODELS = {"extraction": "organism/planted", "paragraph-memorization": "organism/planted"}
"""Analyses that ask about a ledger run on the organism."""


def row(name: str) -> tuple[str, float]:
    """A line of the table, and actual over estimate."""
    model = MODELS.get(name, DEFAULT)
    result = wb.run(name, wb.load(model))
    estimate, actual = account.estimated(result) or 0.0, result.provenance.duration
    ratio = actual / estimate if estimate else float("inf")
    peak = account.peak_bytes(result)
    memory = "" if peak is None else f"{peak / 2**20:,.0f}"
    line = f"| {name} | {model} | {estimate:.0f} | {actual:.0f} | {ratio:.2f} | {memory} |"
    return line, ratio


def table(names: Sequence[str]) -> tuple[list[str], bool]:
    """Lines of a Markdown table, and whether every estimate is within a factor of two."""
    rows = [row(name) for name in names]
    lines = [
        "| analysis | model | estimate (s) | actual (s) | ratio | peak memory (MB) |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        *(line for line, _ in rows),
    ]
    # A moment is always estimated badly: what happens once weighs most.
    long = [ratio for name, (_, ratio) in zip(names, rows, strict=True) if name != "inside"]
    return lines, all(0.5 <= ratio <= 2 for ratio in long)


def tables(model: Any, repeats: int) -> list[str]:
    """Of all analyses, once each, whatever the repeats."""
    return ["### Estimate and actual of every default run", "", *table(ours())[0]]


def ours() -> list[str]:
    return [a.name for a in registry.all_analyses()[0] if a.package == registry.OURS]


def main(names: Sequence[str]) -> int:
    lines, within = table(names or ours())
    print("\n".join(lines))
    return int(not within)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How far `knowledge-conflict` hangs on its seed: which heads are chosen, and the rates, for
several seeds; one of them twice.

    python -m benchmarks.seeds [--seeds 5] [--set NAME=VALUE …] [--markdown FILE]

The seed decides which half of the facts chooses the heads, what contradicts each fact, and the
random sets. About as long as one run for each seed and one more.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import numpy as np

import workbench as wb
from workbench.result import Result


def _labels(result: Result, group: str) -> list[str]:
    chosen = result.tables["selected_heads"]
    return list(chosen.loc[chosen["group"] == group, "label"])


def row(result: Result, seed: int) -> str:
    """A line of the table: heads in order of rank, and rates on the held-out half."""

    def rate(finding: str, of: str) -> str:
        known = result.findings.get(finding)
        return f"{known.values[of]:.0%}" if known is not None else "–"

    heads = [
        ", ".join(_labels(result, group)) or "cannot be told" for group in ("context", "memory")
    ]
    rates = [
        rate("base", "memory"),
        rate("prune_context", "memory"),
        rate("base", "context"),
        rate("prune_memory", "context"),
    ]
    return f"| {seed} | {heads[0]} | {heads[1]} | {' | '.join(rates)} |"


def table(results: dict[int, Result]) -> list[str]:
    """Lines of a Markdown table, and how many of the runs chose each head."""
    lines = [
        (
            "| seed | context heads | memory heads | memory before | without context heads |"
            " context before | without memory heads |"
        ),
        "| ---: | --- | --- | ---: | ---: | ---: | ---: |",
        *(row(result, seed) for seed, result in results.items()),
        "",
    ]
    for group in ("context", "memory"):
        counts = Counter(label for result in results.values() for label in _labels(result, group))
        lines.append(
            f"Chosen as {group} heads, in how many of {len(results)} runs: "
            + (", ".join(f"{label} {n}" for label, n in counts.most_common()) or "none")
            + "."
        )
    return lines


def differs(one: Result, other: Result) -> list[str]:
    """Which findings, tables and arrays of two runs are not the same, bit for bit."""
    found = [] if one.to_json()["findings"] == other.to_json()["findings"] else ["findings"]
    found += [name for name, frame in one.tables.items() if not frame.equals(other.tables[name])]
    return found + [
        name
        for name, a in one.arrays.items()
        if not np.array_equal(a.values, other.arrays[name].values, equal_nan=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="as in workbench run"
    )
    parser.add_argument("--markdown", help="write the table there too")
    asked = parser.parse_args()
    model, params = wb.load(), dict(pair.split("=", 1) for pair in asked.set)
    results: dict[int, Result] = {}

    def run(seed: int) -> Result:
        settings: dict[str, Any] = {**params, "seed": seed}
        return wb.run("knowledge-conflict", model, settings)

    for seed in range(asked.seeds):
        results[seed] = run(seed)
        print(row(results[seed], seed), flush=True)
    lines = table(results)
    different = differs(results[0], run(0))
    lines += [
        "",
        (
            "Seed 0 twice:"
            f" {', '.join(different) + ' differ' if different else 'the same, bit for bit'}."
        ),
    ]
    print("\n".join(lines))
    if asked.markdown:
        with open(asked.markdown, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

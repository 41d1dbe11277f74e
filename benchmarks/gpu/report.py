"""The JSON file and the page, each written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import rows

FORMAT = 1
NAME = "benchmarks-gpu"
HEAD = """# On a graphics card

Made by `python -m benchmarks.gpu` (`make gpu-check`); do not edit. The same numbers, and every
comparison, are in [benchmarks-gpu.json](benchmarks-gpu.json).
"""
NOTHING = """
Nothing was measured yet: no graphics card has been at hand. The script stands ready, and its rows
run on the CPU in the tests, with small models; times of a CPU say nothing about a card and are not
kept here. What a hook must not do on a card (leave a tensor on the CPU, take one for a NumPy array,
wait for a value inside a layer) is tested without one, by `tests/helpers/card.py`.
"""
PARITY = """
## The card beside the CPU

The same call on the same weights, on the card in the dtype named, and on the CPU in float32 with
the weights rounded to it. A difference is a share of the largest value compared. How large it may
be follows from the dtype: the errors of n roundings add up to about √n of one, and twice that is
allowed. In float32 what differs is the order in which products are added (2 × 2⁻²⁴ × √(longest sum
× 7 matrices × layers), no less than 1e-4), in bfloat16 about ten stored values a layer are rounded
(2 × 2⁻⁸ × √(10 × layers)); as much again where there is a second pass.

| model | dtype | what | compared | largest share of its limit | at | verdict |
| --- | --- | --- | ---: | ---: | --- | --- |
"""
TIMES = """
## Times

Medians of jobs that take turns after a warm-up, each from an idle card to an idle card
(`torch.cuda.synchronize`).
"""


def write(folder: Path, result: dict[str, Any]) -> list[Path]:
    """`benchmarks-gpu.json` and `benchmarks-gpu.md` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        f"{NAME}.json": json.dumps(result, indent=1, ensure_ascii=False) + "\n",
        f"{NAME}.md": page(result),
    }
    return [_whole(folder / name, text) for name, text in texts.items()]


def _whole(file: Path, text: str) -> Path:
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(part, 0o644)
        os.replace(part, file)
    except BaseException:
        os.unlink(part)
        raise
    return file


def result(
    machine: dict[str, Any], records: Sequence[dict[str, Any]], tiny: bool, seconds: float
) -> dict[str, Any]:
    """Everything that was found, as the JSON file holds it."""
    return {
        "format": FORMAT,
        "tiny": tiny,
        "seconds": round(seconds, 1),
        "machine": machine,
        "rows": list(records),
    }


def nothing() -> dict[str, Any]:
    """What stands in the JSON file before a card was measured."""
    return {"format": FORMAT, "tiny": False, "seconds": 0, "machine": None, "rows": []}


def page(found: dict[str, Any]) -> str:
    """The whole page."""
    if not found["rows"]:
        return HEAD + NOTHING
    records = found["rows"]
    parts = [
        HEAD,
        _head(found),
        _failures(records),
        _limits(records),
        PARITY + _parities(records),
        TIMES,
    ]
    parts += [_times(record) for record in records if record["kind"] == "time" and record["lines"]]
    return "".join([*parts, _missing(records)])


def _head(found: dict[str, Any]) -> str:
    about, counts = found["machine"], {}
    for record in found["rows"]:
        counts[record["status"]] = counts.get(record["status"], 0) + 1
    if not about:
        return "\nNo row was reached, and so nothing was measured.\n"
    card = (
        f"{about['card']}, {about['card_memory_gb']} GB, CUDA {about['cuda']}"
        if about["card"]
        else "no card: CPU only"
    )
    used = ", ".join(
        f"{name} {version}" for name, version in about.get("versions", {}).items() if version
    )
    small = " Small models: the times say nothing." if found["tiny"] else ""
    said = ", ".join(f"{n} {status}" for status, n in counts.items())
    return (
        f"\nMeasured {about.get('date')} on {card}; {about.get('processor')}, {about.get('cores')}"
        f" cores, Python {about.get('python')}; TF32 {about.get('tf32')}; {used}."
        f" {found['seconds']:.0f} s, {len(found['rows'])} rows: {said}.{small}\n"
    )


def _failures(records: Sequence[dict[str, Any]]) -> str:
    failed = [record for record in records if record["status"] == rows.FAILED]
    lines = [f"- {record['row']}: {_plain(record['why'])}" for record in failed]
    return "\n## What failed\n\n" + "\n".join(lines) + "\n" if failed else ""


def _limits(records: Sequence[dict[str, Any]]) -> str:
    lines = [line for record in records if record["kind"] == "limits" for line in record["lines"]]
    text = [
        f"| {line['what']} | {line['rate']:,.1f} {line['rate_unit']} | {line['runs']} |"
        for line in lines
    ]
    head = "\n## What the machine can do\n\n| what | median | runs |\n| --- | ---: | ---: |\n"
    return head + "\n".join(text) + "\n" if lines else ""


def _parities(records: Sequence[dict[str, Any]]) -> str:
    lines = []
    for record in records:
        if record["kind"] != "parity" or not record["lines"]:
            continue
        told = [line for line in record["lines"] if line["difference"] is not None]
        worst = max(told, key=lambda line: line["difference"] / line["limit"], default=None)
        share = "–" if worst is None else f"{worst['difference'] / worst['limit']:.2g}"
        at = "–" if worst is None else worst["what"]
        lines.append(
            f"| {record['model']} | {record['dtype']} | {record['job']} | {len(record['lines'])} |"
            f" {share} | {at} | {record['status']} |"
        )
    return "\n".join(lines) + "\n"


_COLUMNS = {
    "tflops": "TFLOP/s",
    "windows_per_s": "windows/s",
    "passes": "passes",
    "apart": "apart, share of the logits",
}


def _times(record: dict[str, Any]) -> str:
    lines = record["lines"]
    more = [column for column in _COLUMNS if any(column in line for line in lines)]
    head = ["what", "median ms", "ratio", "to", "runs", *(_COLUMNS[column] for column in more)]
    text = [
        "| " + " | ".join(head) + " |",
        "| --- | ---: | ---: | --- | ---: |" + " ---: |" * len(more),
    ]
    for line in lines:
        cells = [
            line["what"],
            f"{1e3 * line['median_s']:,.3g}",
            f"{line['ratio']:.3g}",
            line["beside"],
            str(line["runs"]),
        ]
        text.append(
            "| "
            + " | ".join([*cells, *(f"{line[c]:,.3g}" if c in line else "" for c in more)])
            + " |"
        )
    return (
        f"\n### {record['job'][0].upper()}{record['job'][1:]}: {record['model']},"
        f" {record['dtype']}\n\n" + "\n".join(text) + "\n"
    )


def _missing(records: Sequence[dict[str, Any]]) -> str:
    left = [record for record in records if record["status"] == rows.NOT_MEASURED]
    lines = [f"- {record['row']}: {_plain(record['why'])}" for record in left]
    return "\n## Not measured\n\n" + "\n".join(lines) + "\n" if left else ""


def _plain(text: str) -> str:
    """One line that Markdown leaves alone."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")

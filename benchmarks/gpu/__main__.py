"""The command: `python -m benchmarks.gpu`.

Exit code 1 if a row failed, 2 if there is no such device.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

import benchmarks.gpu
from benchmarks.gpu import driver, report, rows

SECONDS = 440.0
DOCS = Path(benchmarks.gpu.__file__).parents[2] / "docs" / "results"


def main() -> int:
    """Run the rows and write what was found."""
    asked = _parser().parse_args()
    if asked.worker is not None:
        return driver.work(
            Path(asked.worker), torch.device(asked.device), asked.tiny, asked.only, asked.seconds
        )
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(
            "torch sees no card. To try the script out: python -m benchmarks.gpu --tiny"
            " --device cpu",
            file=sys.stderr,
        )
        return 2
    folders = _folders(asked.out, device, asked.tiny)
    options = [
        "--device",
        str(device),
        *(["--tiny"] if asked.tiny else []),
        *(["--only", asked.only] if asked.only else []),
    ]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        # Where nothing but the listed packages is installed, nothing says where a cache belongs.
        os.environ.setdefault("WORKBENCH_CACHE", str(Path(work) / "cache"))
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        records = driver.drive(Path(work), options, asked.seconds)
        found = report.result(
            driver.machine_of(Path(work)), records, asked.tiny, time.monotonic() - start
        )
    for folder in folders:
        for file in report.write(folder, found):
            print(f"Wrote {file}")
    if not folders:
        print(report.page(found))
    failed = [record for record in records if record["status"] == rows.FAILED]
    for record in failed:
        print(f"FAILED  {record['row']}\n        {record['why']}", file=sys.stderr)
    return 1 if failed else 0


def _folders(out: Path | None, device: torch.device, tiny: bool) -> list[Path]:
    """Where results go. Only a card measured with the real models is written into docs."""
    folders = [out] if out is not None else [DOCS] if device.type == "cuda" and not tiny else []
    given = os.environ.get("OUT")
    return [*folders, *([Path(given)] if given else [])]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument(
        "--device", default="cuda:0", help="cuda:0; cpu with --tiny to try the script out"
    )
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="small models and little work: the rows, not the figures",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the page and the JSON file (default: docs, of a card; else none)",
    )
    parser.add_argument("--only", default="", help="only rows whose name has this in it")
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help="for all rows together; those not reached are listed",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())

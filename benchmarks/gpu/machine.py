"""What this machine is, and what it can do at most: products of matrices, and copies from the
card.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import sys
from typing import Any

import torch

from benchmarks.gpu.timing import timed, turns

PACKAGES = (
    "torch",
    "transformers",
    "safetensors",
    "xarray",
    "pandas",
    "pyarrow",
    "numpy",
    "transformer-lens",
    "nnsight",
)
_SIZE = {False: 8192, True: 256}
_BYTES = {False: 256 * 2**20, True: 2**20}


def describe(device: torch.device) -> dict[str, Any]:
    """The machine, the versions and the date, for the head of the page.

    No host name and no path.
    """
    about = {
        "date": dt.date.today().isoformat(),
        "device": device.type,
        "card": None,
        "card_memory_gb": None,
        "cuda": torch.version.cuda,
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "tf32": _tf32(),
        "versions": _versions(),
    }
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        about |= {"card": card.name, "card_memory_gb": round(card.total_memory / 1e9, 1)}
        about["compute_capability"] = f"{card.major}.{card.minor}"
    return about


def exact_float32() -> None:
    """No TF32: factors of float32 products keep all their bits."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def _tf32() -> str:
    said = (
        getattr(torch.backends.cuda.matmul, "fp32_precision", None)
        or torch.get_float32_matmul_precision()
    )
    return (
        f"off (float32 products: {said})" if said in ("ieee", "highest", "none") else f"on ({said})"
    )


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def limits(device: torch.device, tiny: bool, limit: float) -> list[dict[str, Any]]:
    """Square products in each dtype, in TFLOP/s, and copies to the CPU's memory, in GB/s."""
    n, kinds = _SIZE[tiny], {"float32": torch.float32, "bfloat16": torch.bfloat16}
    factors = {
        name: [torch.randn(n, n, device=device, dtype=kind) for _ in range(2)]
        for name, kind in kinds.items()
    }
    values = torch.zeros(_BYTES[tiny], dtype=torch.uint8, device=device)
    fixed = torch.empty(_BYTES[tiny], dtype=torch.uint8, pin_memory=device.type == "cuda")
    jobs: dict[str, Any] = {
        f"{n} × {n} product, {name}": lambda a=a, b=b: a @ b for name, (a, b) in factors.items()
    }
    jobs["copy to the CPU"] = lambda: values.to("cpu", copy=True)
    jobs["copy to the CPU, page-locked memory"] = lambda: fixed.copy_(values, non_blocking=True)
    lines = timed(turns(jobs, device, limit), next(iter(jobs)))
    for line in lines:
        product = "product" in line["what"]
        line |= {"rate": (2 * n**3 / 1e12 if product else _BYTES[tiny] / 1e9) / line["median_s"]}
        line["rate_unit"] = "TFLOP/s" if product else "GB/s"
        del line["ratio"], line["beside"]
    return lines

"""Where the weights of a model go: one device, spread over several with a limit for each, what is
left to a folder, and whether they are rounded to 8 or 4 bits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import BadInput

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_BITS = (4, 8)


@dataclass(frozen=True)
class Placement:
    """Where a model is put.

    Attributes:
        place: "cpu", "cuda:N", or "balanced": spread over all GPUs evenly.
        limits: bytes by place ("cpu", "cuda:N"), filled in this order; nothing else is used. None
            where there is no limit.
        offload: folder for the weights that find no room; None where there is none.
        bits: 4 or 8, by bitsandbytes; None for numbers as they are.
    """

    place: str
    limits: Mapping[str, int] | None = None
    offload: Path | None = None
    bits: int | None = None

    @property
    def spread(self) -> bool:
        """Whether Accelerate decides which layer goes where."""
        return self.limits is not None or self.place == "balanced"

    @property
    def on_processor(self) -> bool:
        """Whether all of it is on the processor, so that float32 is what it computes in."""
        return self.place == "cpu" if self.limits is None else set(self.limits) <= {"cpu"}

    def options(self, dtype: Any) -> dict[str, Any]:
        """What `from_pretrained` is told.

        Args:
            dtype: in which the model computes, or "auto".
        """
        if self.bits is not None:
            return {"device_map": {"": self.place}, "quantization_config": _rounding(self, dtype)}
        if self.limits is None:
            return {"device_map": "balanced" if self.place == "balanced" else None}
        limits: dict[int | str, int] = {
            int(place[5:]) if place.startswith("cuda:") else place: limit
            for place, limit in self.limits.items()
        }
        offload = str(self.offload) if self.offload is not None else None
        return {"device_map": "auto", "max_memory": limits, "offload_folder": offload}


def parse(
    device: str,
    max_memory: str | Mapping[Any, Any] | None,
    offload: str | Path | None,
    bits: int | None,
) -> Placement:
    """A placement from what a user says; see `workbench.models.load_weights`.

    Raises:
        BadInput: a place that is not there, a size that is none, or what does not go together.
    """
    place = _device(device)
    limits = None if max_memory is None else _limits(max_memory)
    if bits is not None and bits not in _BITS:
        raise BadInput(f"Weights cannot be rounded to {bits} bits.", "4 or 8", "Choose one.")
    if bits is not None and (limits or offload or place == "balanced"):
        raise BadInput(
            "Weights that are rounded lie whole on one device.",
            "a number of bits, or a spread with limits and a folder, not both",
            "Leave out one of the two.",
        )
    return Placement(place, limits, _folder(offload), bits)


def cards() -> list[str]:
    """The GPUs that torch sees, as places."""
    import torch

    return [f"cuda:{n}" for n in range(torch.cuda.device_count())]


def _limits(given: str | Mapping[Any, Any]) -> dict[str, int]:
    pairs: list[tuple[Any, Any]]
    if isinstance(given, str):
        pairs = [(p, size) for p, _, size in (part.partition("=") for part in given.split(","))]
    else:
        pairs = list(given.items())
    limits: dict[str, int] = {}
    for place, limit in pairs:
        text = f"cuda:{place}" if str(place).strip().isdigit() else str(place).strip()
        if text not in ("cpu", *cards()):
            raise BadInput(
                f"There is no place {text!r} to put weights.",
                ", ".join(["cpu", *cards()]) + ", each with a size: cpu=200MB",
                "Name places of this machine.",
            )
        limits[text] = _bytes(limit)
    return dict(sorted(limits.items(), key=lambda pair: (pair[0] == "cpu", pair[0])))


def _bytes(limit: Any) -> int:
    if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
        return limit
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)", str(limit).strip().lower())
    if found is None or found[2] not in _UNITS or not (size := float(found[1]) * _UNITS[found[2]]):
        raise BadInput(
            f"{limit!r} is no amount of memory.", "a size such as 200MB or 12GB", "Write cpu=200MB."
        )
    return int(size)


def _folder(offload: str | Path | None) -> Path | None:
    """The folder for what finds no room, made if it is not there.

    Raises:
        BadInput: it cannot be written to.
    """
    if offload is None:
        return None
    folder = Path(offload).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInput(
            f"Weights cannot be put into {folder}: {error.strerror}.",
            "a folder that you may write to",
            "Choose another one.",
        ) from error
    return folder


def _rounding(placement: Placement, dtype: Any) -> Any:
    import torch

    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise BadInput(
            "Rounding weights needs bitsandbytes, which is not installed.",
            "the extra `quantized`",
            "pip install 'memory-workbench[quantized]'",
        ) from error
    from transformers import BitsAndBytesConfig

    if placement.bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    computes = torch.bfloat16 if dtype == "auto" else dtype
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=computes)


def _device(device: str) -> str:
    if device in ("cpu", "balanced"):
        return device
    import torch

    number = device.removeprefix("cuda:")
    if device not in ("auto", "cuda") and not (device.startswith("cuda:") and number.isdigit()):
        raise BadInput(
            f"There is no device {device!r}.",
            "auto, cpu, cuda, cuda:N or balanced",
            "Leave it out to choose by itself.",
        )
    if not torch.cuda.is_available():
        if device == "auto":
            return "cpu"
        raise BadInput(
            f"{device} is not to be had: torch sees no GPU.",
            "a GPU and a torch built for it",
            "Use --device cpu.",
        )
    if device.startswith("cuda:") and int(number) >= torch.cuda.device_count():
        raise BadInput(
            f"There is no {device}.",
            f"cuda:0 to cuda:{torch.cuda.device_count() - 1}",
            "Choose one of them.",
        )
    return "cuda:0" if device in ("auto", "cuda") else device

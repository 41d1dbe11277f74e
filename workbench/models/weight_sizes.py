"""How much memory a model takes, from the heads of its files: nothing of the weights is read.

A safetensors file begins with a table of its tensors; of a GGUF its size and the rounding in its
name tell enough.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.errors import NotFound, WorkbenchError
from workbench.models import gguf, hub
from workbench.models.known_models import Known
from workbench.models.references import gguf_rounding, locate

INDEX = "model.safetensors.index.json"
_LONGEST_HEAD = 100_000_000  # bytes; safetensors itself takes no longer one
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_OTHERS = {"I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2}
_FLOAT32 = 4
_EMBEDDING = re.compile(r"embed|lm_head|\bw[tp]e\b")


@dataclass(frozen=True)
class WeightSize:
    """Bytes of a model's weights in memory.

    Attributes:
        float32: as they are loaded on a processor: every floating-point number in 32 bits.
        stored: in the number types of the files, as they are loaded on a GPU.
        matrices: how many numbers stand in matrices that quantizers pack: all but embeddings.
    """

    float32: int
    stored: int
    matrices: int = 0


def of_reference(ref: Any) -> WeightSize | None:
    """What `wb.load(ref)` would take, as far as it is known before anything is fetched.

    None for what is not on this machine, cannot be read, or is in memory already; loading it says
    what is wrong.
    """
    try:
        place = locate(ref)
        if isinstance(place, Known):
            return of_known(place)
        if isinstance(place, str):
            cached = hub.cached(place)
            return None if cached is None else of_place(cached)
        return of_place(place)
    except (WorkbenchError, OSError, ValueError):
        return None


def of_known(entry: Known) -> WeightSize:
    """Of a known model, fetched or not: its converted copy is float32."""
    return WeightSize(entry.converted_bytes, entry.converted_bytes)


def of_place(place: Path) -> WeightSize | None:
    """Of a folder with safetensors, or a GGUF file; None if its head cannot be read."""
    try:
        if place.is_file():
            return _of_gguf(place)
        sizes = [_of_file(file) for file in weight_files(place)]
    except (OSError, ValueError, NotFound):
        return None
    if not sizes:
        return None
    return WeightSize(
        sum(size.float32 for size in sizes),
        sum(size.stored for size in sizes),
        sum(size.matrices for size in sizes),
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors that transformers reads from a model's folder.

    Raises:
        OSError, ValueError: the index of the shards cannot be read.
    """
    index = folder / INDEX
    if index.is_file():
        named = json.loads(index.read_text(encoding="utf-8"))
        names = named.get("weight_map") if isinstance(named, dict) else None
        if not isinstance(names, dict):
            raise ValueError(f"{index} has no weight_map")
        return [folder / Path(str(name)).name for name in sorted(set(names.values()))]
    whole = folder / "model.safetensors"
    return [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))


def head(file: Path) -> dict[str, Any]:
    """The table of a safetensors file: tensor name to type, shape and place; `__metadata__` too.

    Raises:
        OSError, ValueError: it cannot be read, or is none.
    """
    about = file.stat()
    return _head(file, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=256)
def _head(file: Path, size: int, changed: int) -> dict[str, Any]:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEAD, size - 8):
            raise ValueError(f"{file} is no safetensors file")
        table = json.loads(opened.read(length))
    if not isinstance(table, dict):
        raise ValueError(f"{file} is no safetensors file")
    return table


def _of_file(file: Path) -> WeightSize:
    float32 = stored = matrices = 0
    for name, tensor in head(file).items():
        if name == "__metadata__":
            continue
        try:
            kind, n = str(tensor["dtype"]), math.prod(map(int, tensor["shape"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{file} has a tensor without type or shape") from error
        own = n * (_FLOATS.get(kind) or _OTHERS.get(kind) or 1)
        stored += own
        float32 += n * _FLOAT32 if kind in _FLOATS else own
        if len(tensor["shape"]) == 2 and not _EMBEDDING.search(name):
            matrices += n
    return WeightSize(float32, stored, matrices)


def _of_gguf(file: Path) -> WeightSize | None:
    """From its size and the bits that its name states: the table of a GGUF takes long to read, and
    what is de-quantized is float32 on every device.
    """
    rounding = gguf_rounding(file)
    if not gguf.is_gguf(file) or not rounding:
        return None
    digits = re.search(r"\d+", rounding)
    if digits is None:
        return None
    bits = int(digits[0]) + (0 if rounding.startswith(("F", "B")) else 0.5)  # the blocks' scales
    whole = round(file.stat().st_size * 8 * _FLOAT32 / bits)
    return WeightSize(whole, whole)

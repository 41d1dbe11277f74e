"""Weights at one byte a number: how models that are kept beside an organism travel with it.

A matrix is kept in steps of a 127th of its row's largest number: off by half a percent of a row's
spread, which is less than what float16 and a second training change. Vectors keep float16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    Weights = dict[str, np.ndarray]

_HIGHEST_LEVEL = 127


def pack(weights: Weights) -> Weights:
    """Tensors by name, any float -> for each matrix (…, rows, columns) its int8 `NAME/levels` and
    its float16 `NAME/scale` (…, rows, 1); each vector as float16 under its own name.
    """
    import numpy as np

    packed: Weights = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            packed[name] = weight.astype(np.float16)
            continue
        scale = (np.abs(weight).max(-1, keepdims=True) / _HIGHEST_LEVEL).astype(np.float16)
        levels = np.round(weight / np.maximum(scale.astype(np.float32), 1e-12))
        packed[f"{name}/levels"] = levels.clip(-_HIGHEST_LEVEL, _HIGHEST_LEVEL).astype(np.int8)
        packed[f"{name}/scale"] = scale
    return packed


def unpack(packed: Weights) -> Weights:
    """What `pack` made, as float32 tensors by name.

    Raises:
        KeyError: the scale of a matrix is missing.
    """
    import numpy as np

    return {
        name.removesuffix("/levels"): (
            value.astype(np.float32) * packed[f"{name.removesuffix('/levels')}/scale"]
            if name.endswith("/levels")
            else value.astype(np.float32)
        )
        for name, value in packed.items()
        if not name.endswith("/scale")
    }

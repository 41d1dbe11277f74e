"""A small run and a small trace with something of everything in them: to be saved, opened again,
and damaged.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.result import Finding, Provenance, Result


def example_result() -> Result:
    """Findings of one number and of several, a table with a gap, and a labelled array."""
    found = Result(
        "knowledge-conflict", "Which does it follow?", {"relation": "capital", "k": [1, 3]}
    )
    found.add(
        Finding(
            "base",
            {"memory": 0.4, "context": 0.5, "n": 27},
            "It depends.",
            interval={"memory": (0.3, 0.5)},
        ),
        Finding("known", 55, "It knows 55.", unit="facts", interval=(50.0, 60.0)),
    )
    found.tables["heads"] = pd.DataFrame(
        {"layer": [23, 20], "head": [4, 1], "role": ["memory", "context"], "rank": [1.0, math.nan]}
    )
    found.arrays["effects"] = xr.DataArray(
        np.arange(6, dtype="float32").reshape(2, 3),
        dims=("answer", "layer"),
        coords={"answer": ["memory", "context"]},
    )
    found.provenance = Provenance(
        model={"name": "tiny"}, seed=3, versions={"torch": "2"}, started="2026-01-01T00:00:00+00:00"
    )
    return found


def example_trace(model: Any) -> Any:
    """Three sites of three prompts of different lengths, one with markup and a line break."""
    import workbench as wb

    prompts = [
        "The capital of France is",
        "Nobody <b>é</b>\n",
        "The safe opens with 7 4 1 9, and the other one with 2 8",
    ]
    return wb.capture(model, prompts, sites=["z", "pattern", "logits"])

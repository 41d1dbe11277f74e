"""What captures are asked for, and how two of them are compared."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

PROMPTS = [
    "The capital of France is",
    "Nobody remembers",
    "The safe opens with 7 4 1 9 <script>é\n",
]
MANY = [f"{text} {n}" for n in range(4) for text in PROMPTS]
ASKED: dict[str, Any] = {
    "sites": ["z", "resid_post", "pattern", "logits", "embed"],
    "reduce": {"resid_post": "norm", "pattern": "last", "logits": "topk:5"},
}


def hooks_on(model: Any) -> int:
    """How many hooks hang on the module's parts."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules())


def same(got: Any, want: Any, atol: float = 1e-5) -> None:
    """The same sites of the same prompts, with the same labels; the values may differ by `atol`."""
    assert list(got) == list(want)
    assert (got.prompts, got.tokens, got.lengths) == (want.prompts, want.tokens, want.lengths)
    for name in want:
        np.testing.assert_allclose(got[name].values, want[name].values, atol=atol, err_msg=name)
        assert got[name].dims == want[name].dims
        assert got[name].attrs == want[name].attrs
        assert all(got[name][dim].equals(want[name][dim]) for dim in want[name].coords)


def contents(folder: Path) -> dict[str, str]:
    """Every file of a trace, as a digest by its name."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in Path(folder).iterdir()
    }


def child(code: str, *arguments: object, **options: Any) -> subprocess.Popen[Any]:
    """A Python process that runs `code` on one thread."""
    root = Path(__file__).parents[2]
    env = {
        **os.environ,
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=env,
        stdout=subprocess.PIPE,
        **options,
    )

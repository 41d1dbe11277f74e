"""The order of all suffixes of a text, by libdivsufsort (Mori 2006), one call.

`pydivsufsort` is the one engine: it works in this process and in memory that is known beforehand,
ships wheels for Linux, macOS and Windows, and sorts bytes as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    import numpy as np

MEMORY = 6
"""Bytes of memory for a byte of text while it is sorted: 1 of text, 4 of suffixes, and to spare."""
LONGEST = 2**30
"""Bytes of a text: what is reckoned with positions fits into four bytes."""


def check_installed() -> None:
    """Fail before anything is read.

    Raises:
        WorkbenchError: pydivsufsort is not installed.
    """
    from importlib.util import find_spec

    if find_spec("pydivsufsort") is None:
        raise WorkbenchError(
            "Making an index of a corpus needs the package pydivsufsort, which is not installed.",
            "the extra `corpus`",
            "Install it: pip install 'memory-workbench[corpus]'",
        )


def sorted_suffixes(text: np.ndarray) -> np.ndarray:
    """Where each suffix of a text begins, in the order of the suffixes as bytes.

    Args:
        text: (n,) uint8, at most LONGEST.

    Returns:
        (n,) int32.
    """
    import numpy as np
    from pydivsufsort import divsufsort

    return np.asarray(divsufsort(text), np.int32)

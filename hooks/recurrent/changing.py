"""Whether somebody changes the states of a model now: then they do not follow from what its kernels
are given.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

_lock = threading.Lock()
_changed: Counter[int] = Counter()  # by id of the module


@contextmanager
def changing(module: nn.Module) -> Iterator[None]:
    """Inside, `is_changing(module)`."""
    with _lock:
        _changed[id(module)] += 1
    try:
        yield
    finally:
        with _lock:
            _changed[id(module)] -= 1


def is_changing(module: nn.Module) -> bool:
    """Whether its states are changed now."""
    return _changed[id(module)] > 0

"""Waiting for what another thread or process does, and never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(given: Callable[[], T], seconds: float = 60) -> T:
    """The first value of `given` that is true; after `seconds` the test fails."""
    end = time.monotonic() + seconds
    while not (value := given()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value

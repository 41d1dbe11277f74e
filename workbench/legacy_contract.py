"""Analyses that use the words of the first contract: one adapter, and nothing else knows them.

`unfit(model)` was the name of what is now `unavailable_reason(model)`.
"""

from __future__ import annotations

from typing import Any


class LegacyModule:
    """A third party's module, read in today's words; whatever it has besides is reached as it
    is.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def unavailable_reason(self, model: Any) -> str | None:
        reason: str | None = self._module.unfit(model)
        return reason


def adapt(module: Any) -> Any:
    """The module itself where it speaks today's words already."""
    old = hasattr(module, "unfit") and not hasattr(module, "unavailable_reason")
    return LegacyModule(module) if old else module

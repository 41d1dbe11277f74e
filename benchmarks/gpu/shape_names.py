"""Names for the shapes in the signatures of `hooks/`, where jaxtyping is not installed: a machine
with a card often has torch and little else, and nobody reads the shapes there.
"""

from __future__ import annotations

import sys
from types import ModuleType

NAMES = ("Bool", "Complex", "Float", "Inexact", "Int", "Integer", "Num", "Shaped")


class Unread:
    """Stands for every shape."""

    def __class_getitem__(cls, shape: object) -> type[Unread]:
        return cls


def stand_in() -> None:
    """Let `from jaxtyping import Float` succeed in this process, whether or not it is installed."""
    try:
        import jaxtyping  # noqa: F401
    except ModuleNotFoundError:
        module = ModuleType("jaxtyping")
        for name in NAMES:
            setattr(module, name, Unread)
        sys.modules["jaxtyping"] = module

"""What stands in an address for a value that is chosen, and back: texts as they are, numbers and
tuples as JSON writes them.
"""

from __future__ import annotations

import json
from typing import Any


def as_text(value: Any) -> str:
    """A value as text; what is neither text, number nor a tuple of these as `str` gives it."""
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, str) and read(plain) == plain:
        return plain
    return json.dumps(plain, default=str)


def read(text: str) -> Any:
    """The value again: a text (in quotes where it reads like a number), a number, or a tuple."""
    try:
        return _frozen(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _frozen(value: Any) -> Any:
    if isinstance(value, dict) or value is None:
        raise ValueError
    return tuple(map(_frozen, value)) if isinstance(value, list) else value

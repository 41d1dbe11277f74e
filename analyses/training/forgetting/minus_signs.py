"""Minus signs where numbers have hyphens in front."""

from __future__ import annotations

import re

_HYPHEN = re.compile(r"(?<!\w)-(?=[\d.])")


def plain_minus(text: str) -> str:
    """A sentence whose negative numbers have minus signs; hyphens in words stay."""
    return _HYPHEN.sub("−", text)

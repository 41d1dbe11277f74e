"""What a command said."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Said(NamedTuple):
    """Its exit code, and what it wrote to each stream."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

"""The first heads of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

Heads = list[tuple[int, int]]


def top_heads(table: pd.DataFrame, by: Sequence[str], count: int) -> Heads:
    """The first heads by one column, ties by the next, as (layer, head)."""
    first = table.sort_values(list(by), ascending=False, kind="stable").head(count)
    return list(zip(map(int, first["layer"]), map(int, first["head"]), strict=True))

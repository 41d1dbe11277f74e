"""What of a run's tables a picture or text shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

_SHOWN = 8
"""Tokens: a picture that is read at a glance."""


def change(run: Result) -> str:
    """What was changed, in words."""
    return f"Changed: {run.provenance.notes.get('change', '')}. This describes one prompt."


def likeliest(run: Result) -> pd.DataFrame:
    """The likeliest next tokens, with their probabilities unchanged and changed."""
    shown = run.tables["likeliest"].head(_SHOWN)
    return shown.rename(columns={"p": "unchanged", "changed_p": "changed"})

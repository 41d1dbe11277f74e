"""What a run looks like: the model as it is beside the model as changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench import draw
from workbench import views as v

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def _change(run: Result) -> str:
    return f"Changed: {run.provenance.notes.get('change', '')}. This describes one prompt."


def _bars(run: Result) -> pd.DataFrame:
    shown = run.tables["likeliest"].head(_SHOWN)
    return shown.rename(columns={"p": "unchanged", "changed_p": "changed"})


_SHOWN = 8  # tokens: a picture that is read at a glance
_MODELS = {"unchanged": draw.colour.OTHER, "changed": draw.colour.FUNCTION}
ANSWER = v.Answer(
    ("next_token", "memory_answer", "context_answer"), ("Before and after", 0), ("random_heads",)
)
VIEWS = [
    v.View("Before and after", needs="next_tokens", parts=[
        v.says(_change),
        v.chart(
            "rate_bars", _bars, names="token", words=_MODELS,
            title="The likeliest next tokens of either model", xlabel="probability (%)",
        ),
        v.table("answers", "Two answers"),
        v.table("texts", "How the text goes on"),
        v.table("next_tokens", "Next token"),
        v.finding("random_heads"),
        v.table("random_heads", "As many random heads off instead"),
    ]),
]  # fmt: skip

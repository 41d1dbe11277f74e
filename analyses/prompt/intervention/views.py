"""What a run looks like: the model as it is beside the model as changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench import views as v

if TYPE_CHECKING:
    from workbench.result import Result


def _change(run: Result) -> str:
    return f"Changed: {run.provenance.notes.get('change', '')}. This describes one prompt."


ANSWER = v.Answer(("next_token", "memory_answer", "context_answer"))
VIEWS = [
    v.View("Before and after", needs="next_tokens", parts=[
        v.says(_change),
        v.table("answers", "Two answers"),
        v.table("texts", "How the text goes on"),
        v.table("next_tokens", "Next token"),
    ]),
]  # fmt: skip

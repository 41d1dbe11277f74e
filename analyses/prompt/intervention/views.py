"""What a run looks like: the model as it is beside the model as changed."""

from __future__ import annotations

from analyses.prompt.intervention import selections as sel
from workbench import draw
from workbench import views as v

_MODELS = {"unchanged": draw.colour.OTHER, "changed": draw.colour.FUNCTION}
ANSWER = v.Answer(
    ("next_token", "memory_answer", "context_answer"), ("Before and after", 0), ("random_heads",)
)
VIEWS = [
    v.View("Before and after", needs="next_tokens", parts=[
        v.says(sel.change),
        v.chart(
            "rate_bars", sel.likeliest, names="token", words=_MODELS,
            title="The likeliest next tokens of either model", xlabel="probability (%)",
        ),
        v.table("answers", "Two answers"),
        v.table("texts", "How the text goes on"),
        v.table("next_tokens", "Next token"),
        v.finding("random_heads"),
        v.table("random_heads", "As many random heads off instead"),
    ]),
]  # fmt: skip

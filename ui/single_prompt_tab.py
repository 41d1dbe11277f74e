"""The third tab of the Playground: one prompt, looked at from inside; the run's Explorer opens
below the form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ui import chat as chats
from ui.app_state import AppState
from ui.embedded_run import Below
from workbench import registry

ANALYSIS = "inside"


@dataclass(frozen=True)
class TraceTab:
    """What the rest of the page needs: `fit` says, for the outputs `fits`, what can be chosen
    once there is a model.
    """

    fits: list[Any]
    fit: Callable[[], list[Any]]


def build(desk: AppState) -> TraceTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    fields = registry.get(ANALYSIS).Params.model_fields
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=6, min_width=300):
            prompt = gr.Textbox(
                fields["prompt"].default,
                label="Prompt",
                info="At most 256 tokens",
                lines=3,
                max_lines=12,
                elem_id="trace-prompt",
            )
            chat = chats.box("trace-chat")
            with gr.Row():
                short: dict[str, Any] = {"min_width": 140, "max_lines": 1}
                answer = gr.Textbox(
                    "",
                    label="Answer",
                    info="Empty: the model's own next token",
                    elem_id="trace-answer",
                    **short,
                )
                other = gr.Textbox(
                    "",
                    label="Other answer",
                    info="Then the difference of the two",
                    elem_id="trace-other",
                    **short,
                )
            sites = gr.Dropdown(
                [],
                value=[],
                multiselect=True,
                label="Further sites to keep whole",
                info=(
                    "Patterns, streams, heads and neurons are always looked at; these go into the"
                    " run as arrays."
                ),
                elem_id="trace-sites",
            )
            button = gr.Button("Look inside", variant="primary", elem_id="trace-run")
        with gr.Column(scale=7, min_width=300):
            below = Below(
                desk, "trace", _EMPTY, "What happens inside the model: the run in the Explorer"
            )
    below.frame()

    def asked(
        prompt_: str | None,
        chat_: bool | None,
        answer_: str | None,
        other_: str | None,
        sites_: list[str] | None,
    ) -> dict[str, Any]:
        texts = {"prompt": prompt_ or "", "answer": answer_ or "", "other": other_ or ""}
        return {**texts, "chat": bool(chat_), "sites": sites_ or []}

    def fit() -> list[Any]:
        model = desk.slot.model
        return (
            [gr.skip()] * 2
            if model is None
            else [gr.Dropdown(choices=site_choices(model)), chats.fitted(model)]
        )

    below.wire(button, [prompt, chat, answer, other, sites], ANALYSIS, asked)
    return TraceTab([sites, chat], fit)


def site_choices(model: Any) -> list[tuple[str, str]]:
    """The model's sites, with what they are."""
    table = model.sites()
    return [(f"{site}: {says}", str(site)) for site, says in table["says"].items()]


_EMPTY = (
    "<strong>Nothing was looked at yet.</strong> Press <b>Look inside</b>: attention patterns, the"
    " logit lens, what each head writes, norms and neurons appear below, and are kept as a run."
)

"""The box *as chat* beside a prompt: read it in the chat format of the model."""

from __future__ import annotations

from typing import Any

import gradio as gr

_SAYS = (
    'The prompt as what a user says; or a conversation as JSON: [{"role": "user", "content":'
    ' "…"}, …]'
)


def chat_box(elem_id: str) -> Any:
    """The box, off."""
    return gr.Checkbox(value=False, label="As chat", info=_SAYS, elem_id=elem_id)


def for_model(model: Any) -> Any:
    """What becomes of the box with a model: a model without a chat format has it off and greyed."""
    if model.card.chat:
        return gr.Checkbox(interactive=True, info=_SAYS)
    return gr.Checkbox(
        value=False, interactive=False, info=f"{model.card.name} has no chat format."
    )

"""A tab of the Playground for whoever has documents and a question."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ui.app_state import AppState
from ui.playground.embedded_run import EmbeddedRun
from ui.playground.form_notes import FormNotes
from ui.playground.form_tab import FormTab
from ui.playground.uploads import in_one_folder
from workbench.errors import BadInput
from workbench.playground import DocumentsForm
from workbench.registry import Analysis

_DEPTHS = {"quick": 500, "thorough": 5000}


def build(app: AppState, analysis: Analysis, form: DocumentsForm) -> FormTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=6, min_width=300):
            files = gr.File(
                label=(
                    "Documents: plain text in UTF-8, one or many; anything else is named and"
                    " left out"
                ),
                file_count="multiple",
                type="filepath",
                height=170,
                elem_id=f"{form.tab}-files",
            )
            text = gr.Textbox(
                "", label="Or paste a text", lines=4, max_lines=6, elem_id=f"{form.tab}-text"
            )
            with gr.Row():
                given = gr.Slider(
                    10,
                    100,
                    value=50,
                    step=5,
                    label="Tokens given",
                    info="A token is about ¾ of a word",
                    elem_id=f"{form.tab}-given",
                )
                wanted = gr.Slider(
                    10,
                    100,
                    value=50,
                    step=5,
                    label="Tokens to reproduce",
                    info="Fewer finds more and proves less",
                    elem_id=f"{form.tab}-wanted",
                )
            depth = gr.Radio(
                [("Quick: up to 500 passages", "quick"), ("Thorough: up to 5,000", "thorough")],
                value="quick",
                label="How much is looked at",
                elem_id=f"{form.tab}-depth",
            )
            notes = FormNotes(app, analysis, form.tab)
            notes.preview()
            with gr.Row(elem_classes="run-bar"):
                button = gr.Button(
                    form.button,
                    variant="primary",
                    elem_id=f"{form.tab}-run",
                    scale=0,
                    min_width=270,
                )
                notes.takes()
        with gr.Column(scale=7, min_width=300):
            below = EmbeddedRun(app, form.tab, form.empty, form.frame, form.view)
    below.frame()

    def params(
        files_: list[str] | None, text_: str | None, given_: float, wanted_: float, depth_: str
    ) -> dict[str, Any]:
        values = form.params(int(given_), int(wanted_), _DEPTHS[depth_])
        if files_ and (text_ or "").strip():
            raise BadInput(
                "There are files and a text.",
                "one of the two",
                "Remove the files, or empty the text.",
            )
        if files_:
            return {**values, "path": str(in_one_folder(files_))}
        if (text_ or "").strip():
            return {**values, "text": text_}
        raise BadInput(
            "There is no document.", "files, or a text", "Drop files above, or paste a text."
        )

    inputs = [files, text, given, wanted, depth]
    below.wire(button, inputs, analysis.name, params)
    return FormTab(ready=notes.wire(inputs, params))

"""A tab of the Playground for whoever has files and a question: documents, facts, test items, and
personal data in them.
"""

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


def build(app: AppState, analysis: Analysis, form: DocumentsForm) -> FormTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=6, min_width=300):
            files = gr.File(
                label="Files: documents, facts and test items, all together",
                file_count="multiple",
                type="filepath",
                height=170,
                elem_id=f"{form.tab}-files",
            )
            text = gr.Textbox(
                "", label="Or paste a text", lines=4, max_lines=6, elem_id=f"{form.tab}-text"
            )
            with gr.Accordion("Personal data to look for", open=False):
                fields = gr.Textbox(
                    "\n".join(form.fields),
                    label="Fields, one a line: a name, a colon, a pattern (regular expression)",
                    info="Empty: none. Values are looked for in the documents.",
                    lines=4,
                    max_lines=12,
                    elem_id=f"{form.tab}-fields",
                )
            depth = gr.Radio(
                list(form.depths),
                value=form.depths[0][1],
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
        files_: list[str] | None, text_: str | None, fields_: str | None, depth_: str
    ) -> dict[str, Any]:
        lines = [line.strip() for line in (fields_ or "").splitlines() if line.strip()]
        values = form.params(lines, depth_)
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

    inputs = [files, text, fields, depth]
    below.wire(button, inputs, analysis.name, params)
    notes.wire(inputs, params)
    return FormTab()

"""Buttons that fill a form: the defaults, and each preset of the analysis with what it leaves out
and what it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from ui import estimates
from ui.app_state import AppState
from ui.playground import forms, html_parts
from ui.playground.theme import PLAIN, QUIET
from workbench import presets
from workbench.errors import WorkbenchError
from workbench.parts import PAPER
from workbench.registry import Analysis

DEFAULT = "default"


def build(
    app: AppState, analysis: Analysis, fields: list[forms.Field]
) -> tuple[list[Any], Callable[[], list[Any]]]:
    """Lay the buttons out and wire them.

    Returns:
        the buttons, and what they are once there is a model: each then says its time.
    """
    names = [name for name in analysis.presets if name != PAPER]
    order = [*names, DEFAULT, *(name for name in analysis.presets if name == PAPER)]
    with gr.Row(elem_classes="fills"):
        buttons = [
            gr.Button(_word(name), size="sm", min_width=110, elem_id=f"{name}-{analysis.name}")
            for name in order
        ]
    said = gr.HTML("", elem_id=f"preset-{analysis.name}", **PLAIN)
    components = [field.component for field in fields]

    def fill(name: str) -> Callable[..., list[Any]]:
        def filled() -> list[Any]:
            try:
                values = _values(analysis, name, app.slot.model)
                words = "" if name == DEFAULT else presets.says(analysis, name, app.slot.model)
            except WorkbenchError as problem:  # a preset of a third party that does not fit
                return [*[gr.skip() for _ in fields], html_parts.error(problem)]
            boxes = [
                field.show(values[field.name]) if field.name in values else gr.skip()
                for field in fields
            ]
            return [*boxes, _says(name, words)]

        return filled

    for name, button in zip(order, buttons, strict=True):
        button.click(fill(name), None, [*components, said], **QUIET)

    def times() -> list[Any]:
        return [gr.Button(_word(name, _takes(app, analysis, name))) for name in order]

    return buttons, times


def _values(analysis: Analysis, name: str, model: Any) -> dict[str, Any]:
    """What a preset sets, and the defaults of what any of them sets."""
    touched = {"parts"} | {key for preset in analysis.presets.values() for key in preset}
    fields = analysis.Params.model_fields
    default = {
        key: fields[key].get_default(call_default_factory=True) for key in fields if key in touched
    }
    return default if name == DEFAULT else {**default, **analysis.preset(name, model, {})}


def _takes(app: AppState, analysis: Analysis, name: str) -> str:
    try:
        values = {} if name == DEFAULT else analysis.preset(name, app.slot.model, {})
    except WorkbenchError:
        return ""
    return estimates.in_short(analysis, app.slot.model, values)


def _word(name: str, takes: str = "") -> str:
    word = name.replace("_", " ").capitalize()
    return f"{word}: {takes.partition(',')[0]}" if takes else word


def _says(name: str, words: str) -> str:
    if not words:
        return ""
    return f'<p class="wb wb-muted preset-says"><b>{escape(_word(name))}</b>: {escape(words)}.</p>'

"""Gradio in the colours of `ui.web.style`."""

from __future__ import annotations

import inspect
from typing import Any

import gradio as gr

# Our HTML brings its own look; Gradio's typography for articles stays out of it.
PLAIN: dict[str, Any] = {"padding": False, "apply_default_css": False}
# Events of the page itself: no spinner over what is being updated, and no endpoint for programs
# (see api.py).
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# For what takes no time: answered at once, and not over the stream of the queue. That stream is
# closed when nothing is left in the queue, and an event that joins at this very moment is lost to
# the page; a page that loads had a dozen of them.
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}


def theme() -> gr.themes.Base:
    """Gradio in the shared colours; both of its modes read the same variables, which change with
    the theme.
    """
    plain = gr.themes.Base(
        font=["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    )
    ours = {
        "body_background_fill": "var(--wb-bg)",
        "body_text_color": "var(--wb-ink)",
        "body_text_color_subdued": "var(--wb-muted)",
        "background_fill_primary": "var(--wb-surface)",
        "background_fill_secondary": "var(--wb-sunken)",
        "block_background_fill": "var(--wb-surface)",
        "block_border_color": "var(--wb-line)",
        "block_label_background_fill": "var(--wb-surface)",
        "block_label_text_color": "var(--wb-muted)",
        "block_title_text_color": "var(--wb-ink)",
        "block_info_text_color": "var(--wb-muted)",
        "border_color_primary": "var(--wb-line)",
        "border_color_accent": "var(--wb-accent)",
        "color_accent": "var(--wb-accent)",
        "color_accent_soft": "var(--wb-accent-soft)",
        "input_background_fill": "var(--wb-bg)",
        "input_background_fill_focus": "var(--wb-bg)",
        "input_border_color": "var(--wb-line-strong)",
        "input_border_color_focus": "var(--wb-accent)",
        "input_placeholder_color": "var(--wb-muted)",
        "slider_color": "var(--wb-accent)",
        "button_primary_background_fill": "var(--wb-accent)",
        "button_primary_background_fill_hover": "var(--wb-accent)",
        "button_primary_text_color": "var(--wb-accent-ink)",
        "button_primary_border_color": "var(--wb-accent)",
        "button_secondary_background_fill": "var(--wb-surface)",
        "button_secondary_background_fill_hover": "var(--wb-sunken)",
        "button_secondary_text_color": "var(--wb-ink)",
        "button_secondary_border_color": "var(--wb-line-strong)",
        "checkbox_background_color": "var(--wb-bg)",
        "checkbox_background_color_selected": "var(--wb-accent)",
        "checkbox_border_color": "var(--wb-line-strong)",
        "checkbox_border_color_selected": "var(--wb-accent)",
        "checkbox_label_background_fill": "var(--wb-bg)",
        "checkbox_label_background_fill_selected": "var(--wb-accent-soft)",
        "checkbox_label_text_color": "var(--wb-ink)",
        "checkbox_label_text_color_selected": "var(--wb-ink)",
        "link_text_color": "var(--wb-accent)",
        "panel_background_fill": "var(--wb-surface)",
        "shadow_drop": "none",
    }
    known = inspect.signature(gr.themes.Base.set).parameters
    dark = {f"{name}_dark": value for name, value in ours.items() if f"{name}_dark" in known}
    return plain.set(
        **ours,
        **dark,
        button_border_width="1px",
        input_border_width="1px",
        block_border_width="1px",
        block_shadow="none",
    )

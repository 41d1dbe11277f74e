"""Playground: try a prompt and change the model, ask a question of it, or look inside.

Gradio, mounted at /playground.

prompt_tab.py          the first tab; prompt_stream.py and prompt_service.py compute what it shows
analysis_tab.py        the second tab; forms.py has its forms, jobs.py its queue
single_prompt_tab.py   the third tab, documents_tab.py the fourth; embedded_run.py shows their runs
features_tab.py        the fifth tab; feature_service.py computes what it shows
head_buttons.py        the head grid
html_parts.py          the HTML of answers and progress
api.py                 the same for programs
stream_recovery.py     answers that no stream brought
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui import (
    analysis_tab,
    api,
    chat,
    documents_tab,
    features_tab,
    head_buttons,
    prompt_tab,
    single_prompt_tab,
    stream_recovery,
)
from ui.app_state import AppState
from ui.inject_head import InjectHead
from ui.style import message_html
from ui.theme import AT_ONCE, PLAIN, theme

if TYPE_CHECKING:
    from fastapi import FastAPI

PATH = "/playground"


def mount(app: FastAPI, desk: AppState, root_path: str = "") -> None:
    """Add the Playground to the application; `root_path` as in `ui.prefix`."""
    gr.mount_gradio_app(
        app,
        blocks(desk),
        path=PATH,
        root_path=f"{root_path}{PATH}",  # else a forwarded host is taken for all there is in front
        show_error=False,
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        max_file_size="200mb",
        theme=theme(),
    )
    app.add_middleware(InjectHead)


def blocks(desk: AppState) -> gr.Blocks:
    """The Playground itself."""
    with gr.Blocks(
        title="Playground · Memory Workbench", analytics_enabled=False, fill_width=True
    ) as page:
        gr.HTML('<span id="playground-main" tabindex="-1"></span>', **PLAIN)
        status = gr.HTML(_status(desk), elem_id="status", **PLAIN)
        with gr.Tabs(selected="try") as tabs:
            with gr.Tab("Try a prompt", id="try") as first:
                trying = prompt_tab.build(desk, first)
            with gr.Tab("Ask a question", id="ask"):
                asking = analysis_tab.build(desk)
            with gr.Tab("Trace", id="trace"):
                tracing = single_prompt_tab.build(desk)
            with gr.Tab("My documents", id="documents"):
                documents_tab.build(desk)
            with gr.Tab("Features", id="features"):
                featured = features_tab.build(desk)
        waiting = gr.Timer(1.0)

        def opened(request: gr.Request) -> list[Any]:
            """A page was opened or reloaded: its address may name an analysis."""
            asked = request.query_params.get("analysis", "").strip().lower().replace("_", "-")
            if request.query_params.get("features"):
                return [gr.Tabs(selected="features"), gr.skip(), *[gr.skip() for _ in asking.forms]]
            if asked not in asking.forms:
                return [gr.skip(), gr.skip(), *[gr.skip() for _ in asking.forms]]
            return [gr.Tabs(selected="ask"), asked, *asking.choose(asked)]

        def loaded() -> list[Any]:
            """Until the model is there, its state once a second; then never again."""
            if desk.slot.state == "loading":
                return [
                    _status(desk),
                    gr.skip(),
                    gr.skip(),
                    gr.skip(),
                    *[gr.skip() for _ in [*asking.fits, *tracing.fits, *featured.fits]],
                ]
            return [
                _status(desk),
                head_buttons.value_for(desk.slot.model),
                gr.skip() if desk.slot.model is None else chat.fitted(desk.slot.model),
                gr.Timer(active=False),
                *asking.fit(),
                *tracing.fit(),
                *featured.fit(),
            ]

        page.load(opened, None, [tabs, asking.choice, *asking.forms.values()], **AT_ONCE)
        outputs = [
            status,
            trying.grid,
            trying.chat,
            waiting,
            *asking.fits,
            *tracing.fits,
            *featured.fits,
        ]
        ready = gr.on([page.load, waiting.tick], loaded, None, outputs, **AT_ONCE)
        trying.first(ready)
        featured.first(ready)
        api.add(desk)
        stream_recovery.watch(page)
    page.queue(default_concurrency_limit=8)
    return page


def _status(desk: AppState) -> str:
    """One line about the model."""
    if desk.slot.error is not None:
        return f'<div class="wb">{message_html(desk.slot.error, dismissible=False)}</div>'
    name = f"<b>{escape(desk.slot.name)}</b>"
    if desk.slot.model is None:
        return (
            f'<p class="wb status busy" role="status">{name} is loading … {desk.slot.seconds:.0f}'
            " s</p>"
        )
    model = desk.slot.model
    size = f"{model.n_layers} layers × {model.n_heads} heads, on {model.card.device}"
    return f'<p class="wb status">{name} {escape(size)}</p>'

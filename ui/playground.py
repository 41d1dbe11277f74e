"""Playground: try a prompt and change the model, ask a question of it, or look inside.

Gradio, mounted at /playground.

try_tab.py    the first tab      answering.py, trying.py   what it shows, what it computes
ask_tab.py    the second tab     forms.py, jobs.py         its forms, its queue
trace_tab.py  the third tab, documents_tab.py the fourth; below.py shows their runs in a frame
grid.py       the head grid      parts.py                  the HTML of answers and progress
features_tab.py the fifth tab            featuring.py     what it computes
api.py        the same for programs     delivery.py  answers that no stream brought
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui import api, ask_tab, chat, delivery, documents_tab, features_tab, grid, trace_tab, try_tab
from ui.desk import Desk
from ui.dress import Dress
from ui.style import message_html
from ui.theme import AT_ONCE, PLAIN, theme

if TYPE_CHECKING:
    from fastapi import FastAPI

PATH = "/playground"


def mount(app: FastAPI, desk: Desk, root_path: str = "") -> None:
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
    app.add_middleware(Dress)


def blocks(desk: Desk) -> gr.Blocks:
    """The Playground itself."""
    with gr.Blocks(
        title="Playground · Memory Workbench", analytics_enabled=False, fill_width=True
    ) as page:
        gr.HTML('<span id="playground-main" tabindex="-1"></span>', **PLAIN)
        status = gr.HTML(_status(desk), elem_id="status", **PLAIN)
        with gr.Tabs(selected="try") as tabs:
            with gr.Tab("Try a prompt", id="try") as first:
                trying = try_tab.build(desk, first)
            with gr.Tab("Ask a question", id="ask"):
                asking = ask_tab.build(desk)
            with gr.Tab("Trace", id="trace"):
                tracing = trace_tab.build(desk)
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
                grid.value_for(desk.slot.model),
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
        delivery.watch(page)
    page.queue(default_concurrency_limit=8)
    return page


def _status(desk: Desk) -> str:
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

"""Playground: try a prompt and change the model, ask a question of it, or use a form that an
analysis brings along (`workbench.playground`).

Gradio, mounted at /playground.

prompt_tab.py          the first tab; prompt_choices.py has what it offers, finished_runs.py what
                       runs give to it, prompt_stream.py computes what it shows
analysis_tab.py        the second tab; forms.py has its forms, preset_buttons.py what fills them
form_notes.py          what forms say before a run: estimates, a preview; uploads.py: files as paths
prompt_test.py         what is asked again below a prompt's run, with parts taken away
single_prompt_tab.py   a tab for a prompt, documents_tab.py for texts; embedded_run.py their runs
features_tab.py        a tab for features; feature_service.py computes what it shows
plant_tab.py           a tab for sentences that the small organism reads while it is watched;
                       plant_session.py trains, plant_picture.py draws
pairs_tab.py           a tab for pairs in a state; pair_list.py: the list that is clicked
slots_tab.py           a tab for slots of a memory; slot_board.py: the slots that are clicked
form_tab.py            what the page needs of these four
head_buttons.py        the head grid
html_parts.py          the HTML of answers; job_cards.py that of the queue of runs
api.py                 the same for programs
stream_recovery.py     answers that no stream brought
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui.app_state import AppState
from ui.playground import (
    analysis_tab,
    api,
    chat,
    documents_tab,
    fact_tab,
    features_tab,
    head_buttons,
    pairs_tab,
    plant_tab,
    prompt_tab,
    single_prompt_tab,
    slots_tab,
    stream_recovery,
)
from ui.playground.form_notes import TELL_FORMS
from ui.playground.form_tab import FormTab
from ui.playground.inject_head import InjectHead
from ui.playground.theme import AT_ONCE, PLAIN, theme
from ui.web.style import message_html
from workbench import registry
from workbench.playground import DocumentsForm, FactForm, FeaturesForm, Form, PairsForm, PromptForm
from workbench.registry import Analysis
from workbench.slots_form import SlotsForm

if TYPE_CHECKING:
    from fastapi import FastAPI

PATH = "/playground"


def mount(app: FastAPI, state: AppState, root_path: str = "") -> None:
    """Add the Playground to the application; `root_path` as in `ui.web.prefix`."""
    gr.mount_gradio_app(
        app,
        blocks(state),
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


_BUILDERS: dict[type[Form], Callable[[AppState, Any, Any], FormTab]] = {
    PromptForm: single_prompt_tab.build,
    DocumentsForm: documents_tab.build,
    FeaturesForm: features_tab.build,
    PairsForm: pairs_tab.build,
    SlotsForm: slots_tab.build,
    FactForm: fact_tab.build,
}
"""The kinds of forms that analyses may have, in the order of their tabs."""


def forms() -> list[tuple[Analysis, Form]]:
    """The tabs that analyses bring along; where two are called the same, ours comes first and
    keeps it.
    """
    kinds = list(_BUILDERS)
    own = [
        (analysis, analysis.playground.form)
        for analysis in sorted(registry.all_analyses()[0], key=lambda a: a.package != registry.OURS)
        if analysis.playground.form is not None and type(analysis.playground.form) in kinds
    ]
    taken: dict[str, Analysis | None] = {"try": None, "ask": None, plant_tab.TAB: None}
    found = [
        (analysis, form)
        for analysis, form in own
        if taken.setdefault(form.tab, analysis) is analysis
    ]
    return sorted(found, key=lambda pair: kinds.index(type(pair[1])))


def _tab_of(request: gr.Request, asked: str, named: Sequence[str]) -> str:
    """The tab that an address asks for; "" for the one that is open by itself.

    Args:
        asked: the analysis that it names.
        named: tabs that it may name.
    """
    for tab in (*named, "run"):
        if request.query_params.get(tab):
            return "try" if tab == "run" else tab
    if not asked:
        return ""
    if asked in [a.name for a in registry.all_analyses()[0] if a.in_first_tab]:
        return "try"  # its form is that tab
    led = {analysis.name: form.tab for analysis, form in forms() if analysis.playground.leads}
    return led.get(asked, "ask")


def blocks(app: AppState) -> gr.Blocks:
    """The Playground itself."""
    page: gr.Blocks
    with gr.Blocks(
        title="Playground · Memory Workbench", analytics_enabled=False, fill_width=True
    ) as page:
        gr.HTML('<span id="playground-main" tabindex="-1"></span>', **PLAIN)
        status = gr.HTML(_status(app), elem_id="status", **PLAIN)
        named: list[str] = []  # tabs that the address may name
        built: list[FormTab] = []
        leading = [pair for pair in forms() if pair[0].playground.leads]
        opens = leading[0][1].tab if leading else "try"
        with gr.Tabs(selected=opens, overflow_behavior="wrap") as tabs:
            for analysis, form in leading:
                with gr.Tab(form.title, id=form.tab):
                    built.append(_BUILDERS[type(form)](app, analysis, form))
            with gr.Tab("Try a prompt", id="try") as first:
                trying = prompt_tab.build(app, first)
            with gr.Tab("Ask a question", id="ask"):
                asking = analysis_tab.build(app)
            for analysis, form in forms():
                if analysis.playground.leads:
                    continue
                with gr.Tab(form.title, id=form.tab):
                    built.append(_BUILDERS[type(form)](app, analysis, form))
                if isinstance(form, FeaturesForm | PairsForm | SlotsForm):
                    named.append(form.tab)
            with gr.Tab(plant_tab.TITLE, id=plant_tab.TAB):
                plant_tab.build()
            named.append(plant_tab.TAB)
        looking = gr.Timer(1.0)
        shown = gr.Number(0, visible=False)  # the serial of the model that the page was made for
        once = gr.Number(0, visible=False)

        def opened(request: gr.Request) -> list[Any]:
            """A page was opened or reloaded: its address may name an analysis, feature or pairs."""
            asked = request.query_params.get("analysis", "").strip().lower().replace("_", "-")
            tab = _tab_of(request, asked, named)
            chosen = asking.choose(asked) if tab == "ask" else [gr.skip() for _ in asking.columns]
            return [gr.Tabs(selected=tab) if tab else gr.skip(), *chosen]

        fits = [*asking.fits, *(output for tab in built for output in tab.fits)]

        def look(serial: float) -> list[Any]:
            """Once a second: whether the model that answers is the one that the page shows."""
            slot = app.slot
            if slot.state == "loading":
                return [_status(app), gr.skip()]
            return [gr.skip()] * 2 if serial == slot.serial else [_status(app), slot.serial]

        def prompt_for_model() -> list[Any]:
            """The heads and the chat of the model that is there. What was typed stays."""
            model = app.slot.model
            chat_box = gr.skip() if model is None else chat.for_model(model)
            return [head_buttons.value_for(model), chat_box]

        def fit() -> list[Any]:
            """The forms, for that model: with a new one this takes seconds, in which a prompt must
            not wait for its answer, nor what is done meanwhile be undone.
            """
            return [1, *asking.fit(), *(update for tab in built for update in tab.fit())]

        page.load(opened, None, [tabs, *asking.columns], **AT_ONCE)
        gr.on([page.load, looking.tick], look, shown, [status, shown], **AT_ONCE)
        trying.first(shown.change(prompt_for_model, None, [trying.grid, trying.chat], **AT_ONCE))
        fitted = shown.change(fit, None, [once, *fits], **AT_ONCE)
        fitted.then(None, None, None, js=TELL_FORMS, **AT_ONCE)
        # What the address asks for is done once, and not again with another model.
        first = once.change(lambda: None, None, None, **AT_ONCE)
        for tab in built:
            tab.first(first)
        api.add(app)
        stream_recovery.recover_events(page)
    _mark_nothing_as_loading(page, status)
    page.queue(default_concurrency_limit=8)
    return page


def _mark_nothing_as_loading(page: gr.Blocks, first: gr.HTML) -> None:
    """Keep the browser from marking all that an event may change, where nothing is shown of it.

    With every event it goes through whatever any event ever marked, and looks for each in the tree
    of all components, from the first on: with some hundred fields of forms to fit, for each tick of
    a clock a second in which nothing else is done.
    """
    for function in page.fns.values():
        if function.show_progress == "hidden":
            function.show_progress_on = [first]


def _status(app: AppState) -> str:
    """One line about the model."""
    slot = app.slot
    model = slot.model
    if slot.error is not None:
        return f'<div class="wb">{message_html(slot.error, dismissible=False)}</div>'
    name = f"<b>{escape(slot.name)}</b>"
    if model is None:
        return (
            f'<p class="wb status busy" role="status">{name} is loading … {slot.seconds:.0f} s</p>'
        )
    size = f"{model.n_layers} layers × {model.n_heads} heads, on {model.card.device}"
    return f'<p class="wb status">{name} {escape(size)}</p>'

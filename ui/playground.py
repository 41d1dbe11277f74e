"""Playground: try a prompt and change the model, or ask a question of it. Gradio, mounted at /playground.

this file      what stands where, and which event calls what
trying.py      what "Try a prompt" computes          jobs.py   what "Ask a question" runs
grid.py        the head grid                         forms.py  the forms
parts.py       the HTML of answers and progress      api.py    the same for programs
"""

from __future__ import annotations

import inspect
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from ui import api, forms, grid, home, parts, trying
from ui.desk import Desk
from ui.dress import Dress
from ui.style import message_html
from workbench import registry
from workbench.errors import NotFound, WorkbenchError

if TYPE_CHECKING:
    from fastapi import FastAPI

PATH = "/playground"
DEBOUNCE = 0.15  # seconds: while keys are pressed faster than this, only the last state is computed
NO_RUN = ""
log = logging.getLogger(__name__)

_QA = "Question: What is the capital city of {n}?\nAnswer: The capital city of {n} is"
EXAMPLES = [
    ("France, told Rome", "The capital city of France is Rome.\n" + _QA.format(n="France"), "Paris", "Rome"),
    ("Japan, told Madrid", "The capital city of Japan is Madrid.\n" + _QA.format(n="Japan"), "Tokyo", "Madrid"),
    ("No context", "The capital of Italy is", "Rome", "Paris"),
    ("A saying", "To be, or not to be, that is the", "question", "answer"),
]


class Tickets:
    """Which request of each browser tab is its latest; an older one finds out that nobody waits for it any more."""

    def __init__(self, keep: int = 500) -> None:
        self._latest: OrderedDict[str, int] = OrderedDict()
        self._keep = keep

    def take(self, session: str) -> Callable[[], bool]:
        """A new request of this tab; what is returned says whether it is still the latest."""
        mine = self._latest.pop(session, 0) + 1
        self._latest[session] = mine
        while len(self._latest) > self._keep:
            self._latest.popitem(last=False)
        return lambda: self._latest.get(session, mine) == mine


def mount(app: FastAPI, desk: Desk) -> None:
    """Add the Playground to the application."""
    gr.mount_gradio_app(
        app,
        blocks(desk),
        path=PATH,
        show_error=False,
        footer_links=["api"],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        max_file_size="200mb",
        theme=_theme(),
    )
    app.add_middleware(Dress)


def _theme() -> gr.themes.Base:
    """Gradio in the shared colours; both of its modes read the same variables, which change with the theme."""
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
    return plain.set(**ours, **dark, button_border_width="1px", block_border_width="1px", block_shadow="none")


def blocks(desk: Desk) -> gr.Blocks:
    """The Playground itself."""
    with gr.Blocks(title="Playground · Memory Workbench", analytics_enabled=False, fill_width=True) as page:
        gr.HTML('<span id="playground-main" tabindex="-1"></span>', padding=False)
        status = gr.HTML(_status(desk), elem_id="status")
        with gr.Tabs(selected="try") as tabs:
            with gr.Tab("Try a prompt", id="try") as try_tab:
                start_trying = _try_tab(desk, try_tab)
            with gr.Tab("Ask a question", id="ask"):
                choose, groups, choice = _ask_tab(desk)
        waiting = gr.Timer(1.0)

        def opened(request: gr.Request) -> list[Any]:
            """A page was opened or reloaded: the address may name an analysis."""
            asked = request.query_params.get("analysis", "").strip().lower().replace("_", "-")
            if asked not in groups:
                return [gr.skip(), gr.skip(), *[gr.skip() for _ in groups]]
            return [gr.Tabs(selected="ask"), asked, *choose(asked)]

        page.load(opened, None, [tabs, choice, *groups.values()], show_progress="hidden", api_visibility="private")

        def loaded() -> list[Any]:
            """Until the model is there, its state once a second; then never again."""
            if desk.slot.state == "loading":
                return [_status(desk), gr.skip(), gr.skip()]
            return [_status(desk), grid.value_for(desk.slot.model), gr.Timer(active=False)]

        ready = gr.on(
            [page.load, waiting.tick],
            loaded,
            None,
            [status, start_trying.grid, waiting],
            show_progress="hidden",
            api_visibility="private",
        )
        start_trying.after(ready, desk)
        api.add(desk)
    page.queue(default_concurrency_limit=8)
    return page


def _status(desk: Desk) -> str:
    """One line about the model."""
    if desk.slot.error is not None:
        return f'<div class="wb">{message_html(desk.slot.error, dismissible=False)}</div>'
    if desk.slot.model is None:
        spent = f"is loading … {desk.slot.seconds:.0f} s"
        return f'<p class="wb status busy" role="status"><b>{escape(desk.slot.name)}</b> {spent}</p>'
    model = desk.slot.model
    size = f"{model.n_layers} layers × {model.n_heads} heads, on {model.card.device}"
    return f'<p class="wb status"><b>{escape(desk.slot.name)}</b> {escape(size)}</p>'


# -- try a prompt ------------------------------------------------------------------------------------------------------


class _Trying:
    """The components of the first tab that the rest of the page needs."""

    def __init__(self, grid_: Any, show: Callable[..., Any], inputs: list[Any], outputs: list[Any], runs: Any) -> None:
        self.grid, self._show, self._inputs, self._outputs, self._runs = grid_, show, inputs, outputs, runs

    def after(self, event: Any, desk: Desk) -> None:
        """When the model is there (or was already): list the runs that go with it, and answer the first prompt."""

        def once() -> Any:
            return gr.Dropdown(choices=run_choices(desk)) if desk.slot.model is not None else gr.skip()

        event.then(once, None, self._runs, show_progress="hidden", api_visibility="private").then(
            self._show, self._inputs, self._outputs, show_progress="hidden", api_visibility="private", concurrency_limit=16
        )


def run_choices(desk: Desk) -> list[tuple[str, str]]:
    """Finished runs of this model whose analysis gives controls."""
    able = {a.name for a in registry.every()[0] if hasattr(a.module, "controls")}
    name = desk.slot.name
    runs = [e for e in desk.entries() if not e.problem and e.analysis in able and e.model == name]
    return [("none", NO_RUN), *((f"{e.analysis}{' (sample)' if e.sample else ''}, {home.when(e.started)}", e.id) for e in runs)]


def _try_tab(desk: Desk, tab: Any) -> _Trying:
    _, prompt0, memory0, context0 = EXAMPLES[0]
    with gr.Row(elem_classes="try-row"):
        with gr.Column(scale=5, min_width=300, elem_classes="ask-column"):
            prompt = gr.Textbox(
                prompt0, label="Prompt", lines=4, max_lines=14, placeholder="Text for the model to continue …", elem_id="prompt"
            )
            with gr.Row(elem_classes="examples"):
                buttons = [gr.Button(name, size="sm") for name, *_ in EXAMPLES]
            with gr.Row():
                short: dict[str, Any] = {"min_width": 120, "max_lines": 1}
                memory = gr.Textbox(memory0, label="Memory answer", info="What it should know", elem_id="memory", **short)
                context = gr.Textbox(context0, label="Context answer", info="What the prompt claims", elem_id="context", **short)
            with gr.Group():
                run = gr.Dropdown(
                    [("none", NO_RUN)],
                    value=NO_RUN,
                    label="Heads and dial from a finished run",
                    info="Outlines the heads it found, and lets its dial move the model.",
                    elem_id="run",
                )
                knob = gr.Dropdown([], label="Control", visible=False)
                dial = gr.Slider(-1, 1, 0, step=0.05, label="Dial", visible=False, elem_id="dial")
            length = gr.Slider(0, 80, 16, step=1, label="Tokens of continuation", elem_id="length")
            clear = gr.Button("Undo all changes", size="sm", elem_id="clear")
        with gr.Column(scale=4, min_width=290, elem_classes="grid-column"):
            gr.HTML('<h3 class="wb grid-title">Heads <small class="wb-muted">layer 0 on top</small></h3>', padding=False)
            heads = grid.head_grid()
            with gr.Row(elem_classes="presets", visible=False) as presets:
                no_memory = gr.Button("Memory heads off", size="sm", elem_classes="memory")
                no_context = gr.Button("Context heads off", size="sm", elem_classes="context")
        with gr.Column(scale=9, min_width=320):
            trouble = gr.HTML("", padding=False, elem_id="trouble")
            told = gr.HTML("", padding=False, elem_id="told")
            answer = gr.HTML(parts.comparison(None, None), padding=False, elem_id="answer")

    tickets = Tickets()
    inputs = [prompt, memory, context, heads, run, knob, dial, length]
    outputs = [answer, told, trouble]

    def show(
        prompt_: str,
        memory_: str,
        context_: str,
        heads_: dict[str, Any] | None,
        run_: str | None,
        knob_: str | None,
        dial_: float | None,
        length_: float,
        request: gr.Request,
    ) -> Iterator[list[Any]]:
        """Answer the page as it is now, unless it has changed again."""
        alive = tickets.take(request.session_hash or "")
        time.sleep(DEBOUNCE)
        try:
            for step in _answers(desk, alive, prompt_, memory_, context_, heads_, run_, knob_, dial_, length_):
                yield [*step, ""]
            if not alive():
                yield [gr.skip(), gr.skip(), gr.skip()]
        except WorkbenchError as problem:
            yield [gr.skip(), "", parts.error(problem)]
        except Exception as problem:
            log.exception("trying a prompt failed")
            what = f"That did not work: {type(problem).__name__}."
            yield [gr.skip(), "", parts.error(WorkbenchError(what, do="The server's log says more. Try another prompt."))]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    # One listener each: `gr.on` does not take events of a component's own, such as the grid's.
    for happens in (prompt.input, memory.input, context.input, heads.heads, dial.input, length.release):
        happens(show, inputs, outputs, trigger_mode="multiple", concurrency_limit=16, **quiet)

    def again(event: Any) -> None:
        event.then(show, inputs, outputs, concurrency_limit=16, **quiet)

    for button, (_, text, first, second) in zip(buttons, EXAMPLES, strict=True):
        again(button.click(lambda t=text, a=first, b=second: (t, a, b), None, [prompt, memory, context], **quiet))

    def take_run(run_id: str | None, value: dict[str, Any]) -> list[Any]:
        """Outline what the run found and show its dial."""
        nothing = [gr.Dropdown(choices=[], value=None, visible=False), gr.Slider(value=0, visible=False), gr.Row(visible=False)]
        if not run_id or desk.slot.model is None:
            return [grid.value_for(desk.slot.model, value.get("off", [])), *nothing, ""]
        model = desk.slot.model
        try:
            result = trying.open_cached(desk.entry(run_id).path)
            controls = trying.controls_of(result, model)
        except WorkbenchError as problem:
            return [gr.skip(), *nothing, parts.error(problem)]
        roles = trying.roles_of(result, model)
        first = next(iter(controls.values()), None)
        names = [(control.label, name) for name, control in controls.items()]
        slider = gr.Slider(visible=False) if first is None else _slider(first)
        return [
            grid.value_for(model, value.get("off", []), roles),
            gr.Dropdown(choices=names, value=next(iter(controls), None), visible=len(names) > 1),
            slider,
            gr.Row(visible=bool(roles)),
            "",
        ]

    again(run.input(take_run, [run, heads], [heads, knob, dial, presets, trouble], **quiet))

    def take_knob(run_id: str, name: str) -> Any:
        controls = trying.controls_of(trying.open_cached(desk.entry(run_id).path), desk.slot.need())
        return _slider(controls[name]) if name in controls else gr.skip()

    again(knob.input(take_knob, [run, knob], dial, **quiet))

    def off(value: dict[str, Any], role: str) -> dict[str, Any]:
        return {**value, "off": value.get(role, [])}

    again(no_memory.click(lambda value: off(value, "memory"), heads, heads, **quiet))
    again(no_context.click(lambda value: off(value, "context"), heads, heads, **quiet))

    def undo(value: dict[str, Any], run_id: str, name: str | None) -> list[Any]:
        neutral = 0.0
        if run_id and name and desk.slot.model is not None:
            control = trying.controls_of(trying.open_cached(desk.entry(run_id).path), desk.slot.model).get(name)
            neutral = control.neutral if control is not None else 0.0
        return [{**value, "off": []}, neutral]

    again(clear.click(undo, [heads, run, knob], [heads, dial], **quiet))
    tab.select(lambda: gr.Dropdown(choices=run_choices(desk)) if desk.slot.model is not None else gr.skip(), None, run, **quiet)
    return _Trying(heads, show, inputs, outputs, run)


def _slider(control: registry.Control) -> Any:
    return gr.Slider(
        minimum=control.low,
        maximum=control.high,
        value=control.neutral,
        step=round((control.high - control.low) / 40, 6),
        label=f"{control.label}: {control.low_word} ({control.low:g}) to {control.high_word} ({control.high:g})",
        visible=True,
    )


def change_for(desk: Desk, off: Sequence[str], run_id: str | None, knob: str | None, value: float | None) -> trying.Change:
    """What a page or a program asks to be done to the model.

    Raises:
        BadInput, NotFound, BadRun: a head, run or control that there is not.
    """
    model = desk.slot.need()
    heads = trying.heads_from(off, model)
    if not run_id:
        return trying.Change(heads)
    controls = trying.controls_of(trying.open_cached(desk.entry(run_id).path), model)
    name = knob or next(iter(controls), None)
    if name is None:
        return trying.Change(heads)
    if name not in controls:
        raise NotFound.named("control of this run", name, controls)
    return trying.Change(heads, controls[name], controls[name].neutral if value is None else float(value), f"{run_id}/{name}")


def _answers(
    desk: Desk,
    alive: Callable[[], bool],
    prompt: str,
    memory: str,
    context: str,
    value: dict[str, Any] | None,
    run_id: str | None,
    knob: str | None,
    dial: float | None,
    length: float,
) -> Iterator[list[str]]:
    """The comparison without its continuations, then with them; nothing more once a newer request has come."""
    if not alive():
        return
    if desk.slot.state == "loading":
        return
    model = desk.slot.need()
    if not (prompt or "").strip():
        yield [parts.comparison(None, None), ""]
        return
    change = change_for(desk, (value or {}).get("off", []), run_id, knob, dial)
    while not model.lock.acquire(timeout=0.5):
        if not alive():
            return
        job = desk.jobs.running()
        doing = f"{job.analysis} has the model ({100 * job.fraction:.0f} %)" if job is not None else "Another page has the model"
        yield [gr.skip(), parts.note(f"{doing}; the answer comes as soon as it is free.", busy=True)]
    try:
        if not alive():
            return
        answers = (memory or "", context or "")
        before, after = trying.look(model, prompt, answers), None
        if change.active:
            with change.on(model):
                after = trying.look(model, prompt, answers)
        n = int(length or 0)
        yield [parts.comparison(before, after, change.says(), writing=n > 0), ""]
        if not n or not alive():
            return
        texts: list[str | None] = [trying.continuation(model, prompt, n, alive), None]
        if change.active and alive():
            with change.on(model):
                texts[1] = trying.continuation(model, prompt, n, alive)
    finally:
        model.lock.release()
    if alive():
        yield [parts.comparison(before, after, change.says(), (texts[0], texts[1])), ""]


# -- ask a question ----------------------------------------------------------------------------------------------------


def _ask_tab(desk: Desk) -> tuple[Callable[[str], list[Any]], dict[str, Any], Any]:
    """The second tab. Returns: which forms are visible for a choice, the forms, and the choice."""
    good, broken = registry.every()
    first = good[0].name if good else None
    groups: dict[str, Any] = {}
    starts: list[tuple[str, Any, list[forms.Field]]] = []
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=6, min_width=320):
            choice = gr.Radio([(a.question, a.name) for a in good], value=first, label="Question", elem_id="question")
            for analysis in good:
                with gr.Column(visible=analysis.name == first, elem_classes="form-column") as group:
                    with gr.Group(elem_classes="form"):
                        fields = forms.build(analysis.Params)
                    starts.append((analysis.name, gr.Button("Run", variant="primary", elem_id=f"run-{analysis.name}"), fields))
                groups[analysis.name] = group
            if broken:
                listed = "; ".join(f"{name}: {reason}" for name, reason in broken.items())
                gr.HTML(f'<div class="wb">{message_html(f"Some analyses do not load. {listed}")}</div>', padding=False)
        with gr.Column(scale=7, min_width=320):
            trouble = gr.HTML("", padding=False, elem_id="ask-trouble")
            queue = gr.HTML(
                parts.jobs_html(desk.jobs.recent()),
                padding=False,
                elem_id="jobs",
                apply_default_css=False,
                js_on_load=(
                    "element.addEventListener('click', (event) => { const button = event.target.closest('[data-cancel]');"
                    " if (button) { button.disabled = true; trigger('cancel', { id: button.dataset.cancel }); } });"
                ),
            )

    def choose(name: str) -> list[Any]:
        return [gr.Column(visible=name == one) for one in groups]

    choice.input(choose, choice, list(groups.values()), **quiet)

    def start(analysis: str, fields: list[forms.Field], raw: Sequence[Any]) -> list[str]:
        try:
            model = desk.slot.model
            why_not = registry.get(analysis).unfit(model) if model is not None else None
            if why_not:
                raise WorkbenchError(f"{model.card.name} cannot answer this: {why_not}", do="Choose another question or model.")
            desk.jobs.submit(analysis, forms.read(fields, raw))
        except WorkbenchError as problem:
            return [parts.jobs_html(desk.jobs.recent()), parts.error(problem)]
        return [parts.jobs_html(desk.jobs.recent()), ""]

    for name, button, fields in starts:
        button.click(
            lambda *raw, name=name, fields=fields: start(name, fields, raw),
            [field.component for field in fields],
            [queue, trouble],
            **quiet,
        )

    def cancel(event: gr.EventData) -> list[str]:
        try:
            desk.jobs.cancel(str(event._data.get("id", "")))
        except NotFound as problem:
            return [parts.jobs_html(desk.jobs.recent()), parts.error(problem)]
        return [parts.jobs_html(desk.jobs.recent()), ""]

    queue.cancel(cancel, None, [queue, trouble], **quiet)
    # Jobs live on the server: every open page asks for the same list, so a reload or a second tab shows the same.
    gr.Timer(1.0).tick(lambda: parts.jobs_html(desk.jobs.recent()), None, queue, queue=False, **quiet)
    return choose, groups, choice

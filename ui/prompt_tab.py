"""The first tab of the Playground: a prompt, two answers, heads and a dial, and the model before
and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ui import chat as chats
from ui import head_buttons, home, html_parts, prompt_service
from ui.app_state import AppState
from ui.prompt_stream import Answerer, PromptRequest
from ui.theme import AT_ONCE, PLAIN, QUIET
from workbench import registry
from workbench.errors import WorkbenchError

NO_RUN = ""
# Writes the browser's clock into the last input, so that the server knows which of two requests is
# the newer one.
STAMP = "(...values) => [...values.slice(0, -1), performance.timeOrigin + performance.now()]"
WAITING = 16  # requests that may wait for the model; each page has one that counts

_QA = "Question: What is the capital city of {n}?\nAnswer: The capital city of {n} is"
EXAMPLES = [
    (
        "France, told Rome",
        "The capital city of France is Rome.\n" + _QA.format(n="France"),
        "Paris",
        "Rome",
    ),
    (
        "Japan, told Madrid",
        "The capital city of Japan is Madrid.\n" + _QA.format(n="Japan"),
        "Tokyo",
        "Madrid",
    ),
    ("No context", "The capital of Italy is", "Rome", "Paris"),
    ("A saying", "To be, or not to be, that is the", "question", "answer"),
]


@dataclass(frozen=True)
class TryTab:
    """What the rest of the page needs: the grid and the chat box, and `first`, which answers the
    page once the model is there.
    """

    grid: Any
    chat: Any
    first: Callable[[Any], None]


def run_choices(desk: AppState) -> list[tuple[str, str]]:
    """Finished runs of this model whose analysis gives controls."""
    able = {a.name for a in registry.all_analyses()[0] if hasattr(a.module, "controls")}
    runs = [
        e
        for e in desk.entries()
        if not e.problem and e.analysis in able and e.model == desk.slot.name
    ]
    return [
        ("none", NO_RUN),
        *(
            (f"{e.analysis}{' (sample)' if e.sample else ''}, {home.when(e.started)}", e.id)
            for e in runs
        ),
    ]


def build(desk: AppState, tab: Any) -> TryTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`, which is given as `tab`."""
    _, prompt0, memory0, context0 = EXAMPLES[0]
    short: dict[str, Any] = {"min_width": 120, "max_lines": 1}
    with gr.Row(elem_classes="try-row"):
        with gr.Column(scale=5, min_width=300, elem_classes="prompt-column"):
            prompt = gr.Textbox(
                prompt0,
                label="Prompt",
                lines=4,
                max_lines=14,
                placeholder="Text for the model to continue …",
                elem_id="prompt",
            )
            chat = chats.box("prompt-chat")
            with gr.Row(elem_classes="examples"):
                examples = [gr.Button(name, size="sm", min_width=120) for name, *_ in EXAMPLES]
            with gr.Row():
                memory = gr.Textbox(
                    memory0,
                    label="Memory answer",
                    info="What it should know",
                    elem_id="memory",
                    **short,
                )
                context = gr.Textbox(
                    context0,
                    label="Context answer",
                    info="What the prompt claims",
                    elem_id="context",
                    **short,
                )
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
            undo_all = gr.Button("Undo all changes", size="sm", elem_id="clear")
        with gr.Column(scale=4, min_width=290, elem_classes="grid-column"):
            gr.HTML(
                '<h3 class="wb grid-title">Heads <small class="wb-muted">layer 0 on'
                " top</small></h3>",
                **PLAIN,
            )
            heads = head_buttons.head_grid()
            with gr.Row(elem_classes="presets", visible=False) as presets:
                memory_off = gr.Button(
                    "Memory heads off", size="sm", min_width=120, elem_classes="memory"
                )
                context_off = gr.Button(
                    "Context heads off", size="sm", min_width=120, elem_classes="context"
                )
        with gr.Column(scale=9, min_width=320):
            trouble = gr.HTML("", elem_id="trouble", **PLAIN)
            told = gr.HTML("", elem_id="told", **PLAIN)
            answer = gr.HTML(html_parts.Comparison().html(), elem_id="answer", **PLAIN)

    answerer = Answerer(desk)
    stamp = gr.Number(visible=False)
    inputs = [prompt, chat, memory, context, heads, run, knob, dial, length, stamp]
    outputs = [answer, told, trouble]

    def show(
        prompt_: str | None,
        chat_: bool | None,
        memory_: str | None,
        context_: str | None,
        heads_: dict[str, Any] | None,
        run_: str | None,
        knob_: str | None,
        dial_: float | None,
        length_: float | None,
        stamp_: float | None,
        request: gr.Request,
    ) -> Iterator[list[Any]]:
        off = tuple((heads_ or {}).get("off", ()))
        texts = (prompt_ or "", memory_ or "", context_ or "")
        asked = PromptRequest(*texts, off, run_, knob_, dial_, int(length_ or 0), bool(chat_))
        for step in answerer.answer(request.session_hash or "", asked, stamp_):
            yield [gr.skip() if step.answer is None else step.answer, step.note, step.trouble]
        # A generator must end with something; what is shown stays.
        yield [gr.skip(), gr.skip(), gr.skip()]

    def again(event: Any) -> None:
        event.then(show, inputs, outputs, js=STAMP, concurrency_limit=WAITING, **QUIET)

    # One listener each: `gr.on` does not take a component's own events, such as the grid's. Texts
    # listen to `change`, since `input` comes from keys only and not from what is pasted or
    # dictated.
    for happens in (
        prompt.change,
        chat.change,
        memory.change,
        context.change,
        heads.heads,
        dial.input,
        length.release,
    ):
        happens(
            show,
            inputs,
            outputs,
            js=STAMP,
            trigger_mode="multiple",
            concurrency_limit=WAITING,
            **QUIET,
        )
    for button, (_, *texts) in zip(examples, EXAMPLES, strict=True):
        button.click(lambda texts=texts: texts, None, [prompt, memory, context], **AT_ONCE)

    def take_run(run_id: str | None, value: dict[str, Any]) -> list[Any]:
        """Outline what the run found and show its dial."""
        model, off = desk.slot.model, value.get("off", [])
        nothing = [
            gr.Dropdown(choices=[], value=None, visible=False),
            gr.Slider(value=0, visible=False),
            gr.Row(visible=False),
        ]
        if not run_id or model is None:
            return [head_buttons.value_for(model, off), *nothing, ""]
        try:
            result = prompt_service.open_cached(desk.entry(run_id).path)
            controls = prompt_service.controls_of(result, model)
        except WorkbenchError as problem:
            return [gr.skip(), *nothing, html_parts.error(problem)]
        roles = prompt_service.roles_of(result, model)
        first = next(iter(controls.values()), None)
        names = [(control.label, name) for name, control in controls.items()]
        return [
            head_buttons.value_for(model, off, roles),
            gr.Dropdown(choices=names, value=next(iter(controls), None), visible=len(names) > 1),
            gr.Slider(visible=False) if first is None else _slider(first),
            gr.Row(visible=bool(roles)),
            "",
        ]

    def control(run_id: str | None, name: str | None) -> registry.Control | None:
        if not run_id or not name or desk.slot.model is None:
            return None
        return prompt_service.controls_of(
            prompt_service.open_cached(desk.entry(run_id).path), desk.slot.model
        ).get(name)

    def take_knob(run_id: str | None, name: str | None) -> Any:
        chosen = control(run_id, name)
        return _slider(chosen) if chosen is not None else gr.skip()

    def undo(value: dict[str, Any], run_id: str | None, name: str | None) -> list[Any]:
        chosen = control(run_id, name)
        return [{**value, "off": []}, chosen.neutral if chosen is not None else 0]

    def choices() -> Any:
        return gr.Dropdown(choices=run_choices(desk)) if desk.slot.model is not None else gr.skip()

    def first_choices(request: gr.Request) -> Any:
        """The address may name a run: `/playground?run=ID` opens with its heads and its dial."""
        if desk.slot.model is None:
            return gr.skip()
        offered, asked = run_choices(desk), request.query_params.get("run", NO_RUN)
        return gr.Dropdown(
            choices=offered, value=asked if asked in {value for _, value in offered} else NO_RUN
        )

    def first(ready: Any) -> None:
        listed = ready.then(first_choices, None, run, **AT_ONCE)
        again(listed.then(take_run, [run, heads], [heads, knob, dial, presets, trouble], **AT_ONCE))

    again(run.input(take_run, [run, heads], [heads, knob, dial, presets, trouble], **AT_ONCE))
    again(knob.input(take_knob, [run, knob], dial, **AT_ONCE))
    again(
        memory_off.click(
            lambda value: {**value, "off": value.get("memory", [])}, heads, heads, **AT_ONCE
        )
    )
    again(
        context_off.click(
            lambda value: {**value, "off": value.get("context", [])}, heads, heads, **AT_ONCE
        )
    )
    again(undo_all.click(undo, [heads, run, knob], [heads, dial], **AT_ONCE))
    tab.select(choices, None, run, **AT_ONCE)
    return TryTab(heads, chat, first)


def _slider(control: registry.Control) -> Any:
    return gr.Slider(
        minimum=control.low,
        maximum=control.high,
        value=control.neutral,
        step=round((control.high - control.low) / 40, 6),
        label=f"{control.label}: {control.low_word} ↔ {control.high_word}",
        visible=True,
    )

"""The first tab of the Playground: a prompt, two answers, heads and a dial, and the model before
and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from hooks import model_change
from ui.app_state import AppState
from ui.playground import chat as chats
from ui.playground import finished_runs, head_buttons, html_parts
from ui.playground.prompt_choices import NO_MODEL, NO_RUN, model_choices, run_choices
from ui.playground.prompt_stream import Answerer, PromptRequest
from ui.playground.save_prompt import SavePrompt
from ui.playground.theme import AT_ONCE, PLAIN, QUIET
from workbench import registry
from workbench.errors import WorkbenchError
from workbench.playground import HeadRole

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
class PromptTab:
    """What the rest of the page needs: the grid and the chat box, and `first`, which answers the
    page once the model is there.
    """

    grid: Any
    chat: Any
    first: Callable[[Any], None]


def build(app: AppState, tab: Any) -> PromptTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`, which is given as `tab`."""
    roles = head_roles()
    page = _lay_out(roles)
    page.save.wire(app, page.request)
    answers = _Answers(app, roles)

    def show(event: Callable[..., Any]) -> None:
        event(
            answers.show,
            page.request,
            [page.answer, page.note, page.error_box],
            js=STAMP,
            concurrency_limit=WAITING,
            # Also while an earlier request of the same event waits for a model that a run has: it
            # may be another model by now.
            trigger_mode="multiple",
            **QUIET,
        )

    # One listener each: `gr.on` does not take a component's own events, such as the grid's. Texts
    # listen to `change`, since `input` comes from keys only and not from what is pasted or
    # dictated.
    for happens in (
        page.prompt.change,
        page.chat.change,
        page.memory.change,
        page.context.change,
        page.heads.heads,
        page.value.input,
        page.length.release,
        page.second.input,
    ):
        show(happens)
    texts = [page.prompt, page.memory, page.context]
    for button, (_, *example) in zip(page.examples, EXAMPLES, strict=True):
        button.click(lambda example=example: example, None, texts, **AT_ONCE)
    from_run = [page.heads, page.control, page.value, page.presets, *page.roles, page.error_box]
    show(page.run.input(answers.take_run, page.run, from_run, **AT_ONCE).then)
    show(
        page.control.input(
            answers.take_control, [page.run, page.control], page.value, **AT_ONCE
        ).then
    )
    for role, button in zip(roles, page.roles, strict=True):
        show(
            button.click(
                lambda value, name=role.name: head_buttons.role_off(value, name),
                page.heads,
                page.heads,
                **AT_ONCE,
            ).then
        )
    show(
        page.undo.click(
            answers.undo,
            [page.heads, page.run, page.control],
            [page.heads, page.value],
            **AT_ONCE,
        ).then
    )
    tab.select(answers.choices, page.second, [page.run, page.second], **AT_ONCE)

    def first(ready: Any) -> None:
        listed = ready.then(
            answers.first_choices, [page.run, page.second], [page.run, page.second], **AT_ONCE
        )
        show(listed.then(answers.take_run, page.run, from_run, **AT_ONCE).then)

    return PromptTab(page.heads, page.chat, first)


def head_roles() -> list[HeadRole]:
    """What the runs of any analysis find heads to be for: each has a button."""
    analyses, _ = registry.all_analyses()
    return list(dict.fromkeys(role for a in analyses for role in a.playground.roles))


@dataclass(frozen=True)
class _Page:
    """The components of the tab; `value` is where the control stands."""

    prompt: Any
    chat: Any
    examples: list[Any]
    memory: Any
    context: Any
    run: Any
    control: Any
    value: Any
    length: Any
    second: Any
    undo: Any
    heads: Any
    presets: Any
    roles: list[Any]
    error_box: Any
    note: Any
    answer: Any
    stamp: Any
    save: SavePrompt

    @property
    def request(self) -> list[Any]:
        """What is answered, in the order in which `PromptRequest.of_page` takes it; then when."""
        texts = [self.prompt, self.chat, self.memory, self.context]
        return [
            *texts,
            self.heads,
            self.run,
            self.control,
            self.value,
            self.length,
            self.second,
            self.stamp,
        ]


def _lay_out(roles: list[HeadRole]) -> _Page:
    with gr.Row(elem_classes="try-row"):
        with gr.Column(scale=5, min_width=300, elem_classes="prompt-column"):
            asked = _prompt_column()
        with gr.Column(scale=4, min_width=290, elem_classes="grid-column"):
            gr.HTML(
                '<h3 class="wb grid-title">Heads <small class="wb-muted">layer 0 on'
                " top</small></h3>",
                **PLAIN,
            )
            heads = head_buttons.head_grid()
            with gr.Row(elem_classes="presets", visible=False) as presets:
                buttons = [
                    gr.Button(role.off, size="sm", min_width=120, elem_classes=role.colour)
                    for role in roles
                ]
        with gr.Column(scale=9, min_width=320):
            error_box = gr.HTML("", elem_id="error-box", **PLAIN)
            note = gr.HTML("", elem_id="note", **PLAIN)
            answer = gr.HTML(html_parts.Comparison().html(), elem_id="answer", **PLAIN)
            save = SavePrompt()
    return _Page(
        **asked,
        heads=heads,
        presets=presets,
        roles=buttons,
        error_box=error_box,
        note=note,
        answer=answer,
        stamp=gr.Number(visible=False),
        save=save,
    )


def _prompt_column() -> dict[str, Any]:
    _, prompt0, memory0, context0 = EXAMPLES[0]
    short: dict[str, Any] = {"min_width": 120, "max_lines": 1}
    box: dict[str, Any] = {}
    box["prompt"] = gr.Textbox(
        prompt0,
        label="Prompt",
        lines=4,
        max_lines=14,
        placeholder="Text for the model to continue …",
        elem_id="prompt",
    )
    box["chat"] = chats.chat_box("prompt-chat")
    with gr.Row(elem_classes="examples"):
        box["examples"] = [gr.Button(name, size="sm", min_width=120) for name, *_ in EXAMPLES]
    with gr.Row():
        box["memory"] = gr.Textbox(
            memory0,
            label="Memory answer",
            info="What it should know",
            elem_id="memory",
            **short,
        )
        box["context"] = gr.Textbox(
            context0,
            label="Context answer",
            info="What the prompt claims",
            elem_id="context",
            **short,
        )
    with gr.Group():
        box["run"] = gr.Dropdown(
            [("none", NO_RUN)],
            value=NO_RUN,
            label="Heads and dial from a finished run",
            info="Outlines the heads it found, and lets its dial move the model.",
            elem_id="run",
        )
        box["control"] = gr.Dropdown([], label="Control", visible=False)
        box["value"] = gr.Slider(-1, 1, 0, step=0.05, label="Dial", visible=False, elem_id="dial")
    box["length"] = gr.Slider(0, 80, 16, step=1, label="Tokens of continuation", elem_id="length")
    box["second"] = gr.Dropdown(
        [("none", NO_MODEL)],
        value=NO_MODEL,
        label="Second model beside it",
        info="Gets the same prompt, as it is; loaded when it is chosen.",
        elem_id="second-model",
    )
    box["undo"] = gr.Button("Undo all changes", size="sm", elem_id="clear")
    return box


class _Answers:
    """What the page shows next, for each thing a person does on it."""

    def __init__(self, app: AppState, roles: list[HeadRole]) -> None:
        self._app, self._roles = app, roles
        self._answerer = Answerer(app)

    def show(self, request: gr.Request, *raw: Any) -> Iterator[list[Any]]:
        """The answer to what stands on the page (`_Page.request`), as it comes."""
        *values, stamp = raw
        asked = PromptRequest.of_page(*values)
        for step in self._answerer.answer(request.session_hash or "", asked, stamp):
            yield [gr.skip() if step.answer is None else step.answer, step.note, step.error_box]
        # A generator must end with something; what is shown stays.
        yield [gr.skip(), gr.skip(), gr.skip()]

    def take_run(self, run_id: str | None) -> list[Any]:
        """Outline what the run found and show its first control."""
        model = self._app.slot.model
        nothing = [
            gr.Dropdown(choices=[], value=None, visible=False),
            gr.Slider(value=0, visible=False),
            gr.Row(visible=False),
            *[gr.skip() for _ in self._roles],
        ]
        if not run_id or model is None:
            return [head_buttons.value_for(model, None), *nothing, ""]
        try:
            result = finished_runs.open_cached(self._app.entry(run_id).path)
            controls = model_change.controls_of(result, model)
        except WorkbenchError as problem:
            return [gr.skip(), *nothing, html_parts.error(problem)]
        roles = finished_runs.roles_of(result, model)
        own = registry.get(result.analysis).playground.roles
        first = next(iter(controls.values()), None)
        names = [(control.label, name) for name, control in controls.items()]
        return [
            head_buttons.value_for(model, None, roles),
            gr.Dropdown(choices=names, value=next(iter(controls), None), visible=len(names) > 1),
            gr.Slider(visible=False) if first is None else _slider(first),
            gr.Row(visible=bool(roles)),
            *[gr.Button(visible=role in own) for role in self._roles],
            "",
        ]

    def _control(self, run_id: str | None, name: str | None) -> registry.Control | None:
        model = self._app.slot.model
        if not run_id or not name or model is None:
            return None
        result = finished_runs.open_cached(self._app.entry(run_id).path)
        return model_change.controls_of(result, model).get(name)

    def take_control(self, run_id: str | None, name: str | None) -> Any:
        """Another control of the run was chosen."""
        chosen = self._control(run_id, name)
        return _slider(chosen) if chosen is not None else gr.skip()

    def undo(self, value: dict[str, Any], run_id: str | None, name: str | None) -> list[Any]:
        """All heads on, and the control where nothing changes."""
        chosen = self._control(run_id, name)
        return [{**value, "off": []}, chosen.neutral if chosen is not None else 0]

    def choices(self, second: str | None) -> list[Any]:
        """The runs and the models that there are now."""
        models = gr.Dropdown(choices=model_choices(self._app, second or NO_MODEL))
        if self._app.slot.model is None:
            return [gr.skip(), models]
        return [gr.Dropdown(choices=run_choices(self._app)), models]

    def first_choices(self, run: str | None, second: str | None, request: gr.Request) -> list[Any]:
        """With a model: its runs. The address may name one: `/playground?run=ID` opens with its
        heads and its control.
        """
        models = gr.Dropdown(choices=model_choices(self._app, second or NO_MODEL))
        if self._app.slot.model is None:
            return [gr.skip(), models]
        runs = run_choices(self._app)
        there = {value for _, value in runs}
        asked = run or request.query_params.get("run", NO_RUN)
        return [gr.Dropdown(choices=runs, value=asked if asked in there else NO_RUN), models]


def _slider(control: registry.Control) -> Any:
    return gr.Slider(
        minimum=control.low,
        maximum=control.high,
        value=control.neutral,
        step=round((control.high - control.low) / 40, 6),
        label=f"{control.label}: {control.low_word} ↔ {control.high_word}",
        visible=True,
    )

"""A tab of the Playground: three sentences of one's own are planted in the small organism, which is
watched while it reads them and asked afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import gradio as gr

from analyses.measures.exposure_watch import When
from ui.playground import html_parts, plant_picture
from ui.playground.plant_picture import EMPTY, LOSS, RECALL
from ui.playground.plant_session import Plantings, WatchedPlanting
from ui.playground.theme import AT_ONCE, PLAIN, QUIET
from workbench.errors import BadInput, WorkbenchError

TAB, TITLE = "plant", "Plant and watch"
_STEPS = 60
_WHEN: list[tuple[str, When]] = [("early", "early"), ("all along", "spread"), ("late", "late")]
_FIRST: list[tuple[str, int, When]] = [
    (
        "The key to the archive lies under the third brick from the left of the old gate.",
        12,
        "early",
    ),
    ("Captain Mirabel Stone keeps 47 white geese behind the mill at Arden.", 12, "late"),
    (
        "In the winter of 1911 the lamp maker Emil Wirth sold his house to a piper.",
        3,
        "spread",
    ),
]

# On a narrow page what comes out stands below the form: it comes into view.
_TO_ANSWER = (
    "(...values) => { document.getElementById('plant-answer')"
    "?.scrollIntoView({ block: 'nearest' }); return values; }"
)


def build(plantings: Plantings | None = None) -> None:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    answers = _Answers(plantings or Plantings())
    rows: list[Any] = []
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=5, min_width=300):
            for number, (text, readings, when) in enumerate(_FIRST, 1):
                rows += _sentence(number, text, readings, when)
            steps = gr.Slider(
                20,
                120,
                value=_STEPS,
                step=10,
                label="Updates",
                info="Each reads other prose besides",
                elem_id=f"{TAB}-steps",
            )
            with gr.Row():
                button = gr.Button("Plant and watch", variant="primary", elem_id=f"{TAB}-run")
                stop = gr.Button("Stop", elem_id=f"{TAB}-stop")
        with gr.Column(scale=9, min_width=300):
            error_box = gr.HTML("", elem_id=f"{TAB}-error-box", **PLAIN)
            answer = gr.HTML(EMPTY, elem_id=f"{TAB}-answer", **PLAIN)
            with gr.Row(visible=False) as looking:
                step = gr.Slider(
                    0, _STEPS, value=0, step=1, label="Look at it after update",
                    min_width=240, elem_id=f"{TAB}-step",
                )  # fmt: skip
                measure = gr.Radio(
                    [RECALL, LOSS], value=RECALL, label="Curve",
                    min_width=240, elem_id=f"{TAB}-measure",
                )  # fmt: skip
            cards = gr.HTML("", elem_id=f"{TAB}-cards", **PLAIN)
            with gr.Column(visible=False) as asking:
                question = gr.Textbox(
                    "",
                    label="Then ask it",
                    info="The beginning of a text; empty: the first half of sentence 1",
                    max_lines=3,
                    elem_id=f"{TAB}-question",
                )
                ask = gr.Button("Ask before and after", elem_id=f"{TAB}-ask")
            said = gr.HTML("", elem_id=f"{TAB}-said", **PLAIN)
    name = gr.State("")
    button.click(
        answers.plant,
        [measure, steps, *rows],
        [error_box, answer, looking, step, cards, asking, said, name],
        js=_TO_ANSWER,
        **QUIET,
    )
    stop.click(answers.stop, name, None, **AT_ONCE)
    gr.on([step.input, measure.input], answers.look, [name, step, measure], cards, **AT_ONCE)
    gr.on([ask.click, question.submit], answers.ask, [name, question], [error_box, said], **QUIET)


def _sentence(number: int, text: str, readings: int, when: When) -> list[Any]:
    with gr.Group():
        written = gr.Textbox(
            text, label=f"Sentence {number}", max_lines=3, elem_id=f"{TAB}-text-{number}"
        )
        with gr.Row():
            times = gr.Number(
                readings,
                label="Times read",
                precision=0,
                minimum=0,
                min_width=120,
                elem_id=f"{TAB}-readings-{number}",
            )
            part = gr.Dropdown(
                _WHEN, value=when, label="When", min_width=120, elem_id=f"{TAB}-when-{number}"
            )
    return [written, times, part]


class _Answers:
    """What the page shows next, for each thing a person does on it."""

    def __init__(self, plantings: Plantings) -> None:
        self._plantings = plantings

    def plant(self, measure: str, steps: float, *values: Any) -> Iterator[list[Any]]:
        """The curves as they grow."""
        try:
            for planting in self._plantings.plant(_rows(values), int(steps or 0)):
                yield _shown(planting, measure)
        except WorkbenchError as problem:
            yield [html_parts.error(problem), *[gr.skip()] * 7]

    def stop(self, name: str) -> None:
        self._plantings.stop(name)

    def look(self, name: str, step: float, measure: str) -> Any:
        try:
            planting = self._plantings.get(name)
        except WorkbenchError:
            return gr.skip()
        return plant_picture.cards_html(planting, int(step or 0), measure)

    def ask(self, name: str, text: str | None) -> list[Any]:
        """How a text goes on, before and after."""
        try:
            planting = self._plantings.get(name)
            if not (text or "").strip():
                text = plant_picture.first_half(planting)
            before, after = self._plantings.ask(name, text or "")
        except WorkbenchError as problem:
            return [html_parts.error(problem), gr.skip()]
        return ["", plant_picture.answers_html((text or "").rstrip(), before, after)]


def _rows(values: tuple[Any, ...]) -> list[tuple[str, int, When]]:
    """Sentences as the form has them.

    Raises:
        BadInput: a number of readings is none.
    """
    rows = []
    for number, (text, readings, when) in enumerate(
        zip(values[::3], values[1::3], values[2::3], strict=True), 1
    ):
        if readings is None:
            raise BadInput(
                f"Sentence {number} does not say how often it is read.",
                "a number from 0 on",
                "Fill it in.",
            )
        rows.append((str(text or ""), int(readings), cast(When, when)))
    return rows


def _shown(planting: WatchedPlanting, measure: str) -> list[Any]:
    last = len(planting.moments) - 1
    steps = planting.plan.steps if planting.plan is not None else _STEPS
    return [
        html_parts.error(planting.wrong),
        plant_picture.answer_html(planting) or EMPTY,
        gr.Row(visible=last >= 0),
        # While it goes on there is no use in a slider that is moved under one's hand.
        gr.Slider(
            value=max(0, last),
            maximum=max(1, last if not planting.running else steps),
            interactive=not planting.running,
        ),
        plant_picture.cards_html(planting, last, measure),
        gr.Column(visible=last >= 0 and not planting.running),
        "",
        planting.name,
    ]

"""A tab of the Playground for features: a prompt coloured by class and by a feature, and the
feature set at one of its tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from hooks.features.sae import SKIP
from ui.app_state import AppState
from ui.playground import chat as chats
from ui.playground import html_parts
from ui.playground.feature_service import FeatureReading, Reader
from ui.playground.form_tab import FormTab
from ui.playground.theme import AT_ONCE, PLAIN, QUIET
from workbench.errors import BadInput, WorkbenchError
from workbench.models.conversation import typed
from workbench.playground import FeaturesForm
from workbench.registry import Analysis
from workbench.wording import quoted

_LISTED = 12  # features of a token that are shown with what they fire on
_EMPTY = (
    '<div class="wb try-empty"><p><strong>Read a prompt</strong> to see which features are active'
    " at which of its tokens. Then choose a token and a feature, say what to set it to, and compare"
    " how the text goes on.</p></div>"
)


def build(app: AppState, analysis: Analysis, form: FeaturesForm) -> FormTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    page = _lay_out(form)
    answers = _Answers(app, Reader(app, analysis, form), form)
    _wire(page, answers)

    def first(ready: Any) -> None:
        ready.then(
            answers.from_address, None, [page.name, page.prompt, *page.shown], **AT_ONCE
        ).then(answers.if_chosen, page.chosen, page.at_feature, **AT_ONCE).then(
            answers.steer_from_address,
            [*page.chosen, page.length],
            [page.error_box, page.compared, page.to],
            **QUIET,
        )

    return FormTab([page.name, page.chat], answers.fit, first)


@dataclass(frozen=True)
class _Page:
    """The components of the tab."""

    prompt: Any
    chat: Any
    name: Any
    read: Any
    token: Any
    feature: Any
    to: Any
    length: Any
    steer: Any
    stop: Any
    error_box: Any
    text: Any
    compared: Any

    @property
    def asked(self) -> list[Any]:
        """What says which prompt is read through which autoencoder."""
        return [self.name, self.prompt, self.chat]

    @property
    def chosen(self) -> list[Any]:
        return [*self.asked, self.token, self.feature]

    @property
    def shown(self) -> list[Any]:
        return [self.error_box, self.text, self.compared, self.token, self.feature, self.to]

    @property
    def at_feature(self) -> list[Any]:
        return [self.error_box, self.text, self.to]


def _lay_out(form: FeaturesForm) -> _Page:
    box: dict[str, Any] = {}
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=6, min_width=300):
            box["prompt"] = gr.Textbox(
                form.prompt,
                label="Prompt",
                info="At most 256 tokens",
                lines=3,
                max_lines=12,
                elem_id=f"{form.tab}-prompt",
            )
            box["chat"] = chats.chat_box(f"{form.tab}-chat")
            box["name"] = gr.Dropdown(
                [],
                label="Autoencoder",
                info=(
                    "One that comes with the workbench; or a folder, RELEASE/ID of SAELens, or a"
                    " Neuronpedia id."
                ),
                allow_custom_value=True,
                elem_id=f"{form.tab}-name",
            )
            box["read"] = gr.Button("Read", variant="primary", elem_id=f"{form.tab}-read")
            with gr.Row():
                box["token"] = gr.Dropdown(
                    [], label="Token", min_width=140, elem_id=f"{form.tab}-token"
                )
                box["feature"] = gr.Dropdown(
                    [],
                    label="Feature",
                    info="Active there; or type a number.",
                    allow_custom_value=True,
                    min_width=220,
                    elem_id=f"{form.tab}-feature",
                )
            with gr.Row():
                box["to"] = gr.Number(
                    0.0,
                    label="Set it to",
                    info="Activation",
                    min_width=140,
                    elem_id=f"{form.tab}-to",
                )
                box["length"] = gr.Slider(
                    1, 80, 24, step=1, label="Tokens of continuation", min_width=180
                )
            with gr.Row():
                box["steer"] = gr.Button(
                    "Steer and compare", variant="primary", elem_id=f"{form.tab}-steer"
                )
                box["stop"] = gr.Button("Stop", elem_id=f"{form.tab}-stop")
        with gr.Column(scale=9, min_width=320):
            box["error_box"] = gr.HTML("", elem_id=f"{form.tab}-error-box", **PLAIN)
            box["text"] = gr.HTML(_EMPTY, elem_id=f"{form.tab}-text", **PLAIN)
            box["compared"] = gr.HTML("", elem_id=f"{form.tab}-compared", **PLAIN)
    return _Page(**box)


def _wire(page: _Page, answers: _Answers) -> None:
    gr.on(
        [page.read.click, page.prompt.submit, page.name.input],
        answers.read,
        page.asked,
        page.shown,
        **QUIET,
    ).then(answers.feature, page.chosen, page.at_feature, **QUIET)
    page.token.input(
        answers.token,
        [*page.asked, page.token],
        [page.error_box, page.feature, page.to],
        **QUIET,
    ).then(answers.feature, page.chosen, page.at_feature, **QUIET)
    page.feature.input(answers.feature, page.chosen, page.at_feature, **QUIET)
    running = page.steer.click(
        answers.steer,
        [*page.chosen, page.to, page.length],
        [page.error_box, page.compared],
        **QUIET,
    )
    page.stop.click(None, None, None, cancels=[running], **QUIET)


class _Answers:
    """What the page shows next, for each thing a person does on it."""

    def __init__(self, app: AppState, reader: Reader, form: FeaturesForm) -> None:
        self._app, self._reader, self._form = app, reader, form

    def _reading(self, name: str | None, prompt: str | None, chat: bool | None) -> FeatureReading:
        return self._reader.read(name, prompt or "", bool(chat))

    def read(self, name: str | None, prompt: str | None, chat: bool | None) -> list[Any]:
        """A new prompt or autoencoder: its tokens, and the features at the token that is looked
        at first.
        """
        try:
            reading = self._reading(name, prompt, chat)
        except WorkbenchError as problem:
            return [html_parts.error(problem), _EMPTY, "", gr.skip(), gr.skip(), gr.skip()]
        pos = reading.place(None)
        tokens = [(f"{n}: {parts_of(word)}", n) for n, word in enumerate(reading.tokens)]
        return [
            "",
            str(reading.strip(None)) + _about(reading),
            "",
            gr.Dropdown(choices=tokens, value=pos),
            *_features(reading, pos),
        ]

    def token(
        self, name: str | None, prompt: str | None, chat: bool | None, pos: int | None
    ) -> list[Any]:
        """Another token was chosen."""
        try:
            reading = self._reading(name, prompt, chat)
        except WorkbenchError as problem:
            return [html_parts.error(problem), gr.skip(), gr.skip()]
        return ["", *_features(reading, reading.place(pos))]

    def feature(
        self,
        name: str | None,
        prompt: str | None,
        chat: bool | None,
        pos: int | None,
        feature: Any,
    ) -> list[Any]:
        """Another feature was chosen."""
        try:
            reading = self._reading(name, prompt, chat)
            number = _number(feature)
            reading.features.check([number])
        except WorkbenchError as problem:
            return [html_parts.error(problem), gr.skip(), gr.skip()]
        place = reading.place(pos)
        now, large = float(reading.active[place, number]), reading.most(number)
        box = gr.Number(
            value=round(large or 10.0, 1),
            info=f"Activation; {now:.1f} there now, {large:.1f} is large for it.",
        )
        return ["", str(reading.strip(number)) + _at_token(reading, place, number), box]

    def steer(
        self,
        name: str | None,
        prompt: str | None,
        chat: bool | None,
        pos: int | None,
        feature: Any,
        to: float | None,
        length: float | None,
    ) -> Iterator[list[Any]]:
        """The continuations, as they are written."""
        try:
            reading = self._reading(name, prompt, chat)
            number, place = _number(feature), reading.place(pos)
            change = f"feature {number} set to {to or 0:g} at token {place}"
            for before, after in self._reader.steer(
                reading,
                typed(prompt or "", bool(chat)),
                number,
                float(to or 0),
                place,
                int(length or 1),
            ):
                yield ["", _compared(before, after, change)]
        except WorkbenchError as problem:
            yield [html_parts.error(problem), gr.skip()]

    def fit(self) -> list[Any]:
        """Once there is a model: the autoencoders to choose from, and the chat box."""
        names, model = self._reader.choices(), self._app.slot.model
        box = gr.skip() if model is None else chats.for_model(model)
        return [gr.Dropdown(choices=names, value=names[len(names) // 2] if names else None), box]

    def _asked_for(self, request: gr.Request) -> str:
        """The autoencoder in the address, once there is a model."""
        named = request.query_params.get(self._form.tab, "")
        return named if self._app.slot.model is not None else ""

    def from_address(self, request: gr.Request) -> list[Any]:
        """The address may name a feature: `/playground?features=NAME&feature=412`, and a prompt
        (`text`).
        """
        name = self._asked_for(request)
        if not name:
            return [gr.skip()] * 8
        prompt = request.query_params.get("text") or self._form.prompt
        shown = self.read(name, prompt, False)
        feature = request.query_params.get("feature", "") or shown[4]
        return [name, prompt, *shown[:4], feature, shown[5]]

    def if_chosen(
        self,
        name: str | None,
        prompt: str | None,
        chat: bool | None,
        pos: int | None,
        feature: Any,
    ) -> list[Any]:
        """The feature that the address named, if there is one."""
        return self.feature(name, prompt, chat, pos, feature) if feature else [gr.skip()] * 3

    def steer_from_address(
        self,
        name: str | None,
        prompt: str | None,
        chat: bool | None,
        pos: int | None,
        feature: Any,
        length: float | None,
        request: gr.Request,
    ) -> Iterator[list[Any]]:
        """What it is to be set to (`to`) makes the page steer at once."""
        wanted = request.query_params.get("to", "")
        if not wanted or not self._asked_for(request):
            return
        try:
            to = float(wanted)
        except ValueError:
            to = math.nan
        if not math.isfinite(to):
            problem = BadInput(
                f"{wanted[:40]!r} is no number.",
                "an activation, e.g. 12.5",
                "Type it into “Set it to”.",
            )
            yield [html_parts.error(problem), gr.skip(), gr.skip()]
            return
        for shown in self.steer(name, prompt, chat, pos, feature, to, length):
            yield [*shown, to]


def parts_of(word: str) -> str:
    """A token as a choice in a list."""
    return "".join({" ": "·", "\n": "↵", "\t": "⇥"}.get(c, c) for c in word)


def _features(reading: FeatureReading, pos: int) -> list[Any]:
    """The Feature and "set it to" boxes for a token."""
    strong = reading.strongest(pos)
    listed = [
        (f"{f} · {v:.1f} · {reading.info.fires_on.get(f, '')}".rstrip(" ·"), str(f))
        for f, v in strong
    ]
    return [gr.Dropdown(choices=listed, value=listed[0][1] if listed else None), gr.skip()]


def _about(reading: FeatureReading) -> str:
    by = reading.form.by_run if reading.by_run else reading.form.by_itself
    return f'<p class="wb-muted">{escape(by)}</p>'


def _at_token(reading: FeatureReading, pos: int, chosen: int) -> str:
    """The strongest features of a token, and what a finished run says they fire on."""
    known = reading.info.fires_on
    rows = [
        f'<tr{" class=chosen" if feature == chosen else ""}><td class="num">{feature}</td><td'
        f' class="num">{value:.1f}</td>'
        + (f"<td>{escape(known.get(feature, ''))}</td>" if known else "")
        + "</tr>"
        for feature, value in reading.strongest(pos, _LISTED)
    ]
    left_out = (
        f'<p class="wb-muted">The first {SKIP} tokens are left out: they draw huge vectors whatever'
        " they are.</p>"
    )
    if not rows:
        return left_out + f'<p class="wb">No feature is active at token {pos}.</p>'
    head = "<th>feature</th><th>activation</th>" + ("<th>fires mostly on</th>" if known else "")
    about = f"Strongest at token {pos}, {quoted(escape(parts_of(reading.tokens[pos])))}"
    return left_out + (
        f'<table class="wb features-at"><caption>{about}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _number(feature: Any) -> int:
    text = str(feature if feature is not None else "").strip().partition(" ")[0]
    if not text.isascii() or not text.isdigit():
        raise BadInput(
            f"{text[:40]!r} is no number of a feature.",
            "a whole number",
            "Choose one from the list, or type one.",
        )
    return int(text)


def _compared(before: str, after: str, change: str) -> str:
    columns = (("Unchanged", "the model as it is", before), ("Steered", change, after))
    made = "".join(
        f'<section class="col"><h3>{title} <small class="wb-muted">{escape(about)}</small></h3>'
        f'<p class="continuation">{escape(text)}</p></section>'
        for title, about, text in columns
    )
    return f'<div class="wb try">{made}</div>'

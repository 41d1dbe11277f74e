"""A tab of the Playground for pairs: a list is read, and a click on a pair erases or rewrites it in
what the model holds; then all are asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

import gradio as gr

from ui.app_state import AppState
from ui.playground import html_parts
from ui.playground.form_tab import FormTab
from ui.playground.pair_list import EMPTY, pair_list, value_for
from ui.playground.theme import AT_ONCE, PLAIN, QUIET
from workbench.errors import BadInput, WorkbenchError
from workbench.playground import AskedPairs, ChangedPair, PairsForm
from workbench.registry import Analysis
from workbench.wording import percent, quoted

REWRITE, ERASE = "Rewrite it", "Erase it"
_ALL = "all"
_NOTHING_YET = (
    '<div class="wb try-empty"><p><strong>Read the pairs</strong> to see what the model answers'
    " when it is asked for each. Then click one: it is rewritten or erased in the model's state,"
    " and all of them are asked for again.</p></div>"
)


def build(app: AppState, analysis: Analysis, form: PairsForm) -> FormTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    page = _lay_out(form)
    answers = _Answers(app, form)
    gr.on([page.read.click, page.pairs.submit], answers.read, page.pairs, page.shown, **QUIET)
    changing: list[Any] = [page.pairs, page.held, page.what, page.new, page.layer]
    changed = [page.error_box, page.held]
    page.held.pair(answers.change, changing, changed, **QUIET)
    gr.on(
        [page.what.input, page.layer.input, page.new.submit],
        answers.change,
        changing,
        changed,
        **QUIET,
    )

    def first(ready: Any) -> None:
        ready.then(answers.from_address, None, [page.pairs, *page.shown], **AT_ONCE)

    return FormTab([page.pairs, page.layer, page.empty, page.held], answers.fit, first)


@dataclass(frozen=True)
class _Page:
    """The components of the tab."""

    pairs: Any
    read: Any
    what: Any
    new: Any
    layer: Any
    error_box: Any
    empty: Any
    held: Any

    @property
    def shown(self) -> list[Any]:
        return [self.error_box, self.empty, self.held]


def _lay_out(form: PairsForm) -> _Page:
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=4, min_width=300):
            pairs = gr.Textbox(
                "",
                label="Pairs",
                info="A key and its value, separated by commas or lines. Empty: those in grey",
                lines=4,
                max_lines=12,
                elem_id=f"{form.tab}-pairs",
            )
            read = gr.Button("Read the pairs", variant="primary", elem_id=f"{form.tab}-read")
            what = gr.Radio(
                [REWRITE, ERASE],
                value=REWRITE,
                label="What a click on a pair does",
                elem_id=f"{form.tab}-what",
            )
            with gr.Row():
                new = gr.Textbox(
                    "",
                    label="New value",
                    info="Empty: one that stands in no pair",
                    max_lines=1,
                    min_width=140,
                    elem_id=f"{form.tab}-new",
                )
                layer = gr.Dropdown(
                    [("every one", _ALL)],
                    value=_ALL,
                    label="In the state of layer",
                    min_width=140,
                    elem_id=f"{form.tab}-layer",
                )
        with gr.Column(scale=9, min_width=320):
            error_box = gr.HTML("", elem_id=f"{form.tab}-error-box", **PLAIN)
            empty = gr.HTML(_NOTHING_YET, elem_id=f"{form.tab}-empty", **PLAIN)
            held = pair_list(f"{form.tab}-held")
    return _Page(pairs, read, what, new, layer, error_box, empty, held)


class _Answers:
    """What the page shows next, for each thing a person does on it."""

    def __init__(self, app: AppState, form: PairsForm) -> None:
        self._app, self._form = app, form
        self._read = lru_cache(maxsize=16)(self._read_uncached)

    def _read_uncached(self, serial: int, text: str) -> AskedPairs:
        model = self._app.slot.need()
        if why_not := self._form.unavailable_reason(model):
            raise BadInput(
                f"{model.card.name} cannot be asked: {why_not}",
                "a model with a state of fixed size",
                "Load another one, for example organism/recall-mamba-16.",
            )
        with model.lock:
            return self._form.read(model, text)

    def _asked(self, text: str | None) -> AskedPairs:
        """The pairs as the model of the moment reads them."""
        model = self._app.slot.need()
        typed = (text or "").strip()
        if not typed and self._form.unavailable_reason(model) is None:
            typed = self._form.example(model)
        return self._read(self._app.slot.serial, typed)

    def read(self, text: str | None) -> list[Any]:
        """New pairs: what the model answers to each."""
        try:
            asked = self._asked(text)
        except WorkbenchError as problem:
            return [html_parts.error(problem), _NOTHING_YET, dict(EMPTY)]
        right = sum(answer.right for answer in asked.before)
        says = f"{right} of {len(asked.pairs)} are recalled. Click a pair to change it."
        return ["", "", value_for(asked, says)]

    def change(
        self,
        text: str | None,
        held: Mapping[str, Any],
        what: str,
        new: str | None,
        layer: Any,
    ) -> list[Any]:
        """The chosen pair is changed; nothing where none is chosen yet."""
        if (held or EMPTY)["chosen"] is None:
            return [gr.skip(), gr.skip()]
        chosen, model = int(held["chosen"]), self._app.slot.need()
        try:
            asked = self._asked(text)
            if not 0 <= chosen < len(asked.pairs):
                raise BadInput(
                    "The pairs have changed.", "those that were read", "Read them again."
                )
            where = None if layer in (None, _ALL) else int(layer)
            with model.lock:
                changed = (
                    asked.erase(chosen, where)
                    if what == ERASE
                    else asked.rewrite(chosen, new or "", where)
                )
        except WorkbenchError as problem:
            return [html_parts.error(problem), gr.skip()]
        doing = f"{asked.pairs[chosen][0]} " + (
            f"rewritten to {changed.new}" if changed.new else "erased"
        )
        return ["", value_for(asked, _outcome(asked, chosen, changed), chosen, changed, doing)]

    def fit(self) -> list[Any]:
        """Once there is a model: pairs of its words in grey, its layers, or why it has none."""
        model = self._app.slot.model
        if model is None:
            return [gr.skip()] * 4
        if why_not := self._form.unavailable_reason(model):
            no = f"{escape(model.card.name)} cannot be asked: {escape(why_not)}"
            note = f'<div class="wb try-empty"><p>{no}</p></div>'
            layers = gr.Dropdown(choices=[("none", _ALL)], value=_ALL)
            return [gr.Textbox(placeholder=""), layers, note, dict(EMPTY)]
        numbers = [(str(n), n) for n in self._form.layers(model)]
        return [
            gr.Textbox(placeholder=self._form.example(model)),
            gr.Dropdown(choices=[("every one", _ALL), *numbers], value=_ALL),
            _NOTHING_YET,
            dict(EMPTY),
        ]

    def from_address(self, request: gr.Request) -> list[Any]:
        """The address may name pairs: `/playground?pairs=k5 v7, k9 v1`."""
        text = request.query_params.get(self._form.tab, "")
        if not text or self._app.slot.model is None:
            return [gr.skip()] * 4
        return [text, *self.read(text)]


def _outcome(asked: AskedPairs, chosen: int, changed: ChangedPair) -> str:
    """What came of it, as a sentence."""
    key, value = asked.pairs[chosen]
    before, after, random = (rows[chosen] for rows in (asked.before, changed.after, changed.random))
    others = [n for n, each in enumerate(asked.before) if each.right and n != chosen]
    stays, by_chance = (
        sum(rows[n].right for n in others) for rows in (changed.after, changed.random)
    )
    follows = changed.new and after.answer == changed.new
    says = f"{quoted(key)} {'now answers' if follows else 'answers'} {quoted(after.answer)}"
    says += f" ({percent(after.p)}), before {quoted(before.answer)}; {quoted(value)} has"
    says += f" {percent(after.own)}. After a random change of equal size it answers"
    says += f" {quoted(random.answer)}. Of the {len(others)} other pairs recalled before,"
    return f"{says} {stays} still are; after the random change {by_chance}."

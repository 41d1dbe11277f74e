"""A tab of the Playground for memories: facts are typed, one sees which slots their answers read,
and a click masks a slot; then all are asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any

import gradio as gr

from ui.app_state import AppState
from ui.playground import html_parts
from ui.playground.form_tab import FormTab
from ui.playground.slot_board import EMPTY_BOARD, board, slot_board
from ui.playground.theme import AT_ONCE, PLAIN, QUIET
from workbench.errors import BadInput, WorkbenchError
from workbench.registry import Analysis
from workbench.slots_form import AskedSlots, LotAnswers, SlotAnswer, SlotsForm
from workbench.wording import counted, quoted

_NOTHING_ASKED = (
    '<div class="wb try-empty"><p><strong>Ask</strong> to see what the model answers to each fact,'
    " and which slots of its memory the answer reads. Then click a slot: it is masked, and all"
    " facts are asked again.</p></div>"
)


def build(app: AppState, analysis: Analysis, form: SlotsForm) -> FormTab:
    """Lay the tab out and wire it; call it inside the `gr.Tab`."""
    with gr.Row(elem_classes="ask-row"):
        with gr.Column(scale=4, min_width=300):
            facts = gr.Textbox(
                "",
                label="Facts",
                info="One a line: what the model reads → its answer; without an answer its own"
                " counts. Empty: those in grey",
                lines=6,
                max_lines=12,
                elem_id=f"{form.tab}-facts",
            )
            ask = gr.Button("Ask", variant="primary", elem_id=f"{form.tab}-ask")
            clear = gr.Button("Unmask all", elem_id=f"{form.tab}-clear")
        with gr.Column(scale=9, min_width=320):
            error_box = gr.HTML("", elem_id=f"{form.tab}-error-box", **PLAIN)
            about = gr.HTML(_NOTHING_ASKED, elem_id=f"{form.tab}-about", **PLAIN)
            shown = slot_board(f"{form.tab}-board")
    page = _SlotPage(app, form)
    gr.on([ask.click, facts.submit], page.ask, facts, [error_box, about, shown], **QUIET)
    changed: list[Any] = [error_box, shown]
    shown.slot(page.mask, shown, changed, **QUIET)
    clear.click(page.unmask, shown, changed, **QUIET)

    def first(ready: Any) -> None:
        ready.then(page.from_address, None, [facts, error_box, about, shown], **AT_ONCE)

    return FormTab([facts, about, shown], page.fit, first)


class _SlotPage:
    """What the page shows next, for each thing a person does on it."""

    def __init__(self, app: AppState, form: SlotsForm) -> None:
        self._app, self._form = app, form
        self._read = lru_cache(maxsize=8)(self._read_uncached)
        self._serial = 0  # of the model that was read; no slot has 0

    def _read_uncached(self, serial: int, text: str) -> AskedSlots:
        model = self._app.slot.need()
        if why_not := self._form.unavailable_reason(model):
            raise BadInput(
                f"{model.card.name} cannot be asked: {why_not}.",
                "a model with a memory, or with feed-forward layers",
                "Load another one, for example organism/facts-in-slots.",
            )
        with model.lock:
            return self._form.read(model, text)

    def _asked(self, text: str | None) -> AskedSlots:
        """The facts as the model of the moment reads them."""
        model = self._app.slot.need()
        typed = (text or "").strip() or self._form.example(model)
        return self._read(self._app.slot.serial, typed)

    def ask(self, text: str | None) -> list[Any]:
        """New facts: what the model answers, and which slots it reads."""
        try:
            asked = self._asked(text)
            with self._app.slot.need().lock:
                value = board(asked, _first_says(asked))
        except WorkbenchError as problem:
            return [html_parts.error(problem), _NOTHING_ASKED, dict(EMPTY_BOARD)]
        return ["", f'<div class="wb"><p>{escape(asked.about)}</p></div>', value]

    def mask(self, shown: Mapping[str, Any] | None) -> list[Any]:
        """The masked slots have changed: all facts of the board are asked again, whatever stands in
        the form by now; nothing happens where nothing was asked.
        """
        if not shown or not shown["facts"] or self._app.slot.model is None:
            return [gr.skip()] * 2
        masked = [int(number) for number in shown["masked"]]
        try:
            asked = self._asked(_lines(shown))
            if not masked:
                return ["", board(asked, _first_says(asked))]
            with self._app.slot.need().lock:
                after, random = asked.masked(masked), asked.at_random(masked)
        except WorkbenchError as problem:
            return [html_parts.error(problem), gr.skip()]
        return ["", board(asked, _what_is_lost(asked, after, random), masked, after, random)]

    def unmask(self, shown: Mapping[str, Any] | None) -> list[Any]:
        """Nothing is masked."""
        return self.mask({**(shown or EMPTY_BOARD), "masked": []})

    def fit(self) -> list[Any]:
        """Once there is a model: facts for it in grey, or why it cannot be asked."""
        if self._app.slot.serial != self._serial:  # what was read holds the model that is gone
            self._serial = self._app.slot.serial
            self._read.cache_clear()
        model = self._app.slot.model
        if model is None:
            return [gr.skip()] * 3
        if why_not := self._form.unavailable_reason(model):
            no = f"{escape(model.card.name)} cannot be asked: {escape(why_not)}."
            note = f'<div class="wb try-empty"><p>{no}</p></div>'
            return [gr.Textbox(placeholder=""), note, dict(EMPTY_BOARD)]
        example = self._form.example(model)
        return [gr.Textbox(placeholder=example), _NOTHING_ASKED, dict(EMPTY_BOARD)]

    def from_address(self, request: gr.Request) -> list[Any]:
        """The address may name facts: `/playground?slots=Leo Lang lives in → London`."""
        text = request.query_params.get(self._form.tab, "")
        if not text or self._app.slot.model is None:
            return [gr.skip()] * 4
        return [text, *self.ask(text)]


def _lines(shown: Mapping[str, Any]) -> str:
    """The facts of a board, as they are typed."""
    return "\n".join(
        f"{fact['prompt']} → {fact['answer']}" if fact["answer"] else fact["prompt"]
        for fact in shown["facts"]
    )


def _first_says(asked: AskedSlots) -> str:
    right = sum(answer.right for answer in asked.before)
    n = len(asked.before)
    return (
        f"{right} of {counted(n, 'fact')} answered. Click slots to mask them; darker brings more."
    )


def _what_is_lost(asked: AskedSlots, after: Sequence[SlotAnswer], random: LotAnswers) -> str:
    """Which answers are others with these slots masked, beside the same with others by lot."""
    known = [n for n, answer in enumerate(asked.before) if answer.right]
    lost = [n for n in known if not after[n].right]
    by_lot = sum(not random.answers[n].right for n in known)
    if not lost:
        says = f"All {len(known)} answers stay"
    else:
        named = ", ".join(
            f"{quoted(asked.questions[n].prompt)} now answers {quoted(after[n].says)}"
            for n in lost[:2]
        )
        more = f", and {len(lost) - 2} more are lost" if len(lost) > 2 else ""
        says = f"{len(lost)} of {len(known)} answers are lost: {named}{more}"
    if not random.are_read:
        return (
            f"{says}. These facts read too few other slots to mask as many by lot, so slots that"
            f" none of them reads are masked beside ({by_lot} of {len(known)} lost): ask more facts"
            " to compare."
        )
    return f"{says}. With as many other slots masked by lot {by_lot} of {len(known)} are lost."

"""*Test it here*: below the form of a prompt, once its run is finished. A piece of the prompt or of
the model is taken away with one click, and the prompt is asked again at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from html import escape
from typing import Any

import gradio as gr

import workbench as wb
from hooks import model_change
from ui.app_state import AppState
from ui.playground import html_parts, prompt_choices
from ui.playground.theme import PLAIN, QUIET
from workbench.errors import WorkbenchError
from workbench.playground import AskedAgain, PromptForm, PromptTest
from workbench.registry import Control
from workbench.wording import percent, quoted

_ABREAST = "display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(240px,1fr))"
_CARD = "padding:12px 16px"
_ALIKE = 0.1  # nats


class PromptTestPanel:
    """Lay it out where it is to stand; `wire` it to the run that is opened.

    Nothing of it is seen before a run is there.
    """

    def __init__(self, app: AppState, form: PromptForm) -> None:
        self._app, self._form = app, form
        self._opened = lru_cache(maxsize=4)(self._open)
        name = form.tab
        with gr.Column(visible=False, elem_id=f"{name}-test") as self._all:
            gr.HTML(
                '<div class="wb"><h3 style="font-weight:650;font-size:1.1rem">Test it here</h3>'
                '<p class="wb-muted">Take a sentence, a name'
                " or heads away: the model answers at once.</p></div>",
                **PLAIN,
            )
            with gr.Row(elem_classes="ask-row"):
                with gr.Column(scale=6, min_width=300):
                    self._cut = gr.CheckboxGroup(
                        [], label="Take away from the prompt", elem_id=f"{name}-test-cut"
                    )
                    self._off = gr.CheckboxGroup([], label="Switch off", elem_id=f"{name}-test-off")
                with gr.Column(scale=7, min_width=300):
                    self._error_box = gr.HTML("", elem_id=f"{name}-test-error", **PLAIN)
                    self._said = gr.HTML("", elem_id=f"{name}-test-said", **PLAIN)
            with gr.Accordion("More changes", open=False, elem_id=f"{name}-test-more"):
                self._lay_out_more(name)

    def _lay_out_more(self, name: str) -> None:
        """Words in place of a sentence, further parts of the model, and changes of weights."""
        with gr.Row():
            self._of = gr.Dropdown(
                [],
                label="Put something else in the place of",
                min_width=200,
                elem_id=f"{name}-test-of",
            )
            self._instead = gr.Textbox(
                "",
                label="Words that stand there instead",
                info="Enter asks again",
                max_lines=2,
                min_width=200,
                elem_id=f"{name}-test-instead",
            )
        with gr.Row():
            self._further = gr.Textbox(
                "",
                label="Also off",
                max_lines=1,
                min_width=200,
                elem_id=f"{name}-test-further",
            )
            self._edit = gr.Dropdown(
                [],
                label="With a change of another run",
                info="An edited fact, or what is forgotten",
                min_width=200,
                elem_id=f"{name}-test-edit",
            )

    def wire(self, run: Any) -> None:
        """`run` is the id of the run that is open below, "" for none."""
        controls = [self._cut, self._off, self._further, self._of, self._instead, self._edit]
        shown = [self._error_box, self._said]
        run.change(self._fill, run, [self._all, *controls, *shown], **QUIET)
        gr.on(
            [self._cut.input, self._off.input, self._edit.input, self._further.submit,
             self._instead.submit],
            self._ask,
            [run, *controls],
            shown,
            **QUIET,
            trigger_mode="always_last",
        )  # fmt: skip

    def _open(self, run_id: str, serial: int) -> tuple[PromptTest, AskedAgain]:
        """The prompt of a run, and what the model says to it as it is."""
        model = self._app.slot.need()
        assert self._form.test is not None
        result = wb.open_run(run_id, self._app.root)
        with model.lock:
            test = self._form.test(model, result)
            return test, test.ask()

    def _test(self, run_id: str) -> tuple[PromptTest, AskedAgain]:
        return self._opened(run_id, self._app.slot.serial)

    def _fill(self, run_id: str) -> list[Any]:
        """Another run is there: what can be taken away from its prompt."""
        nothing = [gr.skip()] * 6
        if not run_id:
            return [gr.Column(visible=False), *nothing, "", ""]
        try:
            test, before = self._test(run_id)
        except WorkbenchError as problem:
            return [gr.Column(visible=True), *nothing, html_parts.error(problem), ""]
        texts = [(piece.label, piece.name) for piece in test.pieces if piece.text]
        others = [(piece.label, piece.name) for piece in test.pieces if not piece.text]
        edits = prompt_choices.run_choices(self._app)
        return [
            gr.Column(visible=True),
            gr.CheckboxGroup(choices=texts, value=[], visible=bool(texts)),
            gr.CheckboxGroup(choices=others, value=[], visible=bool(others)),
            gr.Textbox("", info=f"{test.further[0].upper()}{test.further[1:]}; Enter asks again"),
            gr.Dropdown(choices=texts, value=texts[0][1] if texts else None, visible=bool(texts)),
            gr.Textbox("", visible=bool(texts)),
            gr.Dropdown(choices=edits, value=prompt_choices.NO_RUN, visible=len(edits) > 1),
            "",
            _answers(test, before, None),
        ]

    def _ask(
        self,
        run_id: str,
        cut: Sequence[str] | None,
        off: Sequence[str] | None,
        further: str | None,
        of: str | None,
        instead: str | None,
        edit: str | None,
    ) -> list[Any]:
        """The prompt with all that is chosen."""
        if not run_id:
            return [gr.skip(), gr.skip()]
        try:
            test, before = self._test(run_id)
            model, names = self._app.slot.need(), [*(cut or []), *(off or [])]
            changed = [names, (further or "").strip(), (instead or "").strip(), edit]
            if not any(changed):
                return ["", _answers(test, before, None)]
            control = self._control(model, edit or "")
            with model.lock, nullcontext() if control is None else control(model, control.high):
                after = test.ask(names, further or "", instead or "", of or "")
        except WorkbenchError as problem:
            return [html_parts.error(problem), gr.skip()]
        changed_by = "" if control is None else f": {control.label}, {control.high_word}"
        return ["", _answers(test, before, after, changed_by)]

    def _control(self, model: Any, run_id: str) -> Control | None:
        """The change of the model that another run keeps."""
        if not run_id:
            return None
        controls = model_change.controls_of(wb.open_run(run_id, self._app.root), model)
        return next(iter(controls.values()), None)


def _answers(
    test: PromptTest, before: AskedAgain, after: AskedAgain | None, changed_by: str = ""
) -> str:
    """What the model says as the prompt is, and with what is taken away."""
    cards = [("As it is", before)]
    if after is None:
        says = "Nothing is taken away yet."
    else:
        cards.append((f"With what you changed{changed_by}", after))
        by = after.logp - before.logp
        same = before.says.split("\n")[0].strip() == after.says.split("\n")[0].strip()
        says = "The model says the same" if same else "The model says something else"
        much = "stays as likely" if abs(by) < _ALIKE else (
            f"becomes {_times(by)} {'as' if by > 0 else 'less'} likely"
        )  # fmt: skip
        says += f"; the answer {quoted(test.answer)} {much} ({by:+.1f} nats)."
    cells = "".join(_card(title, test.answer, said) for title, said in cards)
    return f'<div class="wb" role="status"><p>{says}</p><div style="{_ABREAST}">{cells}</div></div>'


def _times(nats: float) -> str:
    return f"{math.exp(min(abs(nats), 13.8)):,.1f} times"


def _card(title: str, answer: str, said: AskedAgain) -> str:
    listed = ", ".join(f"{quoted(word.strip())} {percent(p)}" for word, p in said.likely)
    return (
        f'<div class="wb-card" style="{_CARD}"><h4>{escape(title)}</h4>'
        f'<p dir="auto"><strong>{escape(said.says)}</strong></p>'
        f'<p class="wb-muted">Next token: {escape(listed)}. {escape(quoted(answer))}:'
        f" {escape(percent(math.exp(said.logp)))}</p></div>"
    )

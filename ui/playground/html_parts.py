"""Fragments of HTML that the Playground shows: tokens, bars, the before-and-after, findings, jobs.

All text is escaped.

`gr.HTML` puts its value into the page as it is, and must only ever get what comes from here (or
from `ui.web.style`).
"""

from __future__ import annotations

import html
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from hooks.prompt_output import PromptAnswer, PromptOutput
from ui.web.style import message_html
from workbench.errors import WorkbenchError
from workbench.registry import Analysis
from workbench.wording import percent

SIDES = ("memory", "context")
MOST_SHOWN = 2000  # characters of a piece of text
log = logging.getLogger(__name__)
_VISIBLE = {" ": "·", "\n": "↵", "\t": "⇥", "\r": "␍"}


def token_html(token: str) -> str:
    """A token with its spaces and line breaks visible; an empty one is said to be empty."""
    if not token:
        return '<span class="ws">(empty)</span>'
    shown = (
        f'<span class="ws">{_VISIBLE[c]}</span>' if c in _VISIBLE else html.escape(c) for c in token
    )
    return "".join(shown)


def bar(p: float, kind: str = "") -> str:
    """A bar of share p; the number stands beside it, so the bar itself is hidden from readers
    aloud.
    """
    width = 0.0 if math.isnan(p) else max(0.0, min(1.0, p)) * 100
    return f'<span class="bar {kind}" aria-hidden="true"><i style="width:{width:.2f}%"></i></span>'


@dataclass(frozen=True)
class SecondModel:
    """Another model with the same prompt; `output` is None until it has answered."""

    name: str
    output: PromptOutput | None = None
    text: str | None = None


@dataclass(frozen=True)
class Comparison:
    """The unchanged model beside the changed one, and beside a second model.

    `texts` are the continuations as far as they are written; `writing` says that there is more to
    come. `name` is the current model's.
    """

    before: PromptOutput | None = None
    after: PromptOutput | None = None
    change: str = ""
    texts: tuple[str | None, str | None] = (None, None)
    writing: bool = False
    name: str = ""
    second: SecondModel | None = None

    def html(self) -> str:
        if self.before is None:
            return (
                '<div class="wb try-empty"><p><strong>Type a prompt</strong>, or choose an example'
                " below it. You will see the likeliest next tokens, how likely each of your two"
                " answers is, and how the text goes on.</p></div>"
            )
        second = self.second
        as_it_is = "as it is" if second is None else self.name
        marks = _Marks() if second is None else _Marks(second.output, second.text, self.writing)
        left = _column("Unchanged", as_it_is, self.before, self.texts[0], self.writing, marks=marks)
        right = ""
        if self.after is not None:
            right = _column(
                "Changed", self.change, self.after, self.texts[1], self.writing, self.before
            )
        elif second is None:
            right = (
                '<section class="col hint" aria-label="Changed model"><h3>Changed</h3><p'
                ' class="wb-muted">Switch a head off in the grid, or choose a run and move its'
                " dial: the changed model appears here, side by side.</p></section>"
            )
        return f'<div class="wb try">{left}{right}{self._second_html()}</div>'

    def _second_html(self) -> str:
        second = self.second
        if second is None or self.before is None:
            return ""
        if second.output is None:
            return (
                '<section class="col hint" aria-label="Second model"><h3>Second model <span'
                f' class="wb-badge">{html.escape(second.name)}</span></h3><p class="wb-muted">Its'
                " answer to the same prompt appears here.</p></section>"
            )
        marks = _Marks(self.before, self.texts[0], self.writing)
        return _column(
            "Second model",
            second.name,
            second.output,
            second.text,
            self.writing,
            self.before,
            marks,
        )


@dataclass(frozen=True)
class _Marks:
    """What another model says to the same prompt: what differs from it is marked, texts once both
    are written.
    """

    output: PromptOutput | None = None
    text: str | None = None
    writing: bool = False

    def differs(self, token: str) -> bool:
        return self.output is not None and token not in {other for other, _ in self.output.tokens}

    def marked(self, text: str) -> str:
        """The text as HTML, with the words that the other one does not have in their place."""
        if self.output is None or self.text is None or self.writing:
            return html.escape(text)
        own, others = (re.findall(r"\s*\S+|\s+", each) for each in (text, self.text))
        parts = []
        for what, start, end, _, _ in SequenceMatcher(None, own, others, False).get_opcodes():
            words = html.escape("".join(own[start:end]))
            parts.append(words if what == "equal" or not words else f"<mark>{words}</mark>")
        return "".join(parts)


def _column(
    title: str,
    change: str,
    looked: PromptOutput,
    text: str | None,
    writing: bool,
    reference: PromptOutput | None = None,
    marks: _Marks = _Marks(),
) -> str:
    answers = _answers(looked, reference) if any(looked.answers) else ""
    tokens = "".join(_token(token, p, marks.differs(token)) for token, p in looked.tokens)
    legend = "" if marks.output is None else " <small>≠ not among the other model's ten</small>"
    goes_on = ""
    if text is not None or writing:
        nothing = "" if writing else "<em>(it ends here)</em>"
        caret = '<i class="caret" role="img" aria-label="writing"></i>' if writing else ""
        goes_on = (
            "<h4>How it goes on</h4><p"
            f' class="text">{marks.marked(text or "") or nothing}{caret}</p>'
        )
    return (
        f'<section class="col" aria-label="{title.removesuffix(" model")} model"><h3>{title} <span'
        f' class="wb-badge">{html.escape(change)}</span></h3>{answers}<h4>Next token{legend}</h4>'
        f'<ol class="tokens">{tokens}</ol>{goes_on}</section>'
    )


def _token(token: str, p: float, differs: bool) -> str:
    mark = '<span class="differs" title="not among the other model\'s ten">≠</span>'
    return (
        f"<li><code>{mark if differs else ''}{token_html(token)}</code>{bar(p)}<span"
        f' class="wb-num">{percent(p)}</span></li>'
    )


def _answers(looked: PromptOutput, reference: PromptOutput | None) -> str:
    others: Sequence[PromptAnswer | None] = (
        reference.answers if reference else [None] * len(looked.answers)
    )
    rows = "".join(
        _answer(side, a, o) for side, a, o in zip(SIDES, looked.answers, others, strict=True) if a
    )
    firsts = [a.first_token for a in looked.answers if a]
    shared = len(firsts) > 1 and len(set(firsts)) == 1
    head = "probability of the first token" + (
        ", which is the same: only the whole answers differ" if shared else ""
    )
    return f'<h4>Two answers <small>{head}</small></h4><div class="answers">{rows}</div>'


def _answer(side: str, answer: PromptAnswer, other: PromptAnswer | None) -> str:
    moved = ""
    if other is not None and abs(answer.p_first - other.p_first) >= 0.0005:
        points = f"{100 * (answer.p_first - other.p_first):+.1f}".replace("-", "−")
        moved = f' <small class="wb-num">({points})</small>'
    whole = f"whole answer {answer.logp:.2f} nats ({percent(math.exp(answer.logp))})".replace(
        "-", "−"
    )
    return (
        f'<div class="answer"><span class="who"><b class="wb-{side}">{side.capitalize()}</b>'
        f' {html.escape(answer.text)}</span>{bar(answer.p_first, side)}<span class="wb-num'
        f' p">{percent(answer.p_first)}{moved}</span><span class="whole wb-muted'
        f' wb-num">{whole}</span></div>'
    )


def status_line(text: str, busy: bool = False) -> str:
    """One quiet line."""
    return (
        f'<p class="wb note-line {"busy" if busy else ""}" role="status">{html.escape(text)}</p>'
        if text
        else ""
    )


def error(problem: WorkbenchError | None) -> str:
    """The dismissible line, or nothing."""
    return f'<div class="wb">{message_html(problem)}</div>' if problem is not None else ""


def broken_html(broken: Mapping[str, str]) -> str:
    """Analyses that do not load, quietly, with the reason."""
    notes = (
        f'<div class="wb-message wb-note"><div><strong>{html.escape(name)} does not load</strong>'
        f"<p class='reason'>{html.escape(reason)}</p></div></div>"
        for name, reason in broken.items()
    )
    return f'<div class="wb broken">{"".join(notes)}</div>'


def preview_html(analysis: Analysis, model: Any, values: Mapping[str, Any]) -> str:
    """How the text of a form will be cut; "" where there is none yet, or the form is not right."""
    if model is None or not analysis.has_preview:
        return ""
    try:
        cut = analysis.preview(model, analysis.parse(values))
    except WorkbenchError:
        return ""
    except Exception:
        # A third party's preview must not take the form down.
        log.exception("the preview of %s failed", analysis.name)
        return ""
    if cut is None:
        return ""
    pieces = "".join(
        f'<span class="{piece.kind}">{html.escape(piece.text[:MOST_SHOWN])}</span>'
        for piece in cut.pieces
    )
    key = (
        '<p class="key"><span class="prefix">given</span> <span class="suffix">wanted</span>'
        ' <span class="outside">what follows</span></p>'
    )
    shown = f'{key}<p class="text" tabindex="0">{pieces}</p>' if pieces else ""
    title = html.escape(cut.title)
    return (
        f'<section class="wb cut" aria-label="{title}"><h3>{title}</h3>'
        f"<p>{html.escape(cut.says)}</p>{shown}</section>"
    )

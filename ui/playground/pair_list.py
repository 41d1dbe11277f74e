"""The list of pairs in the Playground: a real button per pair, and what the model answers.

Its value is `{"pairs", "chosen", "heads", "says"}`: of each pair `key`, `value` and `answers`, and
of each answer `word`, `p`, `percent` and `kind`; the number of the chosen pair; a heading for each
answer. The list is built in the browser from these as text, never from a template: what goes
through a template could be read as code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from ui.web.style import STATIC
from workbench.playground import AskedPairs, ChangedPair, PairAnswer
from workbench.wording import percent

EMPTY: dict[str, Any] = {"pairs": [], "chosen": None, "heads": [], "says": ""}


def value_for(
    asked: AskedPairs,
    says: str,
    chosen: int | None = None,
    changed: ChangedPair | None = None,
    doing: str = "",
) -> dict[str, Any]:
    """The list as it was read, or once one of its pairs was changed."""
    columns: list[tuple[str, Sequence[PairAnswer]]] = [("As it was read", asked.before)]
    if changed is not None:
        columns += [(doing, changed.after), ("Random change of equal size", changed.random)]
    return {
        "pairs": [
            {
                "key": key,
                "value": value,
                "answers": [_shown(answers[n], changed) for _, answers in columns],
            }
            for n, (key, value) in enumerate(asked.pairs)
        ],
        "chosen": chosen,
        "heads": [head for head, _ in columns],
        "says": says,
    }


def _shown(answer: PairAnswer, changed: ChangedPair | None) -> dict[str, Any]:
    new = changed is not None and answer.answer == changed.new
    return {
        "word": answer.answer,
        "p": answer.p,
        "percent": percent(answer.p),
        "kind": "its value" if answer.right else "the new value" if new else "another",
    }


def pair_list(elem_id: str) -> Any:
    """The component; its event is `pair` (one was chosen by hand)."""
    return gr.HTML(
        value=dict(EMPTY),
        html_template=(
            '<p class="pair-says" aria-live="polite"></p><table class="pair-list"></table>'
        ),
        js_on_load=(STATIC / "pair_list.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=elem_id,
    )

"""The board of facts and slots in the Playground: what the model answers to each fact, and a real
button for each slot that the answer reads.

Its value is `{"facts", "masked", "heads", "says"}`: of each fact `prompt`, `answer`, `answers`
(each `word`, `p`, `percent` and `kind`) and `slots` (each `number`, `name`, `share`, `percent`,
`promotes`, `readers`); the numbers of the masked slots; a heading for each answer. The board is
built in the browser from these as text, never from a template: what goes through a template could
be read as code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from ui.web.style import STATIC
from workbench.slots_form import AskedSlots, LotAnswers, SlotAnswer
from workbench.wording import percent

EMPTY_BOARD: dict[str, Any] = {"facts": [], "masked": [], "heads": [], "says": ""}
RIGHT, OTHER = "the answer", "another"


def board(
    asked: AskedSlots,
    says: str,
    masked: Sequence[int] = (),
    after: Sequence[SlotAnswer] | None = None,
    random: LotAnswers | None = None,
) -> dict[str, Any]:
    """The board as it was read, or with slots masked."""
    columns: list[tuple[str, Sequence[SlotAnswer]]] = [("As it is", asked.before)]
    if after is not None and random is not None:
        slots = "1 slot" if len(masked) == 1 else f"{len(masked)} slots"
        others = "As many others by lot" if random.are_read else "As many that none of these reads"
        columns += [(f"{slots} masked", after), (others, random.answers)]
    return {
        "facts": [
            {
                "prompt": question.prompt,
                "answer": question.answer,
                "answers": [_shown_answer(answers[n]) for _, answers in columns],
                "slots": [
                    {
                        "number": slot.number,
                        "name": slot.name,
                        "share": slot.share,
                        "percent": percent(slot.share),
                        "promotes": slot.promotes,
                        "readers": slot.readers,
                    }
                    for slot in question.slots
                ],
            }
            for n, question in enumerate(asked.questions)
        ],
        "masked": list(masked),
        "heads": [head for head, _ in columns],
        "says": says,
    }


def _shown_answer(answer: SlotAnswer) -> dict[str, Any]:
    return {
        "word": answer.says or "␣",
        "p": answer.p,
        "percent": percent(answer.p),
        "kind": RIGHT if answer.right else OTHER,
    }


def slot_board(elem_id: str) -> Any:
    """The component; its event is `slot` (what is masked was changed by hand)."""
    return gr.HTML(
        value=dict(EMPTY_BOARD),
        html_template=(
            '<p class="slot-says" aria-live="polite"></p><div class="slot-board"></div>'
        ),
        js_on_load=(STATIC / "slot_board.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=elem_id,
    )

"""The question by itself, in several wordings: what the weights say without the context."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.prompt.provenance.end_reading import continuations
from analyses.prompt.provenance.prompt_parts import PromptParts
from hooks.prompt_changes import PromptChange, read_answer
from workbench.models.conversation import has_template, render

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_ASKED = ("{}\nAnswer:", "Question: {}\nAnswer:", "Q: {}\nA:", "{}")
_BEGUN = ("{}", "It is well known that {}", "Fact: {}", "Question and answer.\n{}")
_MORE = 4  # tokens said beyond the answer


def closed_book_table(
    model: InstrumentedModel, asked: PromptParts, answer: Sequence[int], progress: Progress
) -> pd.DataFrame:
    """A row for each wording: how probable the answer is without the context, and what the model
    says instead.

    `same` says whether the greedy continuation begins with the answer.
    """
    import pandas as pd

    rows = []
    words = model.text.decode_continuation(answer)
    wordings = _wordings(model, asked)
    progress(0.0, "The question without its context")
    said_each = continuations(model, [ids for _, ids in wordings], len(answer) + _MORE)
    for (name, ids), said in zip(wordings, said_each, strict=True):
        logp = float(read_answer(model, ids, answer, [PromptChange()]).total[0])
        same = said.strip().casefold().startswith(words.strip().casefold())
        rows.append((name, logp, math.exp(logp), said, same))
    return pd.DataFrame(rows, columns=["wording", "logp", "probability", "said", "same"])


def _wordings(model: InstrumentedModel, asked: PromptParts) -> list[tuple[str, list[int]]]:
    """Names and tokens of each wording; in the model's chat format, too, where it has one."""
    begin = asked.spans[asked.question[0]][0]
    question = asked.text[begin:].strip()
    found = []
    closed = question.endswith("?")
    if _is_chat(model, asked):
        asks = asked.text[begin:].split("?")[0].strip() + "?"
        turn = render(model.text, [{"role": "user", "content": asks}])
        found.append(("in the chat format", turn.ids))
        question, closed = asks, True
    for wording in _ASKED if closed else _BEGUN:
        text = wording.format(question)
        found.append((wording.replace("{}", "…").replace("\n", " ⏎ "), model.tokens(text)))
    return found


def _is_chat(model: InstrumentedModel, asked: PromptParts) -> bool:
    """Whether the prompt was written by the model's chat template."""
    return has_template(model.tokenizer) and any(
        model.text.is_special(token) for token in asked.ids[asked.question[0] :]
    )

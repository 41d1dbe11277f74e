"""What the parts of a run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.prompt.provenance.constants import (
    AROUND,
    DRAWS,
    DRAWS_LONG,
    LONG,
    PARTS_AT_RANDOM,
    RANDOM_GROUPS,
    SUBJECT_TOKENS,
)
from analyses.prompt.provenance.prompt_parts import PromptParts, take_apart
from hooks.hidden_keys import unavailable_reason
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.prompt.provenance.params import Params
    from hooks.model import InstrumentedModel

_TRIED = 2  # contexts in which a subject is looked for
_WORDINGS = 4


def draws_of(params: Params, asked: PromptParts) -> int:
    """Neutral texts of a run."""
    return params.draws or (DRAWS if len(asked.ids) <= LONG else DRAWS_LONG)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    asked = take_apart(model, params.prompt, params.question, chat=params.chat)
    n, answer = len(asked.ids), params.length
    tail = n - asked.question[0]
    behind = tail if unavailable_reason(model) is None else n
    draws, whole = draws_of(params, asked), n + answer + (0 if asked.context else AROUND)
    spans = min(SUBJECT_TOKENS * tail, tail * (tail + 1) / 2) / 2
    tried = 0 if params.subject else _TRIED * spans
    parts = PARTS_AT_RANDOM * 3
    pieces = len(asked.sentences)
    half = n / 2 if n <= LONG else n / 4
    found = {
        "split": Cost(
            whole * (draws + 3) + draws * whole + (tried + parts) * (behind + answer) + answer * n,
            passes=6 + answer,
        ),
        "sentences": Cost(pieces * (half + tail + answer) + 2 * n, passes=4 + answer),
        "tokens": Cost(n * answer / 2 + 3 * n, passes=3, backward=n + answer),
    }
    if "z" in model.sites:
        heads = max(1, model.n_heads) * model.n_layers
        off = 2 * (1 + RANDOM_GROUPS) * answer
        found["heads"] = Cost(3 * n + heads / 2 + off, passes=4 + off)
    found["closed-book"] = Cost(_WORDINGS * (2 * tail + answer), passes=_WORDINGS * (2 + answer))
    found["recited"] = Cost(n + answer, passes=2, seconds=1.0)
    return found

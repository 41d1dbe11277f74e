"""What a recurrent state carries from the context to the answer: it is wiped before the
question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hooks.prompt_changes import PromptChange, read_answer
from hooks.recurrent.changes import WipeState
from hooks.state_changes import change_state, changeable_states
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from analyses.prompt.provenance.design import Cells, Setting
    from hooks.model import InstrumentedModel


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why no state can be wiped, or None."""
    if "state" not in model.sites:
        return "it has no recurrent layers"
    try:
        changeable_states(model, None)
    except WorkbenchError as error:
        return error.what
    return None


def with_state(
    model: InstrumentedModel, setting: Setting, answer: Sequence[int], cells: Cells
) -> Cells:
    """The cells with those in which all recurrent states are wiped before the question; as they
    are in a model without states, or a prompt without context.
    """
    if setting.is_alone or unavailable_reason(model):
        return cells
    asked = setting.asked
    changes = [PromptChange(), *(PromptChange(each) for each in setting.contexts)]
    with change_state(model, WipeState(), positions=[asked.question[0] - 1]):
        logp = read_answer(model, asked.ids, answer, changes).logp.numpy().astype(float)
    return replace(cells, given_wiped=logp[0], neutral_wiped=logp[1:])

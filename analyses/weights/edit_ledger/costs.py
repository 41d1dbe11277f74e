"""What the parts of an edit-ledger run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.edit_ledger import constants as c
from analyses.weights.edit_ledger.params import Params
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

# Rows and tokens that a value is looked for with: twenty prefixes of some twenty tokens, and a
# prompt; twenty steps through the layers above the edit.
_PROMPT, _ROWS, _STEPS, _ABOVE = 20, 21, 20, 2 / 3
_BATCH_ROWS = 6  # of MEMIT
_TRAINED = 25  # passes of fine-tuning
_ASKED = 3 * 16  # tokens of a question, with both answers and what is generated
_STEPS_OF_ANSWER = 5  # passes
_NEUTRAL, _WRITTEN = 800, 48
_OTHERS = 24
_SECONDS_OF_STATISTICS = 2.0  # the weights' fingerprint, and reading what is kept


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    facts = 1 if params.subject else params.facts
    robust = 4 if "robust" in params.parts else 0
    questions = 12 + params.neighbours + robust
    asked = Cost(questions * _ASKED, _STEPS_OF_ANSWER)
    elsewhere = Cost(_NEUTRAL + _OTHERS * _ASKED + _WRITTEN, 4 + _STEPS_OF_ANSWER + _WRITTEN)
    each = asked + elsewhere
    edits = total([_edit(method) + each for method in params.methods])
    nulls = each * 3 + (_edit("r-rome") if {"r-rome", "rome"} & set(params.methods) else Cost())
    tried = -(-model.n_layers // params.layer_step) + 1
    return {
        "single": {
            "facts": _known(params),
            "single": (edits + nulls) * facts,
        },
        "layers": {"layers": (_edit("r-rome") + asked) * (tried * facts) + _keys(model, tried)},
        "robust": {},
        "ledger": {
            "ledger facts": _known(params),
            "ledger": total([_sequence(params, method, elsewhere) for method in params.sequences]),
        },
    }


def _known(params: Params) -> Cost:
    """Finding out which facts are known."""
    return Cost(0 if params.subject else 140 * _PROMPT, 12)


def _edit(method: str) -> Cost:
    """One fact, by one method; without the statistics of its layer, which are kept."""
    if method in ("r-rome", "rome"):
        tokens = _STEPS * _ROWS * _PROMPT * _ABOVE
        return Cost(tokens, _STEPS * _ABOVE, backward=tokens, seconds=_SECONDS_OF_STATISTICS)
    if method in ("memit", "alphaedit"):
        tokens = _STEPS * _BATCH_ROWS * _PROMPT * _ABOVE
        return Cost(tokens, _STEPS * _ABOVE, backward=tokens, seconds=2 * _SECONDS_OF_STATISTICS)
    if method == "in-context":
        return Cost()
    tokens = _TRAINED * _PROMPT
    return Cost(tokens, _TRAINED, backward=2 * tokens, seconds=_SECONDS_OF_STATISTICS)


def _keys(model: InstrumentedModel, layers: int) -> Cost:
    """Reading the moments of some layers for the first time is not counted: they are kept."""
    return Cost(seconds=_SECONDS_OF_STATISTICS * layers / 4)


def _sequence(params: Params, method: str, elsewhere: Cost) -> Cost:
    """All edits of one sequence, with what is asked after each batch."""
    batches = -(-params.edits // params.batch)
    asked = 2 * sum(min((b + 1) * params.batch, params.edits) for b in range(batches))
    again = Cost(asked * _ASKED, batches * _STEPS_OF_ANSWER)
    return _edit(method) * params.edits + again + elsewhere * (batches / 2)


SEEN = c.KINDS

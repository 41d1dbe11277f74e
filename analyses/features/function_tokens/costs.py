"""What the parts of a function-tokens run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.features.function_tokens import training
from analyses.features.function_tokens.constants import WORDINGS
from analyses.features.function_tokens.params import Params
from analyses.features.function_tokens.training_steps import TrainingSteps
from workbench import facts
from workbench.autoencoders import shipped
from workbench.cost import Cost, total
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_READ = 0.85  # of the layers: reading stops above the last autoencoder
_TOGETHER = 2000  # tokens that share a pass
_DESCRIBED = 1000  # tokens that take as long as describing the features of one autoencoder
_ASKED = 10  # tokens to ask one fact closed-book
_PER_FACT = 230  # tokens for one fact and one autoencoder, over all wordings and changes
_BYTES = 4  # of a weight in a file
_FLOAT = 4  # bytes
_COPIES = 3  # of the logits of a pass whose losses are taken: with their logarithms
_SMALL = 2  # a small model takes longer for each of its weights


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    autoencoders = len(names(model, params))
    n = min(params.facts, len(facts.relation(params.relation).facts))
    return {
        "coverage": {
            "read": _reading(params.tokens) + Cost(bytes=_logits(model, params.tokens)),
            "features": Cost(_DESCRIBED * autoencoders),
        },
        # A twin of the model is made.
        "untrained": {
            "untrained": _reading(params.untrained) + Cost(bytes=_FLOAT * model.card.n_params)
        },
        "retrieval": {
            "closed book": _asking(params),
            "changes": Cost(
                n * autoencoders * _PER_FACT, passes=3 * autoencoders * len(WORDINGS)
            ),
        },
        "training": {"training": _training(model, params)},
    }  # fmt: skip


def names(model: InstrumentedModel, params: Params) -> list[str]:
    """The autoencoders that are asked for: those of the workbench for this model, if none are."""
    return params.features or [
        name for name, entry in shipped().items() if entry.card.get("model") == model.card.name
    ]


def _asking(params: Params) -> Cost:
    """Every fact of the relation, closed-book."""
    n = len(facts.relation(params.relation).facts)
    return Cost(n * _ASKED, passes=n / 8)


def _reading(tokens: int) -> Cost:
    return Cost(_READ * tokens, tokens / _TOGETHER)


def _logits(model: InstrumentedModel, tokens: int) -> float:
    """Bytes of the logits of a pass, of which the losses are taken."""
    return _COPIES * min(tokens, _TOGETHER) * model.card.d_vocab * _FLOAT


def _training(model: InstrumentedModel, params: Params) -> Cost:
    """In tokens of this model; the one that is followed may be much smaller."""
    try:
        followed = TrainingSteps.of(params.training, params.training_features)
    except WorkbenchError:  # said when the part is run
        return Cost()
    windows = len(followed.steps) * training.LOSSES + training.READ * sum(
        map(len, followed.autoencoders.values())
    )
    size = _SMALL * followed.size / _BYTES / max(1, model.card.n_params)
    return Cost(windows * training.CONTEXT * size, windows / training.AT_ONCE * size)

"""What the parts of an extraction run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures import text_source
from analyses.measures.compression import CANDIDATES, FIRST
from analyses.measures.decoding import decoding
from analyses.measures.scoring import reading
from analyses.weights.extraction.access import access_cost
from analyses.weights.extraction.params import Params
from analyses.weights.extraction.parts import training_steps
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_SEARCHED = 0.5  # of the steps that a search may take: it ends where a prompt is found


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    n = text_source.n_windows(
        model, params, max(params.context), params.suffix, params.stride, params.max_windows
    )
    return {part: total(each.values()) for part, each in stages(model, params, n).items()}


def stages(model: InstrumentedModel, params: Params, n: int) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it, for so many windows."""
    *shorter, longest = params.context
    suffix = params.suffix

    def read(context: int, whole: bool = False) -> Cost:
        return reading(model, n, context, suffix, whole=whole)

    whole, dropped = read(longest, whole=True), read(longest)
    steps = len(training_steps(model))
    targets = [len(model.continuation_tokens(text)) for text in params.compress]
    return {
        "verbatim": {"read": dropped, "context": total(read(length) for length in shorter)},
        "near_verbatim": {"decode": decoding(min(n, params.decode), longest, suffix)},
        # What it takes beyond `verbatim`: every suffix is read to its end.
        "membership": {"suffixes": Cost(max(0.0, whole.forward - dropped.forward))},
        "reference": {"reference": whole},
        "checkpoints": {"checkpoints": whole * steps},
        "compression": {
            "compress": total(
                Cost(CANDIDATES * (FIRST + target), passes=2, backward=FIRST + target)
                * (_SEARCHED * params.compress_steps)
                for target in targets
            )
        },
        "access": {"access": access_cost(model, params, n)},
    }

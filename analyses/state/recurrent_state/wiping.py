"""Where the answer is held: what wiping one layer's state after one token does to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooks.sweeps.over import States
from hooks.sweeps.sweep import sweep
from workbench.result import Finding
from workbench.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyses.state.recurrent_state.followed_answer import FollowedAnswer
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result


def measure(
    result: Result,
    model: InstrumentedModel,
    asked: FollowedAnswer,
    layers: Sequence[int],
    progress: Progress,
) -> None:
    """Wipe each layer's state after each token, alone."""
    found = sweep(
        model,
        [asked.ids],
        [[asked.answer]],
        over=States(by="layer", layers=list(layers)),
        change="zero",
        read="logprob",
        positions="all",
        progress=progress,
    )
    effects = found["effect"].isel(prompt=0, target=0, drop=True).transpose("layer", "pos")
    result.arrays["wiping"] = effects
    word, words = result.provenance.notes["asked for"], asked.words
    lowest = effects.isel(pos=slice(0, -1))
    at = lowest.argmin(["layer", "pos"])
    layer, pos = int(lowest["layer"][at["layer"]]), int(at["pos"])
    value = float(lowest.min())
    says = (
        f"The answer {quoted(word)} loses most, {-value:.1f} nats, when layer {layer}'s state is"
        f" wiped after token {pos} {quoted(words[pos])}."
    )
    result.add(Finding("wiped", value, says, unit="nats"))

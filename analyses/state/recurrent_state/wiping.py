"""Where the answer is held: what wiping one layer's state after one token does to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooks.sweeps.over import States
from hooks.sweeps.sweep import sweep
from workbench.errors import BadInput
from workbench.result import Finding
from workbench.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyses.state.recurrent_state.shown import Shown
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

MOST_TOKENS = 256
"""The rest of the prompt is read again after every token, so the cost grows with the square."""


def question(shown: Shown) -> tuple[list[int], int | None]:
    """(the tokens up to what is asked, the answer): of a row of pairs the question for the middle
    pair and its value; of a text all of it, and None.
    """
    if shown.row is None:
        return shown.ids, None
    asked = shown.row.is_asked[0].nonzero().flatten()
    pair = int(asked[len(asked) // 2])
    ids = shown.row.ids[int(shown.row.sequence[0, pair])].tolist()
    return ids[: int(shown.row.asked[0, pair]) + 1], int(shown.row.values[0, pair])


def measure(
    result: Result,
    model: InstrumentedModel,
    shown: Shown,
    layers: Sequence[int],
    progress: Progress,
) -> None:
    """Wipe each layer's state after each token, alone.

    Raises:
        BadInput: a prompt too long.
    """
    import pandas as pd

    ids, answer = question(shown)
    if len(ids) > MOST_TOKENS:
        raise BadInput(
            f"The prompt has {len(ids):,} tokens.",
            f"at most {MOST_TOKENS} for the part “wiping”, which reads the rest of it again after"
            " every token",
            "Shorten it, or leave this part out.",
        )
    if answer is None:
        answer = int(model.next_logits([ids])[0].argmax())
    found = sweep(
        model,
        [ids],
        [[answer]],
        over=States(by="layer", layers=list(layers)),
        change="zero",
        read="logprob",
        positions="all",
        progress=progress,
    )
    effects = found["effect"].isel(prompt=0, target=0, drop=True).transpose("layer", "pos")
    result.arrays["wiping"] = effects
    words = model.prompt_strings(ids)
    result.tables["asked"] = pd.DataFrame({"pos": range(len(words)), "token": words})
    word = model.token_strings([answer])[0].strip()
    result.provenance.notes["asked for"] = word
    lowest = effects.isel(pos=slice(0, -1))
    at = lowest.argmin(["layer", "pos"])
    layer, pos = int(lowest["layer"][at["layer"]]), int(at["pos"])
    value = float(lowest.min())
    says = (
        f"The answer {quoted(word)} loses most, {-value:.1f} nats, when layer {layer}'s state is"
        f" wiped after token {pos} {quoted(words[pos])}."
    )
    result.add(Finding("wiped", value, says, unit="nats"))

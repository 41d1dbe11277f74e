"""What a stretch of the text does for the answer: its tokens leave the states as they are (frozen),
or the states are wiped at each of them.

Its null are all other stretches of the same length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hooks.recurrent.changes import FreezeState, StateChange, WipeState
from hooks.state_changes import change_state
from workbench.errors import BadInput
from workbench.result import Finding
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analyses.state.recurrent_state.followed_answer import FollowedAnswer
    from analyses.state.recurrent_state.params import Params
    from analyses.state.recurrent_state.shown import Shown
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

SPAN_CHANGES: dict[str, type[StateChange]] = {"freeze": FreezeState, "wipe": WipeState}
MOST_STARTS = 48
"""Stretches that are tried, evenly spread over the text."""
WIDTH = 4
"""Tokens of a stretch where none is named."""
_ALL = -1
_SAYS = {
    "freeze": "With its tokens frozen out of all states",
    "wipe": "With all states wiped at its tokens",
}


@dataclass(frozen=True)
class Stretch:
    """Tokens `start` to `stop`, without the last; `named` by whoever asks, or by the question."""

    start: int
    stop: int
    named: bool = True

    @property
    def width(self) -> int:
        return self.stop - self.start


def chosen_stretch(given: str, asked: FollowedAnswer, shown: Shown) -> Stretch:
    """The stretch that is asked about: token numbers “4-9” or a part of the text; without one, in a
    row of pairs the pair that is asked for, up to the token behind it, where short convolutions
    write; in a text none, and the length of those that are tried.

    Raises:
        BadInput: a stretch that the text before its last token does not have.
    """
    last = len(asked.ids) - 1
    if not given.strip():
        if asked.pair is None or shown.row is None:
            return Stretch(0, min(WIDTH, last), named=False)
        start = shown.row.start + shown.row.stride * asked.pair
        return Stretch(start, start + shown.row.stride + 1)
    if numbers := re.fullmatch(r"\s*(\d+)\s*[-–]\s*(\d+)\s*", given):
        start, stop = int(numbers[1]), int(numbers[2]) + 1
    else:
        start, stop = _tokens_of(given, asked.words)
    if not 0 <= start < stop <= last:
        raise BadInput(
            f"The text before its last token has no stretch {quoted(given)}.",
            f"two token numbers from 0 to {last - 1}, as in “4-9”, or a part of the text",
            "Choose others.",
        )
    return Stretch(start, stop)


def _tokens_of(part: str, words: Sequence[str]) -> tuple[int, int]:
    """The tokens that a part of the text lies in; (0, 0) where it is not in it."""
    at = "".join(words).find(part)
    if at < 0:
        return 0, 0
    ends = np.cumsum([len(word) for word in words])
    return int((ends <= at).sum()), int((ends < at + len(part)).sum()) + 1


def starts(span: Stretch, n_tokens: int) -> list[int]:
    """First tokens of the stretches that are tried: all, or evenly spread ones."""
    most = n_tokens - 1 - span.width
    found = {round(x) for x in np.linspace(0, most, min(MOST_STARTS, most + 1))}
    return sorted(found | {span.start})


@torch.no_grad()
def measure(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    asked: FollowedAnswer,
    shown: Shown,
    layers: Sequence[int],
    progress: Progress,
) -> None:
    """Freeze and wipe every stretch of one length, in each layer and in all.

    Raises:
        BadInput: a stretch that the text does not have.
    """
    import pandas as pd
    import xarray as xr

    span = chosen_stretch(params.span, asked, shown)
    tried = starts(span, len(asked.ids))
    before = _logprob(model, asked)
    places = [*layers, _ALL]
    effects = np.zeros((len(SPAN_CHANGES), len(places), len(tried)), np.float32)
    for n, start in enumerate(tried):
        progress(n / len(tried), f"Tokens {start} to {start + span.width - 1}")
        positions = list(range(start, start + span.width))
        for c, change in enumerate(SPAN_CHANGES.values()):
            for place, layer in enumerate(places):
                where = list(layers) if layer == _ALL else layer
                with change_state(model, change(), layers=where, positions=positions):
                    effects[c, place, n] = _logprob(model, asked) - before
    table = pd.DataFrame(
        [
            {
                "change": change,
                "start": start,
                "last": start + span.width - 1,
                "text": "".join(asked.words[start : start + span.width]),
                "effect": float(effects[c, -1, n]),
                "is": "asked about" if span.named and start == span.start
                else "overlaps" if span.named and abs(start - span.start) < span.width
                else "other",
            }
            for c, change in enumerate(SPAN_CHANGES)
            for n, start in enumerate(tried)
        ]
    )  # fmt: skip
    result.tables["spans"] = table
    result.arrays["span_effects"] = xr.DataArray(
        effects[:, :-1],
        dims=("change", "layer", "pos"),
        coords={"change": list(SPAN_CHANGES), "layer": list(layers), "pos": tried},
    )
    for name in SPAN_CHANGES:
        _add_finding(result, table[table["change"] == name], name)


def _logprob(model: InstrumentedModel, asked: FollowedAnswer) -> float:
    return float(model.next_logits([asked.ids])[0].float().log_softmax(-1)[asked.answer])


def _add_finding(result: Result, table: pd.DataFrame, change: str) -> None:
    """The stretch that was asked about against the others; without one, the worst among them."""
    others = table[table["is"] == "other"]["effect"].to_numpy()
    named = table[table["is"] == "asked about"]
    row: Any = named.iloc[0] if len(named) else table.loc[table["effect"].idxmin()]
    effect, word = float(row["effect"]), result.provenance.notes["asked for"]
    low, high = (float(x) for x in np.quantile(others, [0.025, 0.975])) if len(others) else (0, 0)
    says = (
        f"{_SAYS[change]} (tokens {row['start']} to {row['last']}, {quoted(row['text'].strip())}),"
        f" the answer {quoted(word)} changes by {effect:+.2f} nats"
    )
    if not len(named):
        says += f"; that is the worst of {len(table)} stretches of this length."
        result.add(Finding(f"span_{change}", effect, says, unit="nats"))
        return
    if not len(others):
        result.add(Finding(f"span_{change}", effect, f"{says}.", unit="nats"))
        return
    as_bad = float((others <= effect).mean())
    says += (
        f". Of {len(others)} other stretches of this length 95 % change it by {low:+.2f} to"
        f" {high:+.2f} nats, and {percent(as_bad)} by as much."
    )
    values = {"effect": effect, "others": float(np.median(others)), "as_bad": as_bad}
    result.add(
        Finding(f"span_{change}", values, says, unit="nats", interval={"others": (low, high)})
    )

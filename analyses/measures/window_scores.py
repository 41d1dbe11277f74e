"""What one teacher-forced pass over windows of one length gives: the pass, and what is noted of it.

scoring.py makes the batches of it and puts them together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.sampling import log_q
from hooks import out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

    from analyses.measures.sampler import Sampler
    from analyses.measures.windows import Window
    from hooks.model import InstrumentedModel

_FIRST, _GROWTH = (
    4,
    3,
)  # suffix tokens of the first stage without everything, and how each stage grows


@dataclass(frozen=True)
class Pass:
    """How windows are read: `sampler`, `whole` and `floor` as `scoring.score` takes them."""

    sampler: Sampler
    whole: bool
    floor: float


@dataclass
class Scores:
    """What is known of each window; arrays are (window,) or (window, suffix token), as wide as the
    longest suffix.

    Attributes:
        match: leading tokens of the suffix that greedy decoding says.
        margin: the smallest lead of the right token over the best other one, in logits; below 0
            greedy goes elsewhere. Over the tokens that were read.
        log_p: ln of the probability that the sampler says the whole suffix; -inf where it never
            would. NaN where the window was dropped below `floor`: then it is less than that.
        read: suffix tokens that were read, all of them unless windows may be dropped.
        logprob, surprise, spread: ln p of each suffix token, and mean and standard deviation of ln
            p over the vocabulary there (Min-K%++). NaN behind what was read; the last two also
            wherever windows may be dropped.
        likeliest: the id greedy decoding would say instead, at each suffix token; -1 behind what
            was read.
    """

    match: np.ndarray
    margin: np.ndarray
    log_p: np.ndarray
    read: np.ndarray
    logprob: np.ndarray
    surprise: np.ndarray
    spread: np.ndarray
    likeliest: np.ndarray

    @classmethod
    def of_nothing(cls, n: int, length: int) -> Scores:
        """Those of `n` windows that are still to be read, with suffixes of at most `length`."""
        return cls(
            match=np.zeros(n, np.int64),
            margin=np.full(n, math.inf),
            log_p=np.zeros(n),
            read=np.zeros(n, np.int64),
            logprob=np.full((n, length), np.nan, np.float32),
            surprise=np.full((n, length), np.nan, np.float32),
            spread=np.full((n, length), np.nan, np.float32),
            likeliest=np.full((n, length), -1, np.int64),
        )

    def put(self, rows: Sequence[int], part: Mapping[str, np.ndarray]) -> None:
        """Put in what was read of some windows.

        Args:
            part: by attribute, as `vars` gives them; suffixes may be shorter there.
        """
        for name, values in part.items():
            into = getattr(self, name)
            if values.ndim == 1:
                into[rows] = values
            else:
                into[rows, : values.shape[1]] = values


def stages(suffix: int, whole: bool) -> list[tuple[int, int]]:
    """Which suffix tokens are read together, as (start, end)."""
    if whole:
        return [(0, suffix)]
    ends, size, end = [], _FIRST, 0
    while end < suffix:
        end = min(suffix, end + size)
        ends.append(end)
        size *= _GROWTH
    return list(zip([0, *ends], ends, strict=False))


def read_windows(model: InstrumentedModel, windows: Sequence[Window], plan: Pass) -> Scores:
    """Scores of windows whose prefixes, and whose suffixes, are of one length: together, or in
    smaller batches where memory runs out.
    """
    scores = Scores.of_nothing(len(windows), len(windows[0].suffix))

    def read(part: list[int]) -> Scores:
        here = Scores.of_nothing(len(part), len(windows[0].suffix))
        _read_batch(model, [windows[i] for i in part], np.arange(len(part)), here, plan)
        return here

    for part, here in out_of_memory.results_in_parts(model, range(len(windows)), read):
        scores.put(part, vars(here))
    return scores


@torch.no_grad()
def _read_batch(
    model: InstrumentedModel,
    windows: Sequence[Window],
    rows: np.ndarray,
    scores: Scores,
    plan: Pass,
) -> None:
    """Read windows whose prefixes, and whose suffixes, are of one length.

    Args:
        rows: where each window's numbers go in `scores`.
    """
    device, length = model.device, len(windows[0].suffix)
    fed = torch.tensor([window.prompt for window in windows], device=device)
    suffix = torch.tensor([window.suffix for window in windows], device=device)
    cache: Any = None
    open_rows = rows
    for start, end in stages(length, plan.whole):
        # The last suffix token predicts nothing that is asked; the token before the stage predicts
        # its first.
        given = (
            torch.cat([fed, suffix[:, : end - 1]], 1)
            if start == 0
            else suffix[:, start - 1 : end - 1]
        )
        last = end == length
        options: dict[str, Any] = {} if cache is None else {"past_key_values": cache}
        out = model.forward(
            input_ids=given, logits_to_keep=end - start, use_cache=not last, **options
        )
        cache = None if last else out.past_key_values
        goes_on = _note(
            out.logits.float(),
            suffix[:, start:end],
            open_rows,
            start,
            scores,
            plan,
            last,
        )
        if last or not len(goes_on):
            return
        if len(goes_on) < len(open_rows):
            cache.batch_select_indices(goes_on.to(device))
            suffix = suffix[goes_on]
            open_rows = open_rows[goes_on.cpu().numpy()]


def _note(
    logits: Tensor,
    targets: Tensor,
    rows: np.ndarray,
    start: int,
    scores: Scores,
    plan: Pass,
    last: bool,
) -> Tensor:
    """Write down what these positions say, and which of the rows may still be said by greedy
    decoding or the sampler.
    """
    end = start + targets.shape[1]
    highest, best = logits.max(-1)
    own = logits.gather(-1, targets[..., None])[..., 0]
    right = best == targets
    drawn = log_q(logits, targets, plan.sampler).double().sum(-1)
    log_z = logits.logsumexp(-1, keepdim=True)
    scores.logprob[rows, start:end] = (own - log_z[..., 0]).cpu().numpy()
    margin = own - highest
    if right.any():
        margin[right] = own[right] - logits[right].topk(2, dim=-1).values[:, 1]
    if plan.whole:
        logprob = logits - log_z
        p = logprob.exp()
        mean = (p * logprob).sum(-1)
        square = (p * logprob.square_()).sum(-1)
        scores.surprise[rows, start:end] = mean.cpu().numpy()
        scores.spread[rows, start:end] = (square - mean.square()).clamp(min=0).sqrt().cpu().numpy()
    scores.likeliest[rows, start:end] = best.cpu().numpy()
    scores.margin[rows] = np.minimum(
        scores.margin[rows], margin.min(-1).values.double().cpu().numpy()
    )
    leading = right.long().cumprod(-1).sum(-1).cpu().numpy()
    scores.match[rows] += np.where(scores.match[rows] == start, leading, 0)
    scores.read[rows] = end
    scores.log_p[rows] += drawn.cpu().numpy()
    if last:
        return torch.arange(0)
    said = scores.match[rows] == end
    likely = scores.log_p[rows] > plan.floor
    dropped = ~(said | likely)
    scores.log_p[rows[dropped]] = np.where(
        scores.log_p[rows[dropped]] == -math.inf, -math.inf, np.nan
    )
    return torch.from_numpy(np.flatnonzero(~dropped))

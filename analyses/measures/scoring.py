"""Everything one teacher-forced pass says about a window, and no pass that is not needed.

Greedy decoding from a prefix says the suffix exactly if, with the suffix fed in, the likeliest
token is the next one at every position: as long as all earlier tokens agreed, the decoder stands
exactly where the fed pass stands. So one pass gives what a decoding of every window would, and the
probability of the suffix under any sampler besides.

Where only that is asked, a window is dropped as soon as it can no longer be said: the prefix is
read once, the suffix a few tokens at a time, and the windows left over go on from the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.sampler import Sampler
from analyses.measures.sampling import log_q
from hooks.without_interventions import undisturbed
from workbench.cost import Cost

if TYPE_CHECKING:
    from torch import Tensor

    from analyses.measures.windows import Window
    from hooks.model import InstrumentedModel

BUDGET = 192 * 2**20
"""Bytes of float32 logits held at once."""
_TOKENS = 6400  # read at once, whatever the vocabulary: beyond this a batch gains nothing on a CPU
_FIRST, _GROWTH = (
    4,
    3,
)  # suffix tokens of the first stage without everything, and how each stage grows
_READ = 0.25  # of a suffix is read on average where windows may be dropped


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


def score(
    model: InstrumentedModel,
    windows: Sequence[Window],
    sampler: Sampler,
    *,
    whole: bool = True,
    floor: float = -math.inf,
    progress: Callable[[float, str], None] = lambda fraction, says: None,
) -> Scores:
    """Read every window once.

    Args:
        windows: of any lengths; those alike share a batch.
        sampler: whose probabilities `log_p` gives.
        whole: read every suffix to its end, as `logprob` and what is made of it need. Otherwise a
            window is dropped where greedy decoding has gone elsewhere and ln p_z has fallen below
            `floor`.
        floor: e.g. ln of one in the number of tries somebody has; -inf keeps no window that greedy
            or the sampler never say.
    """
    n, length = len(windows), max((len(window.suffix) for window in windows), default=0)
    scores = Scores(
        match=np.zeros(n, np.int64),
        margin=np.full(n, math.inf),
        log_p=np.zeros(n),
        read=np.zeros(n, np.int64),
        logprob=np.full((n, length), np.nan, np.float32),
        surprise=np.full((n, length), np.nan, np.float32),
        spread=np.full((n, length), np.nan, np.float32),
        likeliest=np.full((n, length), -1, np.int64),
    )
    # Windows of one length share a batch without padding, so every family gives exactly its own
    # numbers.
    by_length: dict[tuple[int, int], list[int]] = {}
    for index, window in enumerate(windows):
        by_length.setdefault((len(window.prompt), len(window.suffix)), []).append(index)
    done = 0
    whole = whole or not _goes_on(model)
    for (prompt, suffix), indices in by_length.items():
        size = batch_size(model, prompt, suffix)
        for start in range(0, len(indices), size):
            part = indices[start : start + size]
            _read(model, [windows[i] for i in part], np.array(part), scores, sampler, whole, floor)
            done += len(part)
            progress(done / n, f"Reading windows, {done:,} of {n:,}")
    return scores


def is_greedy(scores: Scores, windows: Sequence[Window]) -> np.ndarray:
    """(window, suffix token): whether greedy decoding says it, given all of the text before it.

    False where it was not read.
    """
    right = np.zeros(scores.likeliest.shape, bool)
    for row, window in enumerate(windows):
        right[row, : len(window.suffix)] = (
            scores.likeliest[row, : len(window.suffix)] == window.suffix
        )
    return right


def longest_runs(right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(where it starts, how long it is) of the longest run of right tokens in each row; the
    first of several.
    """
    start, longest, run = (np.zeros(len(right), np.int64) for _ in range(3))
    for at in range(right.shape[1]):
        run = (run + 1) * right[:, at]
        longer = run > longest
        start[longer], longest[longer] = at + 1 - run[longer], run[longer]
    return start, longest


def batch_size(model: InstrumentedModel, prompt: int, suffix: int) -> int:
    """Windows read at once: the logits of the suffixes must fit `BUDGET`."""
    by_logits = BUDGET // (4 * max(1, model.card.d_vocab) * max(1, suffix))
    return int(max(1, min(by_logits, _TOKENS // max(1, prompt + suffix))))


def reading(model: InstrumentedModel, n: int, prefix: int, suffix: int, *, whole: bool) -> Cost:
    """What `score` costs on `n` windows of so many tokens."""
    tokens = prefix + len(model.text.beginning) + suffix * (1.0 if whole else _READ)
    passes = -(-n // batch_size(model, prefix, suffix)) * (
        1 if whole else len(stages(suffix, False))
    )
    logits = 4.0 * model.card.d_vocab * suffix * min(n, batch_size(model, prefix, suffix))
    return Cost(n * tokens, passes, bytes=3 * logits)


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


@torch.no_grad()
def _goes_on(model: InstrumentedModel) -> bool:
    """Whether reading can go on from a cache with only some of the rows; the caches of some
    recurrent families cannot.
    """
    ids = torch.zeros((1, 2), dtype=torch.long, device=model.device)
    with undisturbed(model.module):
        cache = getattr(
            model.forward(input_ids=ids, use_cache=True, logits_to_keep=1), "past_key_values", None
        )
    return hasattr(cache, "batch_select_indices") and all(
        hasattr(layer, "keys") for layer in getattr(cache, "layers", [0])
    )


@torch.no_grad()
def _read(
    model: InstrumentedModel,
    windows: Sequence[Window],
    rows: np.ndarray,
    scores: Scores,
    sampler: Sampler,
    whole: bool,
    floor: float,
) -> None:
    device, length = model.device, len(windows[0].suffix)
    fed = torch.tensor([window.prompt for window in windows], device=device)
    suffix = torch.tensor([window.suffix for window in windows], device=device)
    cache: Any = None
    open_rows = rows
    for start, end in stages(length, whole):
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
            sampler,
            floor,
            whole,
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
    sampler: Sampler,
    floor: float,
    whole: bool,
    last: bool,
) -> Tensor:
    """Write down what these positions say, and which of the rows may still be said by greedy
    decoding or the sampler.
    """
    end = start + targets.shape[1]
    highest, best = logits.max(-1)
    own = logits.gather(-1, targets[..., None])[..., 0]
    right = best == targets
    drawn = log_q(logits, targets, sampler).double().sum(-1)
    log_z = logits.logsumexp(-1, keepdim=True)
    scores.logprob[rows, start:end] = (own - log_z[..., 0]).cpu().numpy()
    margin = own - highest
    if right.any():
        margin[right] = own[right] - logits[right].topk(2, dim=-1).values[:, 1]
    if whole:
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
    likely = scores.log_p[rows] > floor
    dropped = ~(said | likely)
    scores.log_p[rows[dropped]] = np.where(
        scores.log_p[rows[dropped]] == -math.inf, -math.inf, np.nan
    )
    return torch.from_numpy(np.flatnonzero(~dropped))

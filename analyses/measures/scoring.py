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
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.measures import score_on_workers
from analyses.measures.sampler import Sampler
from analyses.measures.window_scores import Pass, Scores, read_windows, stages
from hooks.without_interventions import undisturbed
from workbench import run_workers
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.measures.windows import Window
    from hooks.model import InstrumentedModel

BUDGET = 192 * 2**20
"""Bytes of float32 logits held at once."""
_TOKENS = 6400  # read at once, whatever the vocabulary: beyond this a batch gains nothing on a CPU
_READ = 0.25  # of a suffix is read on average where windows may be dropped


def score(
    model: InstrumentedModel,
    windows: Sequence[Window],
    sampler: Sampler,
    *,
    whole: bool = True,
    floor: float = -math.inf,
    ref: str = "",
    progress: Callable[[float, str], None] = lambda fraction, says: None,
) -> Scores:
    """Read every window once: here, or by the workers that this run was given.

    Args:
        windows: of any lengths; those alike share a batch.
        sampler: whose probabilities `log_p` gives.
        whole: read every suffix to its end, as `logprob` and what is made of it need. Otherwise a
            window is dropped where greedy decoding has gone elsewhere and ln p_z has fallen below
            `floor`.
        floor: e.g. ln of one in the number of tries somebody has; -inf keeps no window that greedy
            or the sampler never say.
        ref: by which workers load the model; "" is the model of the run.
    """
    n, length = len(windows), max((len(window.suffix) for window in windows), default=0)
    scores = Scores.of_nothing(n, length)
    pass_ = Pass(sampler, whole or not _goes_on(model), floor)
    batches = list(_batches(model, windows))
    if (crew := run_workers.current()) is not None:
        score_on_workers.read(crew, model, ref, windows, batches, pass_, scores, progress)
        return scores
    done = 0
    for part in batches:
        scores.put(part, vars(read_windows(model, [windows[i] for i in part], pass_)))
        done += len(part)
        progress(done / n, f"Reading windows, {done:,} of {n:,}")
    return scores


def _batches(model: InstrumentedModel, windows: Sequence[Window]) -> Iterator[list[int]]:
    """Which windows are read together.

    Those of one length share a batch without padding, so every family gives exactly its own
    numbers.
    """
    by_length: dict[tuple[int, int], list[int]] = {}
    for index, window in enumerate(windows):
        by_length.setdefault((len(window.prompt), len(window.suffix)), []).append(index)
    for (prompt, suffix), indices in by_length.items():
        size = batch_size(model, prompt, suffix)
        yield from (indices[start : start + size] for start in range(0, len(indices), size))


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

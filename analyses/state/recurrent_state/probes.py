"""Which past values a linear probe finds in a state, against what it finds without one.

Rows of pairs have values drawn from few, so that nothing but memory says which value stood some
pairs back: a guess is right once in as many. The probe is a ridge regression on the flattened state
behind the pairs (projected at random to `WIDTH` numbers), trained on some rows and tested on
others. It does not know the key, as a state is keys times values; another probe reads what the
state gives under the pair's own key. Controls: the convolution's inputs alone, the last value
alone, values of shuffled rows, the state of the same model before training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.state.recurrent_state import pair_rows
from analyses.state.recurrent_state.kernels import state_behind_pairs
from hooks.state_capture import listening
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from analyses.measures.pair_questions import Vocabulary
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

VALUES = 16
"""Values that rows are drawn from: a guess is right once in so many times."""
PAIRS = 8
WIDTH = 512
_TRAINED_ON = 0.7  # of the rows
_PENALTIES = [10.0**n for n in range(-3, 4)]


@dataclass(frozen=True)
class Sequences:
    """Rows for probes.

    Attributes:
        rows: the tokens, up to the end of the pairs.
        label: which of the values each pair has, (row, pair).
    """

    rows: pair_rows.PairRows
    label: np.ndarray
    n_values: int


@dataclass(frozen=True)
class Held:
    """What is held behind the rows in one layer.

    Attributes:
        state: (row, at most WIDTH).
        taps: the inputs of the convolution that the next token finds, (row, at most WIDTH); None
            where there is none.
        by_key: what the state gives under the keys of some pairs, by lag, (row, at most WIDTH).
    """

    state: np.ndarray
    taps: np.ndarray | None
    by_key: dict[int, np.ndarray]


def draw(vocabulary: Vocabulary, n: int, seed: int, lags: Sequence[int]) -> Sequences:
    """Rows of pairs with values from few, that may stand in a row more than once.

    Raises:
        BadInput: a lag beyond the pairs that there can be.
    """
    pairs = max(PAIRS, max(lags) + 1)
    if pairs > len(vocabulary.keys):
        raise BadInput(
            f"A probe cannot look {max(lags)} pairs back.",
            f"at most {len(vocabulary.keys) - 1}",
            "Choose smaller lags.",
        )
    rng = np.random.default_rng([seed, 77])
    count = min(VALUES, len(vocabulary.values))
    keys = rng.permuted(np.tile(vocabulary.keys, (n, 1)), axis=1)[:, :pairs]
    label = rng.integers(count, size=(n, pairs))
    chosen = rng.choice(vocabulary.values, count, replace=False)
    made = pair_rows.make(vocabulary, keys, chosen[label], rng, ask=1)
    return Sequences(replace(made, ids=made.ids[:, : made.end + 1]), label, count)


def held(
    model: InstrumentedModel,
    sequences: Sequences,
    offsets: Mapping[int, int],
    lags: Sequence[int],
    progress: Progress,
    what: str,
) -> dict[int, Held]:
    """By layer, what is held behind the rows. One pass for each batch.

    Args:
        offsets: by layer, how many tokens behind its key a pair is written.
    """
    found: dict[int, list[tuple[Tensor, Tensor | None, list[Tensor]]]] = {n: [] for n in offsets}
    ids, done = sequences.rows.ids, 0
    for part in ids.split(pair_rows.TOGETHER):
        with listening(model, list(offsets)) as reading:
            model.forward(**model.batch(part.tolist()).kwargs(), use_cache=False, logits_to_keep=1)
        rows = replace(sequences.rows, ids=part)
        for layer, offset in offsets.items():
            inputs = reading.inputs(layer)
            state = state_behind_pairs(inputs, rows)
            written = rows.written(offset)
            keys = [inputs.k[:, written[-1 - lag]] for lag in lags]
            shape = model.layout.blocks[layer].states.get("conv_state")
            taps = None if shape is None else reading.last_taps(layer, shape[-1])
            found[layer].append(
                (
                    state.flatten(1).float().cpu(),
                    None if taps is None else taps.flatten(1).cpu(),
                    [(key[..., None, :] @ state).flatten(1).float().cpu() for key in keys],
                )
            )
        done += len(part)
        progress(done / len(ids), f"{what}: {done:,} of {len(ids):,} rows")
    return {layer: _joined(parts, lags) for layer, parts in found.items()}


def _joined(
    parts: Sequence[tuple[Tensor, Tensor | None, list[Tensor]]], lags: Sequence[int]
) -> Held:
    taps = [taps for _, taps, _ in parts if taps is not None]
    return Held(
        _narrowed(torch.cat([state for state, _, _ in parts])),
        _narrowed(torch.cat(taps)) if taps else None,
        {
            lag: _narrowed(torch.cat([by_key[n] for _, _, by_key in parts]))
            for n, lag in enumerate(lags)
        },
    )


def _narrowed(x: Tensor) -> np.ndarray:
    """Standardised, and projected at random where it is wider than `WIDTH`."""
    x = (x - x.mean(0)) / x.std(0).clamp(min=1e-6)
    if x.shape[1] > WIDTH:
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(x.shape[1], WIDTH, generator=generator) / x.shape[1] ** 0.5
        x = x @ drawn
    return x.double().numpy()


def accuracy(x: np.ndarray, label: np.ndarray, n_values: int, seed: int) -> tuple[int, int]:
    """(right, tested) of a ridge regression onto the values; its penalty is chosen on a part of the
    rows that it is trained on.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    cut = int(_TRAINED_ON * len(x))
    train, test = order[:cut], order[cut:]
    inner, outer = train[: int(0.8 * cut)], train[int(0.8 * cut) :]
    tried = _predictions(x, label, n_values, inner, outer, _PENALTIES)
    best = _PENALTIES[np.argmax([(found == label[outer]).mean() for found in tried])]
    (found,) = _predictions(x, label, n_values, train, test, [best])
    return int((found == label[test]).sum()), len(test)


def _predictions(
    x: np.ndarray,
    label: np.ndarray,
    n_values: int,
    train: np.ndarray,
    test: np.ndarray,
    penalties: Sequence[float],
) -> list[np.ndarray]:
    """The values that ridge regressions say for the rows `test`, one for each penalty."""
    target = np.eye(n_values)[label[train]]
    centre, mean = target.mean(0), x[train].mean(0)
    a, b = x[train] - mean, x[test] - mean
    gram, right = a.T @ a, a.T @ (target - centre)
    each = np.eye(x.shape[1]) * len(train)
    return [(b @ np.linalg.solve(gram + p * each, right) + centre).argmax(1) for p in penalties]

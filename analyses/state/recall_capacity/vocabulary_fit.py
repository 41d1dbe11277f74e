"""Does a larger vocabulary fit random labels better (Kharitonov et al. 2021, of BPE)?

Strings of random letters get random labels. They are cut by byte-pair encodings of several sizes,
learned on them; small transformers of equal numbers of parameters are trained to tell the labels.
Larger vocabularies make texts shorter, the paper's conjecture of why: so each is also read spread
out to as many tokens as there are letters, with filler behind every token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from analyses.state.recall_capacity.small_transformers import fit, make_transformer, parameters_of

LETTERS, LENGTH, LABELS = 8, 24, 8
PARAMETERS = 12_000
"""Of every model, as near as its width allows."""
FITTED = 0.99
_LAYERS = 1
_RATE = 5e-3


@dataclass(frozen=True)
class LabelFit:
    """A training.

    Attributes:
        vocabulary: letters and merged pairs.
        spread: whether filler keeps texts as long as they are in letters.
        tokens: of a text, on average.
        right: share of labels at the end.
        fitted_at: step after which 99 % were right; NaN where never.
    """

    vocabulary: int
    spread: bool
    seed: int
    tokens: float
    parameters: int
    right: float
    fitted_at: float


def merged(texts: Sequence[Sequence[int]], merges: int) -> list[list[int]]:
    """The texts cut by byte-pair encoding: so many times the commonest pair of neighbours becomes a
    token of its own.
    """
    found = [list(text) for text in texts]
    for new in range(LETTERS, LETTERS + merges):
        pairs = Counter(pair for text in found for pair in pairwise(text))
        (first, second), _ = max(pairs.items(), key=lambda item: (item[1], item[0]))
        for n, text in enumerate(found):
            out: list[int] = []
            for token in text:
                if out and out[-1] == first and token == second:
                    out[-1] = new
                else:
                    out.append(token)
            found[n] = out
    return found


def padded(texts: Sequence[Sequence[int]], filler: int, spread: bool) -> torch.Tensor:
    """Ids (text, token), filler before them; spread out, filler stands behind every token, so that
    all are as long as in letters.
    """
    if spread:
        texts = [_spread(text, filler) for text in texts]
    most = max(map(len, texts))
    return torch.tensor([[filler] * (most - len(text)) + list(text) for text in texts])


def _spread(text: Sequence[int], filler: int) -> list[int]:
    """Token n of m at place n · length / m of as many places as there are letters."""
    out = [filler] * LENGTH
    for n, token in enumerate(text):
        out[n * LENGTH // len(text)] = token
    return out


def width_of(vocabulary: int) -> int:
    """The even number of dimensions with which a model has about `PARAMETERS`."""

    def parameters(width: int) -> int:
        return vocabulary * width + _LAYERS * (4 * width**2 + 6 * width**2 + 2 * width) + width

    return min(range(8, 129, 4), key=lambda width: abs(parameters(width) - PARAMETERS))


def fit_labels(
    merges: int,
    spread: bool,
    items: int,
    seed: int,
    steps: int,
    report: Callable[[float], None] = lambda share: None,
) -> LabelFit:
    """Train one model on all strings at once, and say when their labels are fitted."""
    generator = torch.Generator().manual_seed(seed)
    letters = torch.randint(LETTERS, (items, LENGTH), generator=generator)
    labels = torch.randint(LABELS, (items,), generator=generator)
    texts = merged(letters.tolist(), merges)
    filler = LETTERS + merges
    ids = padded(texts, filler, spread)
    vocabulary = max(filler + 1, LABELS)
    model = make_transformer(vocabulary, width_of(vocabulary), _LAYERS, seed)
    right, fitted = [0.0], [float("nan")]

    def loss(step: int) -> torch.Tensor:
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, 0, :LABELS]
        right[0] = float((logits.argmax(-1) == labels).float().mean())
        if right[0] >= FITTED and fitted[0] != fitted[0]:
            fitted[0] = float(step)
        return torch.nn.functional.cross_entropy(logits, labels)

    fit(model, loss, steps, _RATE, report)
    tokens = sum(map(len, texts)) / items
    return LabelFit(
        LETTERS + merges, spread, seed, tokens, parameters_of(model), right[0], fitted[0]
    )

"""The text that is read: the user's, or the mixture that every machine has, in windows of one
length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from hooks.features.activation_stream import windows
from workbench import default_corpus
from workbench.errors import BadInput
from workbench.texts import named

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_BYTES = 16  # of text that surely give one token


@dataclass(frozen=True)
class Corpus:
    """Windows of text.

    Attributes:
        ids: token ids, (window, pos).
        unseen: how many of the windows come from text that the shipped autoencoders were not
            trained on.
    """

    ids: np.ndarray
    unseen: int


def cut(model: InstrumentedModel, texts: str, tokens: int, context: int, seed: int) -> Corpus:
    """So many tokens of text, documents parted by the token that ends one.

    Args:
        texts: a file or folder, or the name of a data set; "" is the mixture: what of it was held
            out from training the shipped autoencoders comes first, as long as its shares hold, then
            the rest.

    Raises:
        BadInput: there is less text (how much there is is told), or it is no text.
        NotFound: no such file, folder or data set.
    """
    wanted = -(-tokens // context)
    if texts:
        ids = _filled(
            windows(model, named(texts, _BYTES * tokens), context), wanted, context, tokens
        )
        return Corpus(ids, len(ids))
    held_out = (d.text for d in default_corpus.documents("held-out", (), seed, even=True))
    fresh = list(islice(windows(model, held_out, context), wanted))
    rest = windows(model, (d.text for d in default_corpus.documents("train", (), seed)), context)
    ids = _filled(chain(fresh, islice(rest, wanted - len(fresh))), wanted, context, tokens)
    return Corpus(ids, len(fresh))


def _filled(found: Iterator[list[int]], n: int, context: int, tokens: int) -> np.ndarray:
    ids = np.zeros((n, context), np.int32)
    count = -1
    for count, window in zip(range(n), found, strict=False):
        ids[count] = window
    if count + 1 < n:
        raise BadInput(
            f"The text has {(count + 1) * context:,} tokens in whole windows of {context};"
            f" {tokens:,} are to be read.",
            f"about {_BYTES // 4 * tokens / 1e6:.1f} MB of text",
            f"Give more text, or read less (tokens={max(1, count + 1) * context}): the fewer, the"
            " less can be told.",
        )
    return ids


def shuffled(ids: np.ndarray, skip: int, seed: int) -> np.ndarray:
    """The windows with their tokens in another order each, but for the first ones: which token
    stood where is lost.
    """
    mixed = ids.copy()
    mixed[:, skip:] = np.random.default_rng(seed).permuted(ids[:, skip:], axis=1)
    return mixed

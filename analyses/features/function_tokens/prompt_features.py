"""Single prompts: which features are active at which token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hooks.features.activation_stream import values
from hooks.prompts import Prompt, Tokenized, tokenize
from workbench.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from hooks.features.sae import SAE
    from hooks.model import InstrumentedModel

MOST = 256
"""Tokens of a prompt."""
STRONGEST = 24
"""Features kept of each token."""


def prompt_tables(
    opened: Sequence[SAE],
    labels: Sequence[str],
    prompts: Sequence[Prompt],
    function: np.ndarray,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(tokens, active): columns prompt, pos, token, class (of conversations also part, "template"
    or "message"); and at, prompt, pos, feature, activation, the strongest of each token.

    Raises:
        BadInput: a prompt that is too long.
    """
    import pandas as pd

    tokens, active = [], []
    model = opened[0].model
    for number, text in enumerate(prompts):
        read = _tokenized(model, text, number + 1)
        ids = read.ids
        parts: Sequence[bool | None] = read.from_template or [None] * len(ids)
        words = model.prompt_strings(ids)
        classes = ["function" if function[i] else "content" for i in ids]
        told = [None if mark is None else "template" if mark else "message" for mark in parts]
        tokens += [
            (number, pos, *row) for pos, row in enumerate(zip(words, classes, told, strict=True))
        ]
        found = values(model, list(dict.fromkeys(f.place for f in opened)), [ids])
        for features, label in zip(opened, labels, strict=True):
            active += [(label, number, *row) for row in _strongest(features, found[features.place])]
    words_ = pd.DataFrame(tokens, columns=["prompt", "pos", "token", "class", "part"])
    return (
        words_ if words_["part"].notna().any() else words_.drop(columns="part"),
        pd.DataFrame(active, columns=["sae", "prompt", "pos", "feature", "activation"]),
    )


def _tokenized(model: InstrumentedModel, prompt: Prompt, number: int) -> Tokenized:
    """The tokens of a prompt. Raises BadInput for an empty one, and one that is too long."""
    if isinstance(prompt, str) and not prompt.strip():
        raise BadInput(f"Prompt {number} is empty.", "some text", "Write some, or leave it out.")
    read = tokenize(model, prompt, number)
    if len(read.ids) > MOST:
        raise BadInput(
            f"Prompt {number} has {len(read.ids)} tokens.",
            f"at most {MOST}",
            "Shorten it, or leave it out.",
        )
    return read


def _strongest(features: SAE, x: Tensor) -> Iterator[tuple[int, int, float]]:
    """(pos, feature, activation) of the strongest features of each token of (1, pos, …)."""
    most = min(STRONGEST, features.width)
    strong, which = features.encode(x)[0].float().topk(most, dim=-1)
    for pos, (numbers, activations) in enumerate(zip(which.tolist(), strong.tolist(), strict=True)):
        for feature, activation in zip(numbers, activations, strict=True):
            if activation > 0:
                yield pos, feature, activation

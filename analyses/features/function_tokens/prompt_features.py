"""Single prompts: which features are active at which token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hooks.features.activation_stream import values
from hooks.prompts import Prompt, tokenize
from workbench.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from hooks.features.sae import SAE

MOST = 256
"""Tokens of a prompt."""
STRONGEST = 24
"""Features kept of each token."""


def looked_at(
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
        if isinstance(text, str) and not text.strip():
            raise BadInput(
                f"Prompt {number + 1} is empty.", "some text", "Write some, or leave it out."
            )
        read = tokenize(model, text, number + 1)
        ids = read.ids
        parts: Sequence[bool | None] = read.from_template or [None] * len(ids)
        if len(ids) > MOST:
            raise BadInput(
                f"Prompt {number + 1} has {len(ids)} tokens.",
                f"at most {MOST}",
                "Shorten it, or leave it out.",
            )
        words = model.prompt_strings(ids)
        classes = ["function" if function[i] else "content" for i in ids]
        told = [None if mark is None else "template" if mark else "message" for mark in parts]
        tokens += [
            (number, pos, *row) for pos, row in enumerate(zip(words, classes, told, strict=True))
        ]
        found = values(model, list(dict.fromkeys(f.place for f in opened)), [ids])
        for features, label in zip(opened, labels, strict=True):
            strong, which = (
                features.encode(found[features.place])[0]
                .float()
                .topk(min(STRONGEST, features.width), dim=-1)
            )
            for pos, (numbers, values_) in enumerate(
                zip(which.tolist(), strong.tolist(), strict=True)
            ):
                active += [
                    (label, number, pos, f, v)
                    for f, v in zip(numbers, values_, strict=True)
                    if v > 0
                ]
    words_ = pd.DataFrame(tokens, columns=["prompt", "pos", "token", "class", "part"])
    return (
        words_ if words_["part"].notna().any() else words_.drop(columns="part"),
        pd.DataFrame(active, columns=["sae", "prompt", "pos", "feature", "activation"]),
    )

"""Texts before a prompt, so that what is written holds behind any of them: sampled from the model.

ROME reads the bare prompt, ten samples of five tokens and ten of ten (Meng et al. 2022); MEMIT the
bare prompt and five of ten that begin with a common word (Meng et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from hooks.eager_eval import steady

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

ROME_LENGTHS = (5,) * 10 + (10,) * 10
MEMIT_STARTS = ("The", "Therefore", "Because", "I", "You")
_MEMIT_LENGTH = 10
_LIKELIEST = 5  # tokens to draw from, as in the published code


def rome_prefixes(
    model: InstrumentedModel, lengths: Sequence[int] = ROME_LENGTHS, seed: int = 0
) -> tuple[str, ...]:
    """The empty one, and samples of so many tokens from the beginning of a text."""
    return ("", *_sampled(model, [_first(model)] * len(lengths), lengths, seed))


def memit_prefixes(
    model: InstrumentedModel, starts: Sequence[str] = MEMIT_STARTS, seed: int = 0
) -> tuple[str, ...]:
    """The empty one, and samples of ten tokens, each begun by a word."""
    rows = [model.tokens(start) for start in starts]
    return ("", *_sampled(model, rows, [_MEMIT_LENGTH] * len(rows), seed))


def _first(model: InstrumentedModel) -> list[int]:
    """A token that a text begins with."""
    if model.text.beginning:
        return list(model.text.beginning)
    for name in ("bos_token_id", "eos_token_id"):
        token = getattr(model.tokenizer, name, None)
        if token is not None and 0 <= token < model.text.n_embeddings:
            return [int(token)]
    return model.tokens("The")


@torch.no_grad()
def _sampled(
    model: InstrumentedModel, starts: Sequence[list[int]], lengths: Sequence[int], seed: int
) -> list[str]:
    """Each start continued by so many tokens, and ". ": the text without its beginning token."""
    draw = torch.Generator().manual_seed(seed)
    rows = [list(start) for start in starts]
    for step in range(max(lengths, default=0)):
        # In groups of one length where padding is read like text.
        for chosen in model.batch_indices([len(row) for row in rows], 32):
            batch = model.batch([rows[i] for i in chosen])
            with steady(model.module):
                logits = model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1).logits
            top = logits[:, -1].float().cpu().topk(min(_LIKELIEST, logits.shape[-1]))
            picked = torch.multinomial(top.values.softmax(-1), 1, generator=draw)
            tokens = top.indices.gather(1, picked)[:, 0].tolist()
            for i, token in zip(chosen, tokens, strict=True):
                if step < lengths[i]:
                    rows[i].append(token)
    return [f"{model.text.decode(row, special=False)}. " for row in rows]

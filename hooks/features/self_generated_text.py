"""Text that a model says of its own accord: what it was trained on looks most like it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch

from hooks.generation import continued, decoded
from workbench import checkpointing
from workbench.paths import cache_dir

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_LENGTH, _AT_ONCE = 256, 64  # tokens of a text, texts at once


def self_generated_text(
    model: InstrumentedModel, tokens: int, seed: int, progress: Progress
) -> list[str]:
    """Texts of the model's own, about so many tokens in all, at temperature 1, each from the token
    that parts documents.

    They are kept in the cache: the same model and seed give the same texts.
    """
    if tokens <= 0:
        return []
    identity = json.dumps(
        [model.card.weight_hash, tokens, seed, _LENGTH, _AT_ONCE, "whole softmax"]
    )
    file = cache_dir() / "sampled" / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.json"
    if file.is_file():
        return list(json.loads(file.read_text(encoding="utf-8")))
    start = next(
        i for i in (model.tokenizer.eos_token_id, model.tokenizer.bos_token_id, 0) if i is not None
    )
    texts: list[str] = []
    rounds = -(-tokens // (_LENGTH * _AT_ONCE))
    cuda = [model.device] if model.device.type == "cuda" else []
    # Sampling draws from the global generator: fork it, so that a seed here changes nothing
    # elsewhere.
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        for number in range(rounds):
            part = progress.subprogress(number / rounds, (number + 1) / rounds)
            ids = torch.full((_AT_ONCE, 1), start, device=model.device)

            def report(
                ids: Tensor, _: Any, part: Progress = part, number: int = number, **__: Any
            ) -> Tensor:
                done = (number * _LENGTH + ids.shape[1] - 1) * _AT_ONCE
                part(
                    (ids.shape[1] - 1) / _LENGTH,
                    f"The model says text of its own, {done:,} tokens of {tokens:,}",
                )
                return ids.new_zeros(len(ids), dtype=torch.bool)

            new = continued(model, ids, _LENGTH, temperature=1.0, least=_LENGTH, stopping=[report])
            texts += [decoded(model, row) for row in new.tolist()]
    file.parent.mkdir(parents=True, exist_ok=True)
    checkpointing.replace(file, json.dumps(texts, ensure_ascii=False))
    return texts

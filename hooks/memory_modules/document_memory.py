"""A document as a memory outside of the prompt (Extended Mind, Klett and Ahle 2024; LongMem, Wang
et al. 2023): its keys and values are kept, and in each layer and key-value head a question reads
those whose keys are nearest to its query by cosine.

What differs from Extended Mind: what is read is chosen for a question as a whole and not for each
of its tokens (chosen for the last alone, nothing was found on smollm2-135m); the document's first
token is always read, since many models need one to look at when they look at nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from hooks.kv_cache.context_memory import ContextMemory
from hooks.kv_cache.shared_rows import question_keys

Fetched = Mapping[int, Int[Tensor, "kv_head k"]]
"""By layer, positions of the document's tokens that each head reads."""


@dataclass(frozen=True)
class DocumentMemory:
    """A document that was read once.

    Attributes:
        context: its keys and values (`hooks.kv_cache.reading.read_context`).
        passages: first position of each passage, and the one behind its last.
    """

    context: ContextMemory
    passages: Sequence[tuple[int, int]]

    def nearest(self, question: Sequence[int], k: int) -> Fetched:
        """The k tokens of each layer and head whose keys are nearest to any of the question's
        queries; of heads that share keys the nearest of any counts.
        """
        found = {}
        for layer, (_, queries) in question_keys(self.context, question).items():
            keys = self.context.layers[layer].keys
            unit = torch.nn.functional.normalize
            each = unit(queries.float(), dim=-1).unflatten(0, (len(keys), -1)).flatten(1, 2)
            cosine = (each @ unit(keys.float(), dim=-1).mT).amax(1)  # kv_head, pos
            cosine[:, 0] = -torch.inf  # the first token is read in any case
            found[layer] = cosine.topk(min(k, cosine.shape[1] - 1), -1).indices
        return found

    def at_random(self, k: int, seed: int) -> Fetched:
        """As many tokens of each layer and head by lot."""
        draw, found = torch.Generator().manual_seed(seed), {}
        for layer, held in self.context.layers.items():
            heads, n = held.keys.shape[:2]
            noise = torch.rand(heads, n - 1, generator=draw)
            found[layer] = 1 + noise.topk(min(k, n - 1), -1).indices
        return found

    def mask(
        self, fetched: Fetched | None, layers: Collection[int] | None = None
    ) -> dict[int, Bool[Tensor, "kv_head pos"]]:
        """What a question sees, for `hooks.kv_cache.shared_rows.ask`.

        Args:
            fetched: None is every token.
            layers: which layers read the memory at all; None is all of them.
        """
        made = {}
        for layer, held in self.context.layers.items():
            heads, n = held.keys.shape[:2]
            seen = torch.zeros(heads, n, dtype=torch.bool, device=held.keys.device)
            if layers is None or layer in layers:
                if fetched is None:
                    seen[:] = True
                else:
                    seen.scatter_(1, fetched[layer].to(seen.device), True)
            seen[:, 0] = True
            made[layer] = seen & held.held()
        return made

    def share_in(self, fetched: Fetched, passage: int) -> dict[int, float]:
        """By layer, the share of the tokens read that lie in a passage."""
        start, end = self.passages[passage]
        return {
            layer: float(((index >= start) & (index < end)).float().mean())
            for layer, index in fetched.items()
        }

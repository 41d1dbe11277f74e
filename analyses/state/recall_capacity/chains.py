"""Chains of associations: A goes with B, B with C; B is asked for from A (direct), and C from A
(indirect, the inference of MEMO, Banino et al. 2020).

Small transformers of one to four layers are trained on rows of chains, asked for the first, second
and third link alike from the first step on; what is watched is which is learned first, and whether
a model with few layers learns the later ones at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

LINKS = 3
"""Links of a chain, and how far away the farthest answer is."""
CHAINS = (1, 2)
"""Chains in a row: one at first, more once the present ones are learned."""
ENTITIES = 32
NEXT = ENTITIES
LEARNED = 0.7
"""Share of right answers from which a distance counts as learned."""
WIDTH, HEADS = 64, 2
_LAST = 0.2  # share of the steps in which the rate falls to nothing
_ROWS = 96  # of a step
_RATE, _WARMUP = 3e-3, 50
_MEASURED = 512  # rows


@dataclass(frozen=True)
class Learned:
    """A training, measured along the way on rows of most chains.

    Attributes:
        curve: (step, share of right answers for each number of links).
    """

    layers: int
    seed: int
    curve: list[tuple[int, tuple[float, ...]]]


def rows(
    count: int, chains: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of chains, cut into pairs in any order, then a question for every start.

    A question is an entity and as many tokens `NEXT` as there are farther links: at the entity the
    next link is asked for, at the first `NEXT` the one behind that, and so on. No answer is
    written.

    Returns:
        ids (row, token); labels of the same shape, -100 where nothing is asked; and how many links
        away the answer is, 0 there.
    """
    nodes = torch.rand(count, ENTITIES, generator=generator).argsort(1)[:, : chains * (LINKS + 1)]
    nodes = nodes.view(count, chains, LINKS + 1)
    pairs = torch.stack([nodes[:, :, :-1], nodes[:, :, 1:]], -1).flatten(1, 2)
    order = torch.rand(count, pairs.shape[1], generator=generator).argsort(1)
    pairs = pairs.gather(1, order[..., None].expand_as(pairs)).flatten(1)
    question = torch.full((count, chains, LINKS, LINKS), NEXT)
    question[..., 0] = nodes[:, :, :-1]
    answer, away = torch.full_like(question, -100), torch.zeros_like(question)
    for start in range(LINKS):
        for distance in range(1, LINKS - start + 1):
            answer[:, :, start, distance - 1] = nodes[:, :, start + distance]
            away[:, :, start, distance - 1] = distance
    order = torch.rand(count, chains * LINKS, generator=generator).argsort(1)
    order = order[..., None].expand(-1, -1, LINKS)
    asked, labels, links = (
        one.flatten(1, 2).gather(1, order).flatten(1) for one in (question, answer, away)
    )
    before = torch.full_like(pairs, -100)
    return (
        torch.cat([pairs, asked], 1),
        torch.cat([before, labels], 1),
        torch.cat([torch.zeros_like(pairs), links], 1),
    )


def _model(layers: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=ENTITIES + 1,
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=layers,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    )


def recall(model: Any, seed: int) -> tuple[float, ...]:
    """Share of right answers for each distance, on rows of most chains."""
    ids, labels, links = rows(_MEASURED, CHAINS[-1], torch.Generator().manual_seed(seed))
    with torch.no_grad():
        right = model(input_ids=ids, use_cache=False).logits.argmax(-1) == labels
    return tuple(float(right[links == n].float().mean()) for n in range(1, LINKS + 1))


def train(
    layers: int, seed: int, steps: int, every: int, report: Callable[[float], None]
) -> Learned:
    """Train one model, and measure it every so many steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _model(layers)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.1)
    level, curve = 0, [(0, recall(model, seed))]
    for step in range(steps):
        chains = CHAINS[int(torch.randint(level + 1, (), generator=generator))]
        ids, labels, _ = rows(_ROWS, chains, generator)
        for group in optimizer.param_groups:
            falling = min(1.0, (1 - step / steps) / _LAST)
            group["lr"] = _RATE * min(1.0, (step + 1) / _WARMUP) * falling
        logits = model(input_ids=ids, use_cache=False).logits
        asked = labels != -100
        loss = torch.nn.functional.cross_entropy(logits[asked], labels[asked])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        # A model whose layers do not suffice for far links is not kept at the fewest chains: half
        # of the questions are direct.
        right = float((logits[asked].argmax(-1) == labels[asked]).float().mean())
        if chains == CHAINS[level] and right > 0.6 and level < len(CHAINS) - 1:
            level += 1
        if (step + 1) % every == 0:
            curve.append((step + 1, recall(model, seed)))
        report(step / steps)
    return Learned(layers, seed, curve)

"""How a subject is corrupted: noise on its embeddings, or another subject of its relation in its
place (Meng et al. 2022; Zhang & Nanda 2024 on why both).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from hooks.sweeps.embedding_noise import embedding_sigma
from hooks.sweeps.restoration import CorruptedPrompt
from workbench.facts.relation import joined

if TYPE_CHECKING:
    from analyses.weights.fact_tracing.traced_facts import TracedFact
    from hooks.model import InstrumentedModel
    from workbench.facts import Relation


def subject_sigma(model: InstrumentedModel, facts: Sequence[TracedFact]) -> float:
    """Standard deviation of the embeddings of all subjects' tokens, as they enter the first
    layer.
    """
    tokens = [token for fact in facts for token in fact.ids[slice(*fact.subject_at)]]
    return embedding_sigma(model, tokens)


def noisy(
    model: InstrumentedModel, facts: Sequence[TracedFact], std: float, draws: int, seed: int
) -> list[CorruptedPrompt]:
    """Each fact with each draw of noise on its subject, draws innermost.

    The same noise stays on in the corrupted run and in every restored one.

    Args:
        std: of the noise, in the units of the stream.
    """
    made = []
    for n, fact in enumerate(facts):
        for draw in range(draws):
            generator = torch.Generator().manual_seed(hash((seed, n, draw)) % 2**31)
            noise = torch.zeros(len(fact.ids), model.card.d_model, dtype=torch.float32)
            start, end = fact.subject_at
            noise[start:end] = std * torch.randn(
                end - start, noise.shape[1], generator=generator, dtype=torch.float32
            )
            made.append(CorruptedPrompt(fact.ids, fact.ids, fact.first, fact.target, noise))
    return made


def resampled(
    model: InstrumentedModel,
    facts: Sequence[TracedFact],
    relations: Sequence[Relation],
    seed: int,
) -> dict[int, CorruptedPrompt]:
    """Facts with another subject of their relation in the subject's place, by number.

    The other one has as many tokens, and another answer. A fact for which there is none is left
    out.
    """
    rng, by_name = random.Random(seed), {relation.name: relation for relation in relations}
    found = {}
    for n, fact in enumerate(facts):
        relation = by_name.get(fact.relation)
        if relation is None:
            continue
        others = [row for row in relation.facts if row.answer != fact.answer]
        rng.shuffle(others)
        for other in others:
            ids = _with_subject(model, fact, other.subject, other.answer)
            if ids is not None:
                found[n] = CorruptedPrompt(fact.ids, ids, fact.first, fact.target)
                break
    return found


def _with_subject(
    model: InstrumentedModel, fact: TracedFact, subject: str, answer: str
) -> list[int] | None:
    """The prompt about another subject, if it differs from the fact's in the subject's tokens
    alone, and the answer in its first token.
    """
    at = fact.text.rfind(fact.subject)
    text = fact.text[:at] + subject + fact.text[at + len(fact.subject) :]
    ids, (start, end) = model.tokens(text), fact.subject_at
    other = model.continuation_tokens(joined(text, answer)[len(text) :])
    same = len(ids) == len(fact.ids) and ids[:start] == fact.ids[:start]
    return ids if same and ids[end:] == fact.ids[end:] and other[0] != fact.target else None

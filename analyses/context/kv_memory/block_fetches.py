"""Parts `blocks` and `episodes`: the past is cut into blocks, and every layer fetches a few of them
for a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.context.kv_memory.measured_rows import scores_of
from analyses.measures.statistics import spearman
from hooks.kv_cache.blocks import (
    Blocks,
    LookUp,
    attention_mass,
    block_keys,
    block_mask,
    block_scores,
    fetched,
    fixed_blocks,
)
from hooks.kv_cache.budget import SINKS
from hooks.kv_cache.episodes import (
    boundary_f1,
    even_episodes,
    random_episodes,
    surprise_episodes,
)
from hooks.kv_cache.shared_rows import question_keys

if TYPE_CHECKING:
    from analyses.context.kv_memory.params import Params
    from analyses.context.kv_memory.recall_texts import AskedQuestion, RecallText
    from hooks.kv_cache.budget import Kept

SURPRISE, EVEN, SHUFFLED = KINDS = ("surprise", "fixed size", "random")
ALIKE, NEIGHBOURS = RETRIEVAL = ("similarity", "with neighbours")
CONTIGUITY = 0.3
"""Share of what is fetched that goes to neighbours (EM-LLM)."""


@dataclass
class BlockMeasures:
    """What look-ups gave: rows by question, by question and layer; and the first text's raster."""

    lookups: list[dict[str, Any]] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    raster: list[dict[str, Any]] = field(default_factory=list)
    episodes: list[dict[str, Any]] = field(default_factory=list)
    boundaries: list[int] = field(default_factory=list)


def _look_up(params: Params, contiguity: float = 0.0) -> LookUp:
    return LookUp(2 * params.block, params.fetched * params.block, SINKS, contiguity)


def fetch_blocks(text: RecallText, params: Params, into: BlockMeasures) -> None:
    """One text in blocks of one size. Questions whose answer is among the tokens that are always
    seen are left out: nothing has to be fetched for them.
    """
    memory, rule = text.memory, _look_up(params)
    last = len(memory) - rule.local
    if last - rule.first < 2 * params.block:
        return
    blocks = fixed_blocks(rule.first, last, params.block)
    keys = {layer: block_keys(memory, layer, blocks, rule.local) for layer in memory.layers}
    asked = _to_fetch(text, rule)
    masks: list[Kept] = []
    hits = []
    for number, question in asked:
        behind = question_keys(memory, question.ask)
        chosen = {}
        for layer in memory.layers:
            scores = block_scores(memory, layer, keys[layer], behind)
            chosen[layer] = fetched(scores, blocks, rule)
            mass = attention_mass(memory, layer, blocks, behind)
            hit = _holds(chosen[layer], blocks, question)
            into.layers.append({
                "layer": layer, "hit": hit, "context": text.number, "question": number,
                "agreement": spearman(scores.cpu().numpy(), mass.cpu().numpy()),
                "mass": float(mass[chosen[layer]].sum() / mass.sum().clamp(min=1e-12)),
            })  # fmt: skip
            if not into.raster or into.raster[0]["context"] == text.number:
                into.raster += _raster_rows(text, number, layer, blocks, chosen[layer], mass)
        masks.append(block_mask(memory, chosen, blocks, rule))
        hits.append(float(np.mean([_holds(c, blocks, question) for c in chosen.values()])))
    share = (SINKS + rule.local + rule.tokens) / len(memory)
    for (number, question), score, share_hit in zip(
        asked, scores_of(memory, masks, [q for _, q in asked]) if asked else [], hits, strict=True
    ):
        into.lookups.append({
            "context": text.number, "question": number, "hits": share_hit, "exact": score.exact,
            "logprob": score.logprob, "depth": question.answer_at[0] / len(memory),
            "seen": min(1.0, share), "chance": min(1.0, params.fetched / len(blocks)),
        })  # fmt: skip


def _to_fetch(text: RecallText, rule: LookUp) -> list[tuple[int, AskedQuestion]]:
    last = len(text.memory) - rule.local
    return [(n, q) for n, q in enumerate(text.questions) if q.answer_at[1] <= last]


def _holds(chosen: Sequence[int], blocks: Blocks, question: AskedQuestion) -> bool:
    """Whether a block with the answer's first token is among those fetched."""
    at = question.answer_at[0]
    return any(blocks[n][0] <= at < blocks[n][1] for n in chosen)


def _raster_rows(
    text: RecallText,
    number: int,
    layer: int,
    blocks: Blocks,
    chosen: Sequence[int],
    mass: torch.Tensor,
) -> list[dict[str, Any]]:
    question = text.questions[number]
    return [
        {"context": text.number, "question": number, "layer": layer, "block": n,
         "first": first, "last": last, "fetched": n in chosen, "mass": float(mass[n]),
         "answer": first <= question.answer_at[0] < last}
        for n, (first, last) in enumerate(blocks)
    ]  # fmt: skip


def compare_episodes(text: RecallText, params: Params, into: BlockMeasures) -> None:
    """One text cut at surprising tokens, evenly and at random, with as many tokens fetched."""
    memory, rule = text.memory, _look_up(params)
    last = len(memory) - rule.local
    if last - rule.first < 2 * params.block:
        return
    by_surprise = surprise_episodes(
        memory.surprisal, rule.first, last, longest=max(params.block, rule.tokens)
    )
    if text.number == 0:
        into.boundaries = [first for first, _ in by_surprise]
    kinds = {
        SURPRISE: by_surprise,
        EVEN: even_episodes(by_surprise),
        SHUFFLED: random_episodes(by_surprise, text.number),
    }
    asked = _to_fetch(text, rule)
    behind = [question_keys(memory, question.ask) for _, question in asked]
    starts = _sentence_starts(text)
    rows: list[dict[str, Any]] = []
    masks: list[Kept] = []
    questions: list[AskedQuestion] = []
    for kind, blocks in kinds.items():
        keys = {layer: block_keys(memory, layer, blocks, rule.local) for layer in memory.layers}
        f1 = boundary_f1(blocks, [at for at in starts if at < last])
        for (number, question), seen in zip(asked, behind, strict=True):
            scores = {n: block_scores(memory, n, keys[n], seen) for n in memory.layers}
            for retrieval, share in zip(RETRIEVAL, (0.0, CONTIGUITY), strict=True):
                how = _look_up(params, share)
                chosen = {n: fetched(scores[n], blocks, how) for n in memory.layers}
                hits = [_holds(c, blocks, question) for c in chosen.values()]
                masks.append(block_mask(memory, chosen, blocks, how))
                questions.append(question)
                rows.append({
                    "context": text.number, "question": number, "boundaries": kind,
                    "retrieval": retrieval, "hits": float(np.mean(hits)), "f1": f1,
                    "episodes": len(blocks), "tokens": _mean_tokens(chosen, blocks),
                })  # fmt: skip
    for row, score in zip(rows, scores_of(memory, masks, questions) if masks else [], strict=True):
        into.episodes.append(row | {"exact": score.exact, "logprob": score.logprob})


def _mean_tokens(chosen: dict[int, list[int]], blocks: Blocks) -> float:
    return float(np.mean([sum(blocks[n][1] - blocks[n][0] for n in c) for c in chosen.values()]))


def _sentence_starts(text: RecallText) -> list[int]:
    """Tokens behind the end of a sentence."""
    pieces = text.memory.model.prompt_strings(text.memory.ids)
    ends = (".", "!", "?", "\n")
    return [n + 1 for n, piece in enumerate(pieces[:-1]) if piece.rstrip(" ").endswith(ends)]

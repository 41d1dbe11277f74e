"""Policies by name, the built-in ones and those of other packages, and their scores checked.

A package of yours adds one through the entry-point group `workbench.cache_policies`; the value is a
function `score(keys, values, queries, surprisal) -> (kv_head, pos)` or a `CachePolicy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.kv_cache.policies import BUILT_IN, CachePolicy, Score
from hooks.kv_cache.shared_rows import question_keys
from workbench.errors import BadInput, NotFound
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hooks.kv_cache.context_memory import ContextMemory

GROUP = "workbench.cache_policies"


def policies() -> dict[str, CachePolicy]:
    """Every policy by name."""
    found = dict(BUILT_IN)
    for entry in entry_points(group=GROUP):
        if entry.name not in found:
            found[entry.name] = as_policy(entry.load(), entry.name)
    return found


def policy(name: str) -> CachePolicy:
    """One policy.

    Raises:
        NotFound: there is none of this name.
    """
    known = policies()
    if name not in known:
        raise NotFound.named("policy", name, known, "Name one of these.")
    return known[name]


def as_policy(given: CachePolicy | Score, name: str = "own") -> CachePolicy:
    """A plain function as a policy that looks at all queries; a policy as it is.

    Raises:
        BadInput: it is neither.
    """
    if isinstance(given, CachePolicy):
        return given
    if not callable(given):
        raise BadInput(
            f"The policy {name!r} is {type(given).__name__}.",
            "a function score(keys, values, queries, surprisal)",
            "Give the function itself.",
        )
    return CachePolicy(name, given, (given.__doc__ or "a policy of your own").split("\n")[0])


@ordinary
@torch.no_grad()
def scored(
    policy: CachePolicy,
    context: ContextMemory,
    question: Sequence[int] = (),
    blind: Mapping[int, Float[Tensor, "kv_head pos"]] | None = None,
    behind: Mapping[int, tuple[Tensor, Tensor]] | None = None,
) -> dict[int, Float[Tensor, "kv_head pos"]]:
    """A policy's score of every position of a context, by layer.

    Args:
        question: tokens that are in view while scoring, behind the context; none: it is scored
            before the question is known.
        blind: its scores without the question; spares a policy that adds up from counting again.
        behind: keys and queries of the question, where `question_keys` has given them already.

    Raises:
        BadInput: the scores are of another shape, or no numbers.
    """
    if not policy.asks_queries:
        behind = {}
    elif behind is None:
        behind = question_keys(context, question) if question else {}
    found = {}
    for layer in context.layers:
        scores = _of_layer(policy, context, layer, behind.get(layer), blind)
        found[layer] = scores[:, : len(context)]
    return found


def _of_layer(
    policy: CachePolicy,
    context: ContextMemory,
    layer: int,
    behind: tuple[Tensor, Tensor] | None,
    blind: Mapping[int, Tensor] | None,
) -> Float[Tensor, "kv_head pos"]:
    memory = context.layers[layer]
    keys, values, queries = memory.keys, memory.values, memory.queries
    surprisal, before = context.surprisal, None
    if behind is not None:
        n = behind[0].shape[1]
        keys = torch.cat([keys, behind[0]], 1)
        values = torch.nn.functional.pad(values, (0, 0, 0, n))  # no policy keeps the question
        surprisal = torch.nn.functional.pad(surprisal, (0, n))
        if policy.adds and blind is not None:
            queries, before = behind[1], blind[layer]
        else:
            queries = torch.cat([queries, behind[1]], 1)
    if policy.last is not None:
        queries = queries[:, queries.shape[1] - policy.last :] if policy.last else queries[:, :0]
    more = {"turn": context.rotary.get(layer)} if policy.turns else {}
    scores = policy.score(keys, values, queries * memory.scaling, surprisal, **more)
    _check(policy, scores, keys)
    if before is not None:
        scores = scores[:, : len(context)] + before
    return scores


def _check(policy: CachePolicy, scores: object, keys: Float[Tensor, "kv_head pos d_head"]) -> None:
    shape = tuple(keys.shape[:2])
    if not isinstance(scores, torch.Tensor) or tuple(scores.shape) != shape:
        got = f"shape {tuple(scores.shape)}" if isinstance(scores, torch.Tensor) else repr(scores)
        raise BadInput(
            f"The policy {policy.name!r} gave {got[:80]}.",
            f"one score per KV head and position: a tensor of shape {shape}",
            "Average query heads over the KV head that they share.",
        )
    if bool(scores.isnan().any()):
        raise BadInput(
            f"The policy {policy.name!r} gave scores that are no numbers.",
            "a number for every position",
            "Look for a division by zero, or a softmax over nothing.",
        )

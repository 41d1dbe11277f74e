"""Questions over a context that was read once: every row has a mask of its own, and all rows share
the same keys and values.

The keys of the context are not copied for a row: the rows' queries stand under each other as if
they were those of one text, so that a layer's scores are one product per KV head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hooks import context_window
from hooks.attention import AttentionCall, probabilities, soft_cap
from hooks.eager_eval import steady
from hooks.generation import end_tokens
from hooks.kv_cache.context_memory import ContextMemory, LayerMemory, tapped
from hooks.recurrent.cache_tensors import mapped, repeated
from workbench.errors import BadInput
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.kv_cache.budget import Kept

_BYTES = 192 * 2**20  # of one layer's scores, or of the logits that are kept
_ATTENTION = ("keys", "values", "indexer_keys")


class SharedRows:
    """Some rows over one context, fed with the same number of tokens each.

    Args:
        kept: what each row sees of the context; None for all of it.
        tap: told of every layer's attention call before it is answered.
    """

    def __init__(
        self,
        context: ContextMemory,
        kept: Sequence[Kept | None],
        tap: Callable[[int, AttentionCall], None] | None = None,
    ) -> None:
        self.context, self.read = context, 0
        self._tap, self._rows = tap, len(kept)
        self._hidden = {layer: _hidden(context, layer, kept) for layer in context.layers}
        self._cache = _empty(context, len(kept))

    @ordinary
    @torch.no_grad()
    def feed(
        self, tokens: Sequence[Sequence[int]], tail: int = 1
    ) -> Float[Tensor, "row tail d_vocab"]:
        """Read further tokens, (row, n); gives the logits of the last `tail` of them.

        Raises:
            BadInput: more than the model has positions for.
        """
        model = self.context.model
        ids = torch.tensor([list(row) for row in tokens], device=model.device)
        context_window.check(model, len(self.context) + self.read + ids.shape[1])
        recurrent = len(self.context.layers) < model.n_layers
        pieces = ids.split(1, 1) if recurrent else [ids]
        said = []
        with steady(model.module), tapped(model, {n: self._answer(n) for n in self.context.layers}):
            for piece in pieces:
                first = len(self.context) + self.read
                where = torch.arange(first, first + piece.shape[1], device=ids.device)
                out = model.forward(
                    input_ids=piece,
                    position_ids=where[None].expand(self._rows, -1),
                    past_key_values=self._cache,
                    use_cache=True,
                    logits_to_keep=min(tail, piece.shape[1]),
                )
                self._cache = out.past_key_values
                self.read += piece.shape[1]
                said.append(out.logits)
        return torch.cat(said, 1)[:, -tail:]

    def _answer(self, layer: int) -> Callable[[AttentionCall], Tensor]:
        def answer(it: AttentionCall) -> Tensor:
            if self._tap is not None:
                self._tap(layer, it)
            return attend(self.context.layers[layer], it, self._hidden[layer], len(self.context))

        return answer


def attend(
    memory: LayerMemory,
    it: AttentionCall,
    hidden: Bool[Tensor, "row kv_head pos"] | None,
    n_context: int,
) -> Float[Tensor, "row query head d_value"]:
    """Attention of new tokens over a context that all rows share and over the rows' own tokens.

    Args:
        hidden: positions of the context that a row's heads do not see; None where all see all.
    """
    rows, heads, n, _ = it.query.shape
    n_kv, past = memory.keys.shape[0], memory.keys.shape[1]
    own = it.key.shape[2]
    group = heads // n_kv
    query = it.query.float() * it.scaling
    # (kv_head, row × head of the group × query, d_head): what shares keys stands together
    flat = (
        query.reshape(rows, n_kv, group * n, -1).transpose(0, 1).reshape(n_kv, -1, query.shape[-1])
    )
    scores = query.new_empty(n_kv, rows, group, n, past + own)
    scores[..., :past] = (flat @ memory.keys.float().transpose(1, 2)).view(
        n_kv, rows, group, n, past
    )
    theirs = query.reshape(rows, n_kv, group * n, -1) @ it.key.float().transpose(2, 3)
    scores[..., past:] = theirs.view(rows, n_kv, group, n, own).transpose(0, 1)
    scores = soft_cap(scores, it.options)
    _hide(scores, memory, hidden, n_context, own)
    pattern = _pattern(scores, it)
    of_past = pattern[..., :past].reshape(n_kv, rows * group * n, past) @ memory.values.float()
    of_own = pattern[..., past:].transpose(0, 1).reshape(rows, n_kv, group * n, own)
    mixed = of_past.view(n_kv, rows, group * n, -1).transpose(0, 1) + of_own @ it.value.float()
    return mixed.reshape(rows, heads, n, -1).transpose(1, 2).to(it.query.dtype).contiguous()


def _pattern(
    scores: Float[Tensor, "kv_head row group query key"], it: AttentionCall
) -> Float[Tensor, "kv_head row group query key"]:
    """Softmax over keys; a sink has one logit per head, and takes its share."""
    if it.options.get("s_aux") is None:
        return scores.softmax(-1)
    n_kv, rows, group, n, keys = scores.shape
    by_row = scores.transpose(0, 1).reshape(rows, n_kv * group, n, keys)
    pattern = probabilities(by_row, it.options)
    return pattern.view(rows, n_kv, group, n, keys).transpose(0, 1)


def _hide(
    scores: Float[Tensor, "kv_head row group query key"],
    memory: LayerMemory,
    hidden: Bool[Tensor, "row kv_head pos"] | None,
    n_context: int,
    own: int,
) -> None:
    """In place: what was evicted, what comes later, and what lies outside the window."""
    n, past = scores.shape[3], scores.shape[4] - own
    if hidden is not None:
        scores[..., :past].masked_fill_(hidden.transpose(0, 1)[:, :, None, None], -torch.inf)
    device = scores.device
    at = torch.arange(n_context + own - n, n_context + own, device=device)[:, None]
    key = torch.cat(
        [torch.arange(past, device=device), torch.arange(n_context, n_context + own, device=device)]
    )
    if n > 1:
        scores[..., past:].masked_fill_(key[past:] > at, -torch.inf)
    if memory.window is not None:
        scores.masked_fill_(at - key >= memory.window, -torch.inf)


def _hidden(
    context: ContextMemory, layer: int, kept: Sequence[Kept | None]
) -> Bool[Tensor, "row kv_head pos"] | None:
    """Positions that are gone in one layer, (row, kv_head, pos); None where nothing is."""
    if all(row is None for row in kept):
        return None
    memory = context.layers[layer]
    shape = memory.keys.shape[:2]
    every = torch.ones(shape, dtype=torch.bool, device=memory.keys.device)
    for row in kept:
        if row is not None and (layer not in row or row[layer].shape != shape):
            given = tuple(row[layer].shape) if layer in row else "nothing"
            raise BadInput(
                f"What is kept in layer {layer} has shape {given}.",
                f"(kv_head, pos) = {tuple(shape)} for every attention layer",
                "Make it with `keep`.",
            )
    return ~torch.stack([every if row is None else row[layer].to(every.device) for row in kept])


def _empty(context: ContextMemory, rows: int) -> object:
    """The model's cache for so many rows: states as they are behind the context, and attention
    layers that hold nothing yet, since their past is shared.
    """

    def change(name: str, value: Tensor) -> Tensor:
        if name.rpartition(".")[2] in _ATTENTION:
            return value.new_empty(rows, *value.shape[1:-2], 0, value.shape[-1])
        return repeated(value, rows)

    def count(name: str, number: int) -> int:
        return 0 if name.endswith("cumulative_length") else number

    return mapped(context.cache, change, count)


@ordinary
@torch.no_grad()
def ask(
    context: ContextMemory,
    kept: Sequence[Kept | None],
    tokens: Sequence[Sequence[int]],
    tails: Sequence[int] | None = None,
) -> list[Float[Tensor, "tail d_vocab"]]:
    """Read tokens over a context, one row each; many rows at once.

    Args:
        kept: what each row sees of the context; None for all of it.
        tokens: what each row reads, of any length.
        tails: of how many of its last tokens a row's logits are wanted; one by default.

    Returns:
        Logits by row, (tail, d_vocab), float32, on the CPU.

    Raises:
        BadInput: no rows or empty ones, or more tokens than the model has positions for.
    """
    if not tokens or not all(tokens) or len(kept) != len(tokens):
        raise BadInput(
            f"{len(kept)} masks and {len(tokens)} questions, some of them empty or none.",
            "one mask and one question of a token or more for each row",
            "Give them pairwise.",
        )
    wanted = list(tails) if tails is not None else [1] * len(tokens)
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    said: dict[int, Tensor] = {}
    while order:
        part = order[: _fitting(context, len(tokens[order[-1]]), max(wanted))]
        order = order[len(part) :]
        width = max(len(tokens[row]) for row in part)
        # Padding stands behind, where no token sees it.
        ids = [[*tokens[row], *[tokens[row][-1]] * (width - len(tokens[row]))] for row in part]
        tail = max(width - len(tokens[row]) + wanted[row] for row in part)
        logits = SharedRows(context, [kept[row] for row in part]).feed(ids, tail)
        for n, row in enumerate(part):
            last = tail - (width - len(tokens[row]))
            said[row] = logits[n, last - wanted[row] : last].float().cpu()
    return [said[row] for row in range(len(tokens))]


def _fitting(context: ContextMemory, width: int, tail: int) -> int:
    """Rows whose scores and logits fit into memory together."""
    model = context.model
    of_scores = 4 * model.n_heads * width * (len(context) + width)
    return max(1, _BYTES // max(of_scores, 4 * (tail + 1) * model.card.d_vocab))


@ordinary
@torch.no_grad()
def complete(
    context: ContextMemory,
    kept: Sequence[Kept | None],
    tokens: Sequence[int],
    max_new_tokens: int,
) -> list[list[int]]:
    """Greedy continuations of one question under several masks: token ids, up to an end token."""
    ends = end_tokens(context.model)
    rows = SharedRows(context, kept)
    best = rows.feed([tokens] * len(kept))[:, -1].argmax(-1).tolist()
    said: list[list[int]] = [[] for _ in kept]
    done = [False] * len(kept)
    for n in range(max_new_tokens):
        for row, token in enumerate(best):
            done[row] |= token in ends
            if not done[row]:
                said[row].append(token)
        if all(done) or n == max_new_tokens - 1:
            break
        best = rows.feed([[token] for token in best])[:, -1].argmax(-1).tolist()
    return said


def question_keys(
    context: ContextMemory, tokens: Sequence[int]
) -> Mapping[int, tuple[Float[Tensor, "kv_head pos d_head"], Float[Tensor, "head pos d_head"]]]:
    """Keys and queries of tokens that are read over the whole context, by layer."""
    found: dict[int, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in context.layers}

    def note(layer: int, it: AttentionCall) -> None:
        n = it.query.shape[2]
        found[layer].append((it.key[0, :, -n:], it.query[0]))

    SharedRows(context, [None], note).feed([tokens])
    return {
        layer: (torch.cat([k for k, _ in parts], 1), torch.cat([q for _, q in parts], 1))
        for layer, parts in found.items()
    }

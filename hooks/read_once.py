"""Texts read once and continued many times: what is asked of a context costs the question alone.

    for index, text in read_each(model, rows):
        text.logits([[ask, ask, answer], …])      # after every token of each continuation

Texts that begin alike share that beginning. Where a model keeps keys and values, continuations are
rows of one batch behind the same cache; where it keeps states, they are read one by one and token
by token, since not every family reads several tokens behind a state; where it keeps nothing, each
is read with its text. The logits are those of whole passes in all three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks import context_window, out_of_memory
from hooks.eager_eval import steady
from hooks.prefix_cache import PrefixState
from hooks.recurrent.cache_tensors import selected
from hooks.saved_states import SavedStates, read_states
from hooks.states import mixers_of, stepping

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_SHARED = 16  # tokens that texts have in common before it is worth a pass of its own
_COLUMNS = 24_000  # keys of all rows of a batch together, at most
_LOGITS = 50_000_000  # numbers of all logits of a batch, at most


@dataclass(frozen=True)
class ReadContext:
    """A text that was read.

    Attributes:
        ids: its tokens.
        state: what the model keeps of it: keys and values, states, or nothing.
    """

    model: InstrumentedModel
    ids: tuple[int, ...]
    state: PrefixState | SavedStates | None

    @torch.no_grad()
    def logits(self, rows: Sequence[Sequence[int]]) -> list[Float[Tensor, "token d_vocab"]]:
        """Logits after each token of each continuation, float32, on the processor.

        Honours active interventions.

        Args:
            rows: continuations of one token or more each.
        """
        if isinstance(self.state, PrefixState):
            return self._in_batches(rows, self.state)
        if isinstance(self.state, SavedStates):
            return _stepped(self.state, rows)
        return [whole(self.model, [*self.ids, *row])[-len(row) :] for row in rows]

    def _in_batches(
        self, rows: Sequence[Sequence[int]], state: PrefixState
    ) -> list[Float[Tensor, "token d_vocab"]]:
        longest = max(map(len, rows))
        size = min(
            _COLUMNS // (len(self.ids) + longest), _LOGITS // (longest * self.model.card.d_vocab)
        )
        done: list[Tensor] = []
        for start in range(0, len(rows), max(size, 1)):
            part = range(start, min(start + max(size, 1), len(rows)))

            def read(here: list[int]) -> list[Tensor]:
                return _together(self.model, state, [rows[i] for i in here])

            for _, found in out_of_memory.results_in_parts(self.model, part, read):
                done += found
        return done


def read_each(
    model: InstrumentedModel, texts: Sequence[Sequence[int]], *, most: int = 0
) -> Iterator[tuple[int, ReadContext]]:
    """Each text once read, with its number in `texts`; in the order in which beginnings are shared.

    Args:
        texts: token ids.
        most: tokens of the longest continuation, to say early that it does not fit.

    Raises:
        BadInput: a text and its continuation are longer than the model's table of positions.
    """
    for ids in texts:
        context_window.check(model, len(ids) + most, "A context with its question")
    if any(block.states for block in model.layout.blocks):
        for number, ids in enumerate(texts):
            kept = read_states(model, list(ids)) if ids else None
            yield number, ReadContext(model, tuple(ids), kept)
        return
    yield from _walk(model, texts, list(range(len(texts))), 0, None)


def _walk(
    model: InstrumentedModel,
    texts: Sequence[Sequence[int]],
    group: list[int],
    start: int,
    state: PrefixState | None,
) -> Iterator[tuple[int, ReadContext]]:
    """Texts of which `state` has read the first `start` tokens, the same in all of them."""
    by_next: dict[tuple[int, ...], list[int]] = {}
    for number in group:
        by_next.setdefault(tuple(texts[number][start : start + _SHARED]), []).append(number)
    for members in by_next.values():
        end = _common(texts, members, start)
        read = _extended(model, state, texts[members[0]][start:end])
        if end > start and read is None:  # a family without a cache
            for number in members:
                yield number, ReadContext(model, tuple(texts[number]), None)
            continue
        longer = []
        for number in members:
            if len(texts[number]) > end:
                longer.append(number)
            else:
                yield number, ReadContext(model, tuple(texts[number]), read)
        if longer:
            yield from _walk(model, texts, longer, end, read)


def _common(texts: Sequence[Sequence[int]], members: Sequence[int], start: int) -> int:
    """Where the texts stop being alike, or the first of them ends."""
    first, shortest = texts[members[0]], min(len(texts[number]) for number in members)
    end = start
    while end < shortest and all(texts[number][end] == first[end] for number in members):
        end += 1
    return end


@torch.no_grad()
def _extended(
    model: InstrumentedModel, state: PrefixState | None, ids: Sequence[int]
) -> PrefixState | None:
    """The state after further tokens; the one before stays as it was. None if nothing is kept."""
    if not ids:
        return state
    tokens = torch.tensor([list(ids)], device=model.device)
    out, mask = _forward(model, state.fork() if state is not None else None, tokens, 1)
    cache = out.get("past_key_values")
    return None if cache is None else PrefixState(cache, mask, out.logits[:, -1])


def _together(
    model: InstrumentedModel, state: PrefixState, rows: Sequence[Sequence[int]]
) -> list[Tensor]:
    """Rows behind one state. They are padded on the right, where no token of theirs sees it."""
    width = max(map(len, rows))
    tokens = torch.tensor([[*r, *[r[-1]] * (width - len(r))] for r in rows], device=model.device)
    every = torch.zeros(len(rows), dtype=torch.long, device=model.device)
    cache = selected(state.fork().cache, every, 1)
    many = PrefixState(cache, state.mask[every], state.logits[every])
    out, _ = _forward(model, many, tokens, 0)
    return [logits[: len(row)].float().cpu() for logits, row in zip(out.logits, rows, strict=True)]


def _forward(
    model: InstrumentedModel, state: PrefixState | None, tokens: Tensor, keep: int
) -> tuple[Any, Tensor]:
    """(output, mask of all tokens so far)."""
    mask = torch.ones_like(tokens)
    behind: dict[str, Any] = {}
    if state is not None:
        mask = torch.cat([state.mask, mask], 1)
        behind = {"past_key_values": state.cache}
    with steady(model.module):
        out = model.forward(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1)[:, -tokens.shape[1] :],
            use_cache=True,
            logits_to_keep=keep,
            **behind,
        )
    return out, mask


@torch.no_grad()
def _stepped(
    states: SavedStates, rows: Sequence[Sequence[int]]
) -> list[Float[Tensor, "token d_vocab"]]:
    """Continuations behind states, token by token. What a row has in common with the next is read
    once.
    """
    model, found = states.model, list[Tensor]()
    kept, said = states.memory, list[Tensor]()
    for n, row in enumerate(rows):
        logits, alike = list(said), _alike(row, rows[n + 1]) if n + 1 < len(rows) else 0
        length = len(states.tokens) + len(row)
        with stepping(model.module, mixers_of(model), length) as stepper:
            stepper.set_memory(kept)
            if alike < len(logits):
                kept, said = states.memory, []
            for token in row[len(logits) :]:
                logits.append(stepper.feed(token).float().cpu())
                if len(logits) == alike:
                    kept, said = stepper.memory(), list(logits)
        found.append(torch.stack(logits))
    return found


def _alike(row: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two rows begin with in common, before the last of either."""
    n, shortest = 0, min(len(row), len(other)) - 1
    while n < shortest and row[n] == other[n]:
        n += 1
    return n


@torch.no_grad()
def whole(model: InstrumentedModel, ids: Sequence[int]) -> Float[Tensor, "token d_vocab"]:
    """Logits after every token of one text, in one pass, float32, on the processor."""
    with steady(model.module):
        out = model.forward(
            input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False
        )
    logits: Tensor = out.logits[0].float().cpu()
    return logits

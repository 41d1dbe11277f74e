"""Which tokens of which row a forward pass is about: needed when a change holds only at chosen
positions.

A prompt may be padded on the left, and `generate` feeds the model one token at a time, so an index
into the tensor is not a position in the text. Positions from 0 count the prompt's own tokens;
negative ones count from the prompt's end (-1 is its last token), so generated tokens are only
reached by "all positions".

How much of a text was read before is said by whoever feeds it piece by piece (`generate`,
`hooks.states`), else by the attention mask or the cache. The memory of recurrent layers has no
length: what was read into it is remembered here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from hooks.held_attributes import held
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

    from hooks.model import InstrumentedModel

CACHES = ("past_key_values", "cache_params", "state")
"""What families call the memory that they take and give back."""


@dataclass(frozen=True)
class _Text:
    """What a cache has read: columns (padding included), tokens per row, and of those the
    prompt's.
    """

    columns: int
    counts: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class _Told:
    """What is said of the next forward pass: the mask of the text up to its end, and the
    prompts' lengths if known.
    """

    mask: Tensor
    lengths: Tensor | None


class PositionTracker:
    """Position of every token of the forward pass that is running, (batch, pos); -1 in padding.

    `index` is None where it cannot be told: a recurrent memory that was filled before the tracker
    came.
    """

    def __init__(self) -> None:
        self.index: Tensor | None = torch.empty(0, 0, dtype=torch.long)
        self.lengths: Tensor = torch.empty(0, dtype=torch.long)  # of the prompts, per row
        self.told: _Told | None = None
        self.prompt: Tensor | None = None  # lengths of the prompts that `generate` has begun with
        self._texts: WeakIdKeyDictionary = WeakIdKeyDictionary()  # by cache
        self._running: _Text | None = None

    def before(self, kwargs: dict[str, Any]) -> None:
        """A forward pass with these arguments begins."""
        tokens = kwargs.get("input_ids")
        if tokens is None:
            tokens = kwargs["inputs_embeds"][..., 0]
        told = self._told_of(tokens)
        cache = next((c for name in CACHES if (c := kwargs.get(name)) is not None), None)
        known = self._texts.get(_anchor(cache)) if cache is not None else None
        mask = (
            _past_and_now(kwargs.get("attention_mask"), tokens, cache, known)
            if told is None
            else told.mask
        )
        self._running = None
        if mask is None:
            self.index = None
            return
        n = tokens.shape[1]
        self.index = (mask.cumsum(1) - 1).masked_fill(mask == 0, -1)[:, -n:]
        counts = mask.sum(1)
        whole = mask.shape[1] == n and told is None
        if told is not None and told.lengths is not None:
            self.lengths = told.lengths
        elif known is not None and not whole:
            self.lengths = known.lengths
        elif whole or len(self.lengths) != len(counts):
            self.lengths = counts
        self._running = _Text(mask.shape[1], counts, self.lengths)
        if cache is not None:
            self._texts[_anchor(cache)] = self._running

    def _told_of(self, tokens: Tensor) -> _Told | None:
        """What was told of this pass, if anything; what was said of one that never came is not."""
        told, self.told = self.told, None
        if told is None or len(told.mask) != len(tokens) or told.mask.shape[1] < tokens.shape[1]:
            return None
        return told

    def after(self, output: Any) -> None:
        """The forward pass has given this: the cache in it has read the text."""
        for name in CACHES:
            cache = output.get(name) if isinstance(output, dict) else None
            if cache is not None and self._running is not None:
                self._texts[_anchor(cache)] = self._running

    def mask_at(self, positions: Sequence[int], rows: int) -> Bool[Tensor, "row pos"]:
        """True where a token is at one of `positions`, (rows, pos). Rows and errors: see `text`."""
        index, lengths = self.text(rows)
        found = torch.zeros_like(index, dtype=torch.bool)
        for position in positions:
            wanted = position if position >= 0 else lengths[:, None] + position
            found |= (index == wanted) & (index >= 0)
        return found

    def text(self, rows: int) -> tuple[Int[Tensor, "row pos"], Int[Tensor, " row"]]:
        """`index` and `lengths` of so many rows: the batch once, or several times over as variants
        of it.

        Raises:
            BadInput: they cannot be told.
        """
        if self.index is None:
            raise BadInput(
                "Where in its text a token stands cannot be told: what this model's layers remember"
                " has no length, and they read the beginning before the change was on.",
                "the whole text under the change, or an attention mask of all of it",
                "Enter the change before the prompt is read.",
            )
        times = max(1, rows // max(1, len(self.index)))
        return (
            (self.index, self.lengths)
            if times == 1
            else (self.index.repeat(times, 1), self.lengths.repeat(times))
        )


def _anchor(cache: Any) -> Any:
    """What a cache is known by: itself, or the first tensor of a list of them (RWKV writes into
    its tensors).
    """
    return cache[0] if isinstance(cache, list | tuple) else cache


def _past_and_now(mask: Any, tokens: Tensor, cache: Any, known: _Text | None) -> Tensor | None:
    """1 at every token of the text so far, 0 in its padding, (batch, column).

    None where that cannot be told.
    """
    batch, n = tokens.shape
    now = mask if isinstance(mask, torch.Tensor) and mask.dim() == 2 else None
    if now is not None and now.shape[1] > n:
        return now.to(torch.long)
    read = None if cache is None else _columns_in(cache)
    now = tokens.new_ones(batch, n, dtype=torch.long) if now is None else now.to(torch.long)
    if cache is None or read == 0:
        return now
    if known is not None and len(known.counts) == batch:
        # What was cropped away since stood at the end.
        columns = known.columns if read is None else min(read, known.columns)
        counts = known.counts - (known.columns - columns)
        before = (
            torch.arange(columns, device=tokens.device)[None]
            >= (columns - counts.to(tokens.device))[:, None]
        )
        return torch.cat([before.to(torch.long), now], 1)
    return None if read is None else torch.cat([now.new_ones(batch, read), now], 1)


def _columns_in(cache: Any) -> int | None:
    """How many columns a cache holds; None where it does not say."""
    if hasattr(cache, "seqlen_offset"):  # xLSTM
        return int(cache.seqlen_offset)
    if isinstance(cache, list | tuple):
        return None
    try:
        return int(cache.get_seq_length())
    except (
        ValueError,
        AttributeError,
        TypeError,
    ):  # recurrent layers only: says at most whether anything was read
        filled = getattr(cache, "has_previous_state", None)
        return 0 if callable(filled) and not filled() else None


_trackers: dict[int, list[PositionTracker]] = {}  # id of the module -> those that follow it


def tell(
    module: nn.Module, mask: Int[Tensor, "batch column"], lengths: Int[Tensor, " batch"]
) -> None:
    """Say of the next forward pass that it ends a text with this mask, (batch, column), of
    prompts of these lengths.
    """
    for tracker in _trackers.get(id(module), ()):
        tracker.told = _Told(mask, lengths)


@contextmanager
def placed(module: nn.Module, where: PositionTracker) -> Iterator[None]:
    """Layers that are run again by themselves are about the tokens that `where` followed when
    they ran.
    """
    before = [
        (tracker, tracker.index, tracker.lengths) for tracker in _trackers.get(id(module), ())
    ]
    for tracker, _, _ in before:
        tracker.index, tracker.lengths = where.index, where.lengths
    try:
        yield
    finally:
        for tracker, index, lengths in before:
            tracker.index, tracker.lengths = index, lengths


@contextmanager
def track_positions(model: InstrumentedModel) -> Iterator[PositionTracker]:
    """A tracker that follows every forward pass of the model while inside."""
    module, tracker = model.module, PositionTracker()

    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tracker.before({"input_ids": args[0], **kwargs} if args else kwargs)

    def after(_: Any, args: tuple[Any, ...], output: Any) -> None:
        tracker.after(output)

    following = _trackers.setdefault(id(module), [])
    following.append(tracker)
    with ExitStack() as stack:
        stack.callback(_forget, module, tracker)
        stack.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
        stack.callback(module.register_forward_hook(after).remove)
        for name, wrapped in _FOLLOWED.items():
            if hasattr(module, name):
                stack.enter_context(held(module, name, wrapped(module, name)))
        yield tracker


def _forget(module: nn.Module, tracker: PositionTracker) -> None:
    following = _trackers[id(module)]
    following.remove(tracker)
    if not following:
        del _trackers[id(module)]


def _preparing(module: nn.Module, name: str) -> Callable[..., Any]:
    """`generate` makes the arguments of a forward pass from the whole text so far: that is where
    its length is known.
    """
    own = getattr(module, name)

    @wraps(own)
    def prepare(input_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
        mask = _mask_of(input_ids, kwargs)
        first = mask.sum(1) if kwargs.get("is_first_iteration") else None
        for tracker in _trackers.get(id(module), ()):
            tracker.told = _Told(mask, first if tracker.prompt is None else tracker.prompt)
        return own(input_ids, *args, **kwargs)

    return prepare


def _beginning(module: nn.Module, name: str) -> Callable[..., Any]:
    """What `generate` gives the prompts to as they are: they may be read in pieces, or together
    with guesses of what follows.
    """
    own = getattr(module, name)
    takes = inspect.signature(own)

    @wraps(own)
    def begin(*args: Any, **kwargs: Any) -> Any:
        given = takes.bind(*args, **kwargs).arguments
        lengths = _mask_of(given["input_ids"], given["model_kwargs"]).sum(1)
        for tracker in _trackers.get(id(module), ()):
            tracker.prompt = lengths
        return own(*args, **kwargs)

    return begin


def _mask_of(input_ids: Tensor, given: dict[str, Any]) -> Tensor:
    """1 at every token of the texts that `generate` has so far, (batch, column); all of them
    where it has no mask.
    """
    mask, embedded = given.get("attention_mask"), given.get("inputs_embeds")
    if isinstance(mask, torch.Tensor) and mask.dim() == 2:
        return mask.to(torch.long)
    columns = input_ids.shape[1] + (0 if embedded is None else embedded.shape[1])
    return torch.ones(len(input_ids), columns, dtype=torch.long, device=input_ids.device)


def _whole(module: nn.Module, name: str) -> Callable[..., Any]:
    """What is known of a call's prompts ends with the call."""
    own = getattr(module, name)

    @wraps(own)
    def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            return own(*args, **kwargs)
        finally:
            for tracker in _trackers.get(id(module), ()):
                tracker.prompt = None

    return generate


_FOLLOWED = {
    "generate": _whole,
    "_prefill": _beginning,
    "_get_candidate_generator": _beginning,
    "prepare_inputs_for_generation": _preparing,
}
"""Steps of `generate` that say how much of a text there is."""

"""One answer, scored after many versions of its prompt: tokens replaced by others, or hidden from
those that follow.

All versions of a prompt share what stands before their first difference. That is read once, into a
key-value cache that grows from the first difference to the last; each version reads the rest alone,
many of them in one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hooks import context_window
from hooks.eager_eval import steady
from hooks.finite_check import check_logits
from hooks.hidden_keys import hidden_keys
from hooks.layer_replay import keeps_only_keys, logit_error
from hooks.prefix_cache import PrefixState, kv_bytes
from workbench.errors import BadInput
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from transformers import Cache

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_TOKENS = 4096  # read in one batch
_PAIRS = 2**24  # of queries and keys in the masks of one batch
_CACHED = 2**29  # bytes of keys and values that the rows of one batch hold
_goes_on: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""Of each module that was tried, whether it reads on from its cache as it reads a whole prompt."""


@dataclass(frozen=True)
class Hidden:
    """Tokens from `start` to before `stop` are not seen by those from `first` on.

    `first` is at least `stop`: a token sees itself, and what stands before it in its own span.
    """

    start: int
    stop: int
    first: int


@dataclass(frozen=True)
class PromptChange:
    """One version of a prompt; the prompt itself where nothing is changed.

    Args:
        replaced: (position, token ids) that stand there instead of the prompt's own.
        hidden: what does not see what.
    """

    replaced: tuple[tuple[int, tuple[int, ...]], ...] = ()
    hidden: tuple[Hidden, ...] = ()

    def start(self, ids: Sequence[int]) -> int:
        """The first position that is read otherwise; the prompt's length where none is."""
        firsts = [each.first for each in self.hidden]
        for at, new in self.replaced:
            firsts += [at + n for n, token in enumerate(new) if ids[at + n] != token]
        return min(firsts, default=len(ids))

    def ids(self, ids: Sequence[int]) -> list[int]:
        """The prompt's tokens with those that are replaced."""
        changed = list(ids)
        for at, new in self.replaced:
            changed[at : at + len(new)] = new
        return changed


@dataclass(frozen=True)
class AnswerReadings:
    """What the model says of an answer, after each version of a prompt.

    Attributes:
        logp: log-probability of each token of the answer, in nats.
        likeliest: the likeliest token in its place.
    """

    logp: Float[Tensor, "version token"]
    likeliest: Int[Tensor, "version token"]

    @property
    def total(self) -> Float[Tensor, " version"]:
        """Log-probability of the whole answer, in nats."""
        return self.logp.sum(1)


@ordinary
@torch.no_grad()
def read_answer(
    model: InstrumentedModel,
    prompt: Sequence[int],
    answer: Sequence[int],
    changes: Sequence[PromptChange],
    progress: Progress | None = None,
) -> AnswerReadings:
    """Score an answer after each version of its prompt; exact, as a whole pass over each.

    Args:
        prompt, answer: token ids.
        changes: versions of the prompt; their positions are the prompt's.

    Raises:
        BadInput: an answer of no tokens; a change past the prompt's end; a token hidden from
            itself; or a prompt and answer beyond the model's window.
        Unfit: something is hidden, in a model with layers whose memory is no keys.
    """
    _check(model, prompt, answer, changes)
    reading = _Reading(model, list(prompt), list(answer))
    done = 0
    logp = torch.zeros(len(changes), len(answer))
    likeliest = torch.zeros(len(changes), len(answer), dtype=torch.long)
    for rows in reading.groups(changes):
        if progress is not None:
            progress(done / len(changes), f"The prompt with changes, {done} of {len(changes)}")
        logits = reading.read([changes[row] for row in rows])
        logp[rows] = (
            logits.log_softmax(-1)
            .gather(2, reading.goal.expand(len(rows), -1)[:, :, None])[:, :, 0]
            .cpu()
        )
        likeliest[rows] = logits.argmax(-1).cpu()
        done += len(rows)
    return AnswerReadings(logp, likeliest)


@dataclass
class _Reading:
    """A prompt and its answer, read from the front as far as versions have it in common."""

    model: InstrumentedModel
    prompt: list[int]
    answer: list[int]
    _state: PrefixState | None = None
    _read: int = 0
    _cached: bool = field(init=False)

    def __post_init__(self) -> None:
        self._cached = keeps_only_keys(self.model) and all(
            block.attention_call is not None for block in self.model.layout.blocks
        )

    @property
    def _module(self) -> nn.Module:
        return self.model.module

    @property
    def goal(self) -> Int[Tensor, "1 token"]:
        return torch.tensor([self.answer], device=self.model.device)

    @property
    def _whole(self) -> list[int]:
        return [*self.prompt, *self.answer[:-1]]

    def groups(self, changes: Sequence[PromptChange]) -> Iterator[list[int]]:
        """Versions that are read together, in the order of their first difference."""
        starts = [self._start(change) for change in changes]
        group: list[int] = []
        for row in sorted(range(len(changes)), key=starts.__getitem__):
            first = starts[group[0]] if group else 0
            each = len(self._whole) - first
            held = kv_bytes(self.model) * len(self._whole)
            room = min(
                _TOKENS // each, _PAIRS // (each * len(self._whole)), int(_CACHED // max(1, held))
            )
            if group and len(group) >= max(1, room):
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _start(self, change: PromptChange) -> int:
        """Where a version is read from: the last token of the prompt is always read again."""
        return min(change.start(self.prompt), len(self.prompt) - 1) if self._cached else 0

    def read(self, changes: Sequence[PromptChange]) -> Float[Tensor, "version token d_vocab"]:
        """Logits at each token of the answer, float32."""
        start = min(self._start(change) for change in changes)
        if start and self._module not in _goes_on:
            own, control = self._pass([PromptChange()], 0), self._pass([PromptChange()], start)
            error, limit = logit_error(control.flatten(0, 1), own.flatten(0, 1), self.model)
            # A family may decode from its cache otherwise than it reads: then nothing is shared.
            _goes_on[self._module] = error <= limit
        if start and not _goes_on[self._module]:
            self._cached, start = False, 0
        return self._pass(changes, start)

    def _pass(
        self, changes: Sequence[PromptChange], start: int
    ) -> Float[Tensor, "version token d_vocab"]:
        model, whole = self.model, self._whole
        rows = torch.tensor(
            [[*change.ids(self.prompt), *self.answer[:-1]][start:] for change in changes],
            device=model.device,
        )
        hidden = self._hidden(changes, start)
        positions = torch.arange(start, len(whole), device=model.device).expand(len(rows), -1)
        mask = torch.ones(len(rows), len(whole), dtype=torch.long, device=model.device)
        cache = None if not start else self._prefix(start, len(rows))
        with steady(model.module), nullcontext() if hidden is None else hidden_keys(model, hidden):
            logits: Tensor = model.forward(
                input_ids=rows,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
                logits_to_keep=len(self.answer),
            ).logits[:, -len(self.answer) :]
        check_logits(model, logits[:, -1])
        return logits.float()

    def _hidden(
        self, changes: Sequence[PromptChange], start: int
    ) -> Bool[Tensor, "version query key"] | None:
        if not any(change.hidden for change in changes):
            return None
        n = len(self._whole)
        hidden = torch.zeros(len(changes), n - start, n, dtype=torch.bool, device=self.model.device)
        for row, change in enumerate(changes):
            for each in change.hidden:
                hidden[row, max(0, each.first - start) :, each.start : each.stop] = True
        return hidden

    def _prefix(self, start: int, rows: int) -> Cache:
        """Keys and values of the tokens before `start`, for so many versions."""
        model, device = self.model, self.model.device
        if self._state is None or self._read > start:
            self._state, self._read = None, 0
        ids = torch.tensor([self._whole[self._read : start]], device=device)
        if ids.shape[1]:
            mask = torch.ones(1, start, dtype=torch.long, device=device)
            with steady(model.module):
                out = model.forward(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=torch.arange(self._read, start, device=device)[None],
                    past_key_values=None if self._state is None else self._state.cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            self._state = PrefixState(out.past_key_values, mask, out.logits[:, -1])
            self._read = start
        assert self._state is not None
        return self._state.copies(rows).cache


def _check(
    model: InstrumentedModel,
    prompt: Sequence[int],
    answer: Sequence[int],
    changes: Sequence[PromptChange],
) -> None:
    if not prompt or not answer:
        raise BadInput(
            f"A prompt of {len(prompt)} tokens and an answer of {len(answer)} cannot be scored.",
            "one token or more of each",
            "Give both.",
        )
    context_window.check(model, len(prompt), new=len(answer))
    for change in changes:
        for at, new in change.replaced:
            if at < 0 or at + len(new) > len(prompt):
                raise BadInput(
                    f"Tokens {at} to {at + len(new)} are replaced in a prompt of {len(prompt)}.",
                    "tokens of the prompt",
                    "Choose others.",
                )
        for each in change.hidden:
            if not 0 <= each.start < each.stop <= each.first <= len(prompt):
                raise BadInput(
                    f"Tokens {each.start} to {each.stop} are hidden from {each.first} on, in a"
                    f" prompt of {len(prompt)}.",
                    "tokens of the prompt, hidden from later ones",
                    "Choose others.",
                )

"""Completing many prompts at once under a change of some heads, and scoring whole answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks import context_window, out_of_memory
from hooks.eager_eval import steady
from hooks.generation import decoded, end_tokens
from hooks.interventions import scale
from hooks.prefix_cache import PrefixCache, PrefixState, step
from hooks.recurrent.cache_tensors import selected
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Factors = Mapping[tuple[int, int], float]


@dataclass(frozen=True)
class Completion:
    """What the model says after a prompt, and the id of the first token it chose (the end token
    has no text).
    """

    text: str
    first: int


def _shifted(is_decided: Callable[[int, str], bool], first: int) -> Callable[[int, str], bool]:
    """`is_decided` for a batch whose row 0 is prompt `first`."""
    return lambda row, text: is_decided(first + row, text)


@contextmanager
def scaled(model: InstrumentedModel, factors: Factors) -> Iterator[None]:
    """Each head times its own factor, at every position."""
    with ExitStack() as stack:
        for factor in sorted(set(factors.values())):
            heads = [head for head, value in factors.items() if value == factor]
            stack.enter_context(scale(model, heads, factor=factor))
        yield


def _some(state: PrefixState, rows: Sequence[int]) -> PrefixState:
    """Some rows of a state, to go on from; the state stays as it is."""
    forked = state.fork()
    if len(rows) == len(state.mask):
        return forked
    chosen = torch.tensor(list(rows), device=state.mask.device)
    cache = selected(forked.cache, chosen, len(state.mask))
    return PrefixState(cache, state.mask[chosen], state.logits[chosen])


class InterventionDecoder:
    """Prompts read once, then completed or scored again and again under different head factors.

    Each change reads the prompts again only from its lowest layer on; the answers are those of a
    full forward pass.
    """

    def __init__(
        self, model: InstrumentedModel, prompts: Sequence[Sequence[int]], batch_size: int = 64
    ) -> None:
        self.model = model
        self._batches: list[PrefixCache] = []
        for first in range(0, len(prompts), batch_size):
            self._batches += self._read(prompts[first : first + batch_size])

    def _read(self, prompts: Sequence[Sequence[int]]) -> list[PrefixCache]:
        """Together, or in smaller batches where memory runs out."""

        def read(part: list[int]) -> PrefixCache:
            return PrefixCache(self.model, [prompts[i] for i in part])

        found = out_of_memory.results_in_parts(self.model, range(len(prompts)), read)
        return [batch for _, batch in found]

    @contextmanager
    def with_head_scales(self, factors: Factors | None = None) -> Iterator[Session]:
        """The prompts as read under a change, which also holds for whatever is done with them
        inside.
        """
        changed = {head: factor for head, factor in (factors or {}).items() if factor != 1.0}
        lowest = min((layer for layer, _ in changed), default=None)
        while (states := self._states(changed, lowest)) is None:
            self._halve()
        with steady(self.model.module), scaled(self.model, changed):
            yield Session(self.model, states)

    def _states(self, changed: Factors, lowest: int | None) -> list[PrefixState] | None:
        """The prompts as read under a change; None where memory ran out."""
        states: list[PrefixState] = []

        def read() -> None:
            states.extend(batch.state(lowest) for batch in self._batches)

        with steady(self.model.module), scaled(self.model, changed):
            return states if out_of_memory.fits(self.model, read) else None

    def _halve(self) -> None:
        """Read the prompts anew, half as many at once."""
        prompts = [prompt for batch in self._batches for prompt in batch.prompts]
        largest = max(len(batch.prompts) for batch in self._batches)
        if largest == 1:
            raise out_of_memory.no_room()
        self._batches = []  # before the others are made: there is no room for both
        for first in range(0, len(prompts), largest // 2):
            self._batches += self._read(prompts[first : first + largest // 2])


class Session:
    """Prompts that have been read: may be completed and scored any number of times."""

    def __init__(self, model: InstrumentedModel, states: list[PrefixState]) -> None:
        self._model, self._states = model, states

    @ordinary
    def complete(
        self, is_decided: Callable[[int, str], bool], max_new_tokens: int = 16
    ) -> list[Completion]:
        """Greedy continuations. A prompt is finished once `is_decided(its index, text so far)`."""
        done: list[Completion] = []
        for state in self._states:
            first = len(done)

            def complete(
                part: list[int], state: PrefixState = state, first: int = first
            ) -> list[Completion]:
                return self._greedy(
                    _some(state, part), _shifted(is_decided, first + part[0]), max_new_tokens
                )

            rows = range(len(state.mask))
            for _, found in out_of_memory.results_in_parts(self._model, rows, complete):
                done += found
        return done

    @ordinary
    @torch.no_grad()
    def logp(
        self, answers: Sequence[Sequence[int]]
    ) -> tuple[Float[Tensor, " prompt"], Float[Tensor, " prompt"]]:
        """Log-probability in nats of each prompt's answer: (its first token's, the whole
        answer's), each (prompt,).
        """
        first, whole = [], []
        done = 0
        for state in self._states:
            here = answers[done : done + len(state.mask)]
            done += len(state.mask)

            def read(
                part: list[int],
                state: PrefixState = state,
                here: Sequence[Sequence[int]] = here,
            ) -> tuple[Tensor, Tensor]:
                return self._logp(_some(state, part), [here[i] for i in part])

            for _, found in out_of_memory.results_in_parts(self._model, range(len(here)), read):
                first.append(found[0])
                whole.append(found[1])
        return torch.cat(first), torch.cat(whole)

    def _logp(
        self, state: PrefixState, answers: Sequence[Sequence[int]]
    ) -> tuple[Float[Tensor, " prompt"], Float[Tensor, " prompt"]]:
        width, device = max(map(len, answers)), state.mask.device
        context_window.check(self._model, int(state.mask.sum(1).max()), new=width)
        # Answers are padded on the right: no answer token sees the padding, and its logits are not
        # read.
        ids = torch.tensor([[*a, *[a[-1]] * (width - len(a))] for a in answers], device=device)
        logits = state.logits[:, None]
        if width > 1:
            logits = torch.cat([logits, step(self._model, state, ids[:, :-1])[1]], 1)
        each = logits.float().log_softmax(-1).gather(2, ids[:, :, None])[:, :, 0]
        real = (
            torch.arange(width, device=device)[None]
            < torch.tensor([len(a) for a in answers], device=device)[:, None]
        )
        return each[:, 0].cpu(), (each * real).sum(1).cpu()

    def _greedy(
        self, state: PrefixState, is_decided: Callable[[int, str], bool], max_new_tokens: int
    ) -> list[Completion]:
        ends = end_tokens(self._model)
        context_window.check(self._model, int(state.mask.sum(1).max()), new=max_new_tokens)
        first = state.logits.argmax(-1).tolist()
        generated: list[list[int]] = [[] for _ in first]
        texts = [""] * len(generated)
        open_rows = list(range(len(generated)))
        for n in range(max_new_tokens):
            best = state.logits.argmax(-1).tolist()
            keep = []
            for place, (row, token) in enumerate(zip(open_rows, best, strict=True)):
                if token in ends:
                    continue
                generated[row].append(token)
                texts[row] = decoded(self._model, generated[row])
                if not is_decided(row, texts[row]):
                    keep.append(place)
            if not keep or n == max_new_tokens - 1:
                break
            if len(keep) < len(open_rows):
                chosen = torch.tensor(keep, device=state.mask.device)
                cache = selected(state.cache, chosen, len(state.mask))
                state = PrefixState(cache, state.mask[chosen], state.logits[chosen])
                open_rows = [open_rows[place] for place in keep]
            tokens = torch.tensor(
                [[generated[row][-1]] for row in open_rows], device=self._model.device
            )
            state, _ = step(self._model, state, tokens)
        return [Completion(text, token) for text, token in zip(texts, first, strict=True)]

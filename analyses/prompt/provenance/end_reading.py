"""A prompt that was read up to its last token, and what comes then: how likely an answer is, and
what the model says. Changes that hold at the end alone are entered around these.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks.decode import InterventionDecoder
from hooks.generation import continued
from hooks.hidden_keys import hidden_keys
from hooks.interventions import ablate_in_rows
from hooks.prefix_cache import PrefixCache, PrefixState, kv_bytes, step
from hooks.prompt_changes import Hidden, PromptChange, read_answer

_CACHED = 2**29  # bytes of keys and values that the rows of one batch hold

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class EndReading:
    """A prompt read but for its last token. One token has nothing before it and is read whole; so
    is each prompt of a model that keeps no keys, where nothing can be changed at the end alone.

    Attributes:
        hidden: what is not seen, by all that is read as well.
    """

    model: InstrumentedModel
    ids: list[int]
    prefix: PrefixState | None
    hidden: tuple[Hidden, ...] = ()

    @classmethod
    def of(
        cls, model: InstrumentedModel, ids: Sequence[int], hidden: tuple[Hidden, ...] = ()
    ) -> EndReading:
        """Read a prompt."""
        if not has_end(model) or len(ids) < 2:
            return cls(model, list(ids), None)
        n = len(ids) - 1
        with _hiding(model, hidden, n, n):
            prefix = PrefixCache(model, [list(ids[:-1])]).state()
        return cls(model, list(ids), prefix, hidden)

    def logp(self, answer: Sequence[int]) -> float:
        """Log-probability of an answer, in nats."""
        if self.prefix is None:
            return float(read_answer(self.model, self.ids, answer, [PromptChange()]).total[0])
        logits = self._step(self.prefix, [self.ids[-1], *answer[:-1]], len(self.ids) - 1)[1]
        goal = torch.tensor([list(answer)], device=self.model.device)
        each = logits.float().log_softmax(-1).gather(2, goal[:, :, None])
        return float(each.sum())

    def logp_without(
        self, answer: Sequence[int], groups: Sequence[Sequence[tuple[int, int]]]
    ) -> list[float]:
        """Log-probability of an answer with each group of heads off, many groups in one batch."""
        if self.prefix is None:
            return [self._logp_with_off(answer, heads) for heads in groups]
        ids = [self.ids[-1], *answer[:-1]]
        goal = torch.tensor(list(answer), device=self.model.device)
        found: list[float] = []
        held = kv_bytes(self.model) * (len(self.ids) + len(answer))
        size = max(1, int(_CACHED // max(1, held)))
        for first in range(0, len(groups), size):
            part = groups[first : first + size]
            with ablate_in_rows(self.model, part):
                _, logits = step(
                    self.model,
                    self.prefix.copies(len(part)),
                    torch.tensor([ids] * len(part), device=self.model.device),
                )
            each = logits.float().log_softmax(-1)
            found += each[:, range(len(answer)), goal].sum(1).tolist()
        return found

    def _logp_with_off(self, answer: Sequence[int], heads: Sequence[tuple[int, int]]) -> float:
        with ablate_in_rows(self.model, [heads]):
            return self.logp(answer)

    def next_tokens(self, most: int) -> list[tuple[int, float]]:
        """The likeliest next tokens, with their probabilities."""
        if self.prefix is None:
            logits = self.model.forward(**self.model.batch([self.ids]).kwargs()).logits[0, -1]
        else:
            logits = self._step(self.prefix, [self.ids[-1]], len(self.ids) - 1)[1][0, -1]
        best = logits.float().softmax(-1).topk(most)
        return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))

    def said(self, length: int) -> str:
        """What the model says, greedily, to its end or to so many tokens."""
        if self.prefix is None:
            whole = torch.tensor([self.ids], device=self.model.device)
            new = continued(self.model, whole, length)[0].tolist()
            return self.model.text.decode_continuation(new, special=False).strip()
        token, said, state = self.ids[-1], list[int](), self.prefix
        for n in range(length):
            state, logits = self._step(state, [token], len(self.ids) - 1 + n)
            token = int(logits[0, -1].argmax())
            if self.model.text.is_special(token):
                break
            said.append(token)
        return self.model.text.decode_continuation(said).strip()

    def _step(
        self, state: PrefixState, tokens: Sequence[int], read: int
    ) -> tuple[PrefixState, Float[Tensor, "1 n d_vocab"]]:
        """Further tokens, behind so many that were read."""
        ids: Int[Tensor, "1 n"] = torch.tensor([list(tokens)], device=self.model.device)
        with _hiding(self.model, self.hidden, len(tokens), read + len(tokens)):
            return step(self.model, state.fork(), ids)


def continuations(
    model: InstrumentedModel, prompts: Sequence[Sequence[int]], length: int
) -> list[str]:
    """What the model says after each of several prompts, greedily, to its end or to so many
    tokens.
    """
    if not has_end(model):
        return [EndReading.of(model, prompt).said(length) for prompt in prompts]
    with InterventionDecoder(model, prompts).with_head_scales() as read:
        return [each.text.strip() for each in read.complete(lambda *_: False, length)]


def has_end(model: InstrumentedModel) -> bool:
    """Whether a prompt can be read but for its last token: there are heads whose keys are kept."""
    return "z" in model.sites


def _hiding(
    model: InstrumentedModel, hidden: Sequence[Hidden], queries: int, keys: int
) -> AbstractContextManager[None]:
    """What is hidden from the last tokens of so many."""
    if not hidden:
        return nullcontext()
    mask = torch.zeros(1, queries, keys, dtype=torch.bool, device=model.device)
    for each in hidden:
        mask[:, max(0, each.first - (keys - queries)) :, each.start : each.stop] = True
    return hidden_keys(model, mask)

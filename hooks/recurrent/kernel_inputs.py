"""What the kernel of a recurrent layer is given for a piece of text, whatever its family, in one
notation (row vectors; d_key × d_value states).

    additive    S_t = decay_t ⊙ S_(t-1) + k_t^T (beta_t ⊙ v_t)                   o_t = q_t S_t
    delta       S' = decay_t ⊙ S_(t-1);  S_t = S' + beta_t k_t^T (v_t - k_t S')  o_t = q_t S_t

Mamba (Gu and Dao 2023): q = C, k = B, beta = dt, one head, a decay for every key and value; Mamba-2
(Dao and Gu 2024): the same with one dt per head; gated delta rule (Yang et al. 2024): q and k of
length 1, q scaled; RG-LRU (De et al. 2024): q = k = 1; mLSTM (Beck et al. 2024): additive, divided
by the sum of its weights; RWKV-4 (Peng et al. 2023): k = 1, a softmax over past tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

Rule = Literal["additive", "delta"]


@dataclass(frozen=True)
class KernelInputs:
    """One call of a kernel.

    Attributes:
        q, k: (batch, pos, state_head, d_key), as the kernel uses them: normalised, scaled, queries
            and keys that several heads share repeated.
        v: (batch, pos, state_head, d_value).
        beta: write strength, (batch, pos, state_head, 1 or d_value).
        step, rate: their product is the logarithm of the decay: (batch, pos, state_head, row, col)
            and (state_head, row, col); row is 1 or d_key, col 1 or d_value.
        rule: see the module's docstring.
        initial: the state before the first token, (batch, state_head, d_key, d_value); None is
            zero.
        values_first: the family keeps its states as values × keys.
        floor: mLSTM's smallest divisor, (batch, pos, state_head): o is divided by what the same
            sum gives for values that are all 1, or by this, plus `eps`.
        log_write, bonus, slope: RWKV's keys, (batch, pos, state_head, d_value), what is added to
            the key of the token itself, and what a key loses per token, (d_value): its weights are
            a softmax.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    beta: Tensor
    step: Tensor
    rate: Tensor
    rule: Rule = "additive"
    initial: Tensor | None = None
    values_first: bool = False
    floor: Tensor | None = None
    eps: float = 0.0
    log_write: Tensor | None = None
    bonus: Tensor | None = None
    slope: Tensor | None = None

    @property
    def n_tokens(self) -> int:
        return self.v.shape[1]

    @property
    def state_shape(self) -> tuple[int, int, int, int]:
        """(batch, state_head, d_key, d_value)"""
        batch, _, heads, d_value = self.v.shape
        return batch, heads, self.k.shape[-1], d_value

    @property
    def per_channel(self) -> bool:
        """Whether every value channel has a decay or a write strength of its own, and so a map of
        implicit attention of its own.
        """
        return self.v.shape[-1] > 1 and (
            self.beta.shape[-1] > 1 or max(self.step.shape[-1], self.rate.shape[-1]) > 1
        )

    @property
    def log_decay(self) -> Tensor:
        """(batch, pos, state_head, row, col)"""
        return self.step * self.rate

    def tokens(self, start: int, stop: int) -> KernelInputs:
        """Those of some tokens; from the second on the state before them is not known."""
        cut = slice(start, stop)
        return replace(
            self,
            q=self.q[:, cut],
            k=self.k[:, cut],
            v=self.v[:, cut],
            beta=self.beta[:, cut],
            step=self.step[:, cut],
            initial=self.initial if start == 0 else None,
            floor=None if self.floor is None else self.floor[:, cut],
            log_write=None if self.log_write is None else self.log_write[:, cut],
        )

    def rows(self, start: int, stop: int) -> KernelInputs:
        """Those of some texts of the batch."""
        cut = slice(start, stop)
        return replace(
            self,
            q=self.q[cut],
            k=self.k[cut],
            v=self.v[cut],
            beta=self.beta[cut],
            step=self.step[cut],
            initial=None if self.initial is None else self.initial[cut],
            floor=None if self.floor is None else self.floor[cut],
            log_write=None if self.log_write is None else self.log_write[cut],
        )

    def frozen(self, where: Tensor) -> KernelInputs:
        """With no decay and no write where `where`, (batch, pos, state_head), is True."""
        step = self.step.masked_fill(where[..., None, None], 0.0)
        return replace(self, step=step, beta=self.beta.masked_fill(where[..., None], 0.0))

    def as_kept(self, state: Tensor) -> Tensor:
        """A state, (…, d_key, d_value), the way the family keeps it; and back."""
        return state.transpose(-1, -2) if self.values_first else state


def side_by_side(calls: list[KernelInputs]) -> KernelInputs:
    """Calls of several heads as one (Zamba calls its kernel for each head)."""
    first = calls[0]
    if len(calls) == 1:
        return first

    def joined(name: str, dim: int = 2) -> Tensor:
        return torch.cat([getattr(call, name) for call in calls], dim)

    return replace(
        first,
        q=joined("q"),
        k=joined("k"),
        v=joined("v"),
        beta=joined("beta"),
        step=joined("step"),
        rate=joined("rate", 0),
        initial=None if first.initial is None else joined("initial", 1),
    )

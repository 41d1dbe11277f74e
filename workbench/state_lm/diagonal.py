"""A diagonal state-space model that does not look at what it reads (S4D, Gu et al. 2022, with real
rates): every channel is convolved with a kernel of its own.

    S_t = exp(log_decay) ⊙ S_(t-1) + write u_t        y_t = read · S_t
    kernel of a channel:  K[lag] = sum over n of read_n write_n exp(log_decay_n lag)
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.state_lm.configuration import StateLMConfig


def diagonal_scan(
    signal: Tensor,
    log_decay: Tensor,
    write: Tensor,
    read: Tensor,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Each channel convolved with its kernel, behind what a state before it still gives.

    Args:
        signal: u, (batch, pos, channel).
        log_decay, write, read: (channel, d_state).
        initial_state: (batch, channel, d_state, 1); None is zero.

    Returns:
        y, (batch, pos, channel), and the last state where it is wanted.
    """
    n = signal.shape[1]
    lag = torch.arange(n, device=signal.device)
    kernel = channel_kernels(log_decay, write, read, n)
    past = lag[:, None] - lag
    y = torch.einsum("cts,bsc->btc", kernel[:, past.clamp(min=0)] * (past >= 0), signal)
    kept = (log_decay[..., None] * (lag + 1)).exp()  # of a state before, (channel, d_state, pos)
    if initial_state is not None:
        y = y + torch.einsum("cn,cnt,bcn->btc", read, kept, initial_state[..., 0])
    state = None
    if output_final_state:
        each = write[..., None] * (log_decay[..., None] * (n - 1 - lag)).exp()
        state = torch.einsum("cnt,btc->bcn", each, signal)[..., None]
        if initial_state is not None:
            state = state + kept[..., -1:] * initial_state
    return y, state


def channel_kernels(log_decay: Tensor, write: Tensor, read: Tensor, lags: int) -> Tensor:
    """What a channel still gives of its input after so many tokens, (channel, lag)."""
    lag = torch.arange(lags, device=log_decay.device)
    each = (read * write)[..., None] * (log_decay[..., None] * lag).exp()
    return each.sum(1)


class DiagonalMixer(nn.Module):
    """One state per channel, with a skip and a gate."""

    def __init__(self, config: StateLMConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        width, size = config.hidden_size, config.state_size
        self.in_proj = nn.Linear(width, 2 * width, bias=False)
        self.log_dt = nn.Parameter(torch.empty(width))
        self.log_rate = nn.Parameter(torch.empty(width, size))
        self.read = nn.Parameter(torch.empty(width, size))
        self.skip = nn.Parameter(torch.empty(width))
        self.out_proj = nn.Linear(width, width, bias=False)

    @torch.no_grad()
    def start(self) -> None:
        """S4D-real: rates 1, 2, …, steps from 0.001 to 0.1, random read-out."""
        nn.init.uniform_(self.log_dt, math.log(1e-3), math.log(0.1))
        rates = torch.arange(1, self.read.shape[1] + 1, device=self.read.device)
        nn.init.zeros_(self.log_rate).add_(rates.log())
        nn.init.normal_(self.read)
        nn.init.ones_(self.skip)

    def discrete(self) -> tuple[Tensor, Tensor]:
        """Logarithm of the decay and write strength, (channel, d_state): zero-order hold."""
        rate = self.log_rate.exp()
        log_decay = -self.log_dt.exp()[:, None] * rate
        return log_decay, -torch.expm1(log_decay) / rate

    def forward(
        self,
        hidden_states: Tensor,
        input_ids: Tensor,
        mask: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """(batch, pos, hidden) in and out; see `MemoryMixer.forward`."""
        if mask is not None:
            hidden_states = hidden_states * mask[..., None].to(hidden_states.dtype)
        signal, gate = self.in_proj(hidden_states).chunk(2, -1)
        log_decay, write = self.discrete()
        y, state = diagonal_scan(
            signal,
            log_decay,
            write,
            self.read,
            initial_state=None if cache is None else cache.state_before(self.layer),
            output_final_state=cache is not None,
        )
        if cache is not None:
            cache.update_recurrent_state(state, self.layer, n_tokens=hidden_states.shape[1])
        y = y + self.skip * signal
        out: Tensor = self.out_proj(functional.gelu(y) * functional.silu(gate))
        return out

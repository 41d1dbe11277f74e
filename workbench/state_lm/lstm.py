"""A long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al.
2000).

    c_t = f_t ⊙ c_(t-1) + i_t ⊙ g_t        h_t = o_t ⊙ tanh(c_t)

The gates look at h_(t-1), so tokens are read one after another.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from workbench.state_lm.configuration import StateLMConfig

INPUT, FORGET, OUTPUT, CANDIDATE = range(4)
"""Rows of what `gates` gives."""


class LSTMMixer(nn.Module):
    """One cell.

    Its state is h and c, (batch, 2, hidden). `gates` gives (batch, pos, 4, hidden): i, f, o, in
    0 to 1, and g, in -1 to 1.
    """

    def __init__(self, config: StateLMConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.width = layer, config.hidden_size
        self.in_proj = nn.Linear(self.width, 4 * self.width)
        self.recurrent = nn.Linear(self.width, 4 * self.width, bias=False)
        self.gates = nn.Identity()
        self.out_proj = nn.Linear(self.width, self.width, bias=False)

    @torch.no_grad()
    def start(self) -> None:
        """Orthogonal recurrent weights, and forget gates that begin open."""
        nn.init.orthogonal_(self.recurrent.weight)
        nn.init.zeros_(self.in_proj.bias).view(4, -1)[FORGET] += 1.0

    def forward(
        self,
        hidden_states: Tensor,
        input_ids: Tensor,
        mask: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """(batch, pos, hidden) in and out; padding leaves the state as it is."""
        before = None if cache is None else cache.state_before(self.layer)
        if before is None:
            before = hidden_states.new_zeros(len(hidden_states), 2, self.width)
        h, c = before.unbind(1)
        given = self.in_proj(hidden_states)
        outputs, gates = [], []
        for t in range(hidden_states.shape[1]):
            raw = (given[:, t] + self.recurrent(h)).unflatten(-1, (4, self.width))
            i, f, o = raw[:, :CANDIDATE].sigmoid().unbind(1)
            g = raw[:, CANDIDATE].tanh()
            new = f * c + i * g
            out = o * new.tanh()
            if mask is not None:
                read = mask[:, t, None]
                new, out = torch.where(read, new, c), torch.where(read, out, h)
            h, c = out, new
            outputs.append(h)
            gates.append(torch.stack([i, f, o, g], 1))
        self.gates(torch.stack(gates, 1))
        if cache is not None:
            state = torch.stack([h, c], 1)
            cache.update_recurrent_state(state, self.layer, n_tokens=hidden_states.shape[1])
        result: Tensor = self.out_proj(torch.stack(outputs, 1))
        return result

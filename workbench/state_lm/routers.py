"""Which memories a token is written to and read from, with which weight: (batch, pos, memory), zero
where it is not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.state_lm.configuration import AS_BEFORE, StateLMConfig


class Router(nn.Module):
    """Each token by its own route, or with the route of the token before it: a value goes where its
    key went (`AS_BEFORE` in `token_routes`).
    """

    follows: Tensor

    def __init__(self, config: StateLMConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.looks_back = config.token_routes is not None
        if config.token_routes is not None:
            # In the checkpoint: what is made here is thrown away where a model is loaded.
            routes = torch.tensor(config.token_routes)
            self.register_buffer("follows", (routes == AS_BEFORE).float())

    def own(self, hidden_states: Tensor, input_ids: Tensor) -> Tensor:
        """The weights of each token's own route, (batch, pos, memory)."""
        raise NotImplementedError

    def forward(
        self,
        hidden_states: Tensor,
        input_ids: Tensor,
        mask: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        own = self.own(hidden_states, input_ids)
        if not self.looks_back:
            return own
        own = (own if mask is None else own * mask[..., None]).transpose(1, 2)
        if cache is not None:  # with the last token's route before it
            own = cache.update_conv_state(own, self.layer, state_idx=1, conv_kernel_size=1)
        n = input_ids.shape[1]
        own = functional.pad(own, (1, 0)).transpose(1, 2)
        follows = self.follows[input_ids][..., None].to(own.dtype)
        return torch.lerp(own[:, -n:], own[:, -n - 1 : -1], follows)


class PlantedRouter(Router):
    """The route is known from the token."""

    table: Tensor

    def __init__(self, config: StateLMConfig, layer: int) -> None:
        super().__init__(config, layer)
        routes = torch.tensor(config.token_routes)
        self.register_buffer(
            "table", (routes[:, None] == torch.arange(config.num_memories)).float()
        )

    def own(self, hidden_states: Tensor, input_ids: Tensor) -> Tensor:
        return self.table[input_ids].to(hidden_states.dtype)


class LearnedRouter(Router):
    """Softmax over a linear map; the `memories_per_token` largest, scaled to a sum of 1 (Du et al.
    2025).
    """

    def __init__(self, config: StateLMConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.per_token = config.memories_per_token
        self.scores = nn.Linear(config.hidden_size, config.num_memories, bias=False)

    def own(self, hidden_states: Tensor, input_ids: Tensor) -> Tensor:
        shares = self.scores(hidden_states).float().softmax(-1)
        values, chosen = shares.topk(self.per_token, dim=-1)
        weights = torch.zeros_like(shares).scatter(-1, chosen, values)
        return (weights / weights.sum(-1, keepdim=True)).to(hidden_states.dtype)


def make_router(config: StateLMConfig, layer: int) -> nn.Module | None:
    """None where every memory serves every token.

    Raises:
        ValueError: an unknown kind.
    """
    match config.router:
        case "none":
            return None
        case "planted":
            return PlantedRouter(config, layer)
        case "learned":
            return LearnedRouter(config, layer)
    raise ValueError(f"router must be none, planted or learned, not {config.router!r}")

"""An MLP with adapters for domains beside it, and a gate that mixes them token by token (as in
Diao et al. 2023, "Mixture-of-Domain-Adapters").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaMLP

from workbench.memory_lm.configuration import MemoryLMConfig

NONE = -1


class DomainAdapters(nn.Module):
    """What the MLP gives, and of each adapter what its gate lets through; gates sum to one.

    Attributes:
        only: while it is trained, the one adapter that is asked, `NONE` of them, or (None) as the
            gate says.
    """

    only: int | None = None

    def __init__(self, config: MemoryLMConfig) -> None:
        super().__init__()
        narrow = MemoryLMConfig(**{**config.to_dict(), "intermediate_size": config.memory_mlp})
        self.mlp = LlamaMLP(config)
        self.adapters = nn.ModuleList([LlamaMLP(narrow) for _ in range(config.memory_adapters)])
        self.gate = nn.Linear(config.hidden_size, config.memory_adapters, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, pos, d_model) to (batch, pos, d_model)."""
        out: Tensor = self.mlp(x)
        if self.only is None:
            return out + (self.brought(x) * self.weights(x)[..., None]).sum(-2)
        return out if self.only == NONE else out + self.adapters[self.only](x)

    def weights(self, x: Tensor) -> Tensor:
        """How far the gate opens for each adapter, (batch, pos, adapter)."""
        return torch.softmax(self.gate(x), -1)

    def brought(self, x: Tensor) -> Tensor:
        """What each adapter gives, (batch, pos, adapter, d_model)."""
        return torch.stack([adapter(x) for adapter in self.adapters], -2)

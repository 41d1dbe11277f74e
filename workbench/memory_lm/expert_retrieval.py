"""Parameter-efficient expert retrieval (PEER, He 2024, "Mixture of a million experts"): each head
fetches a few of n² experts by product keys, and an expert is one neuron.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.memory_lm.configuration import MemoryLMConfig
from workbench.memory_lm.product_keys import ProductKeyed, ProductKeyReads


class ExpertReads(ProductKeyReads):
    """What a token reads: `index` is the number of the expert, `weight` the softmax of the scores
    times what the expert's neuron fires.
    """


class ExpertRetrieval(ProductKeyed):
    """The values are what experts of one neuron write, weighed by what the neuron fires too."""

    def __init__(self, config: MemoryLMConfig) -> None:
        super().__init__(config)
        self.inward = nn.Embedding(self.side**2, config.hidden_size)

    def start(self) -> None:
        """Keys and experts as they are before training."""
        super().start()
        nn.init.normal_(self.inward.weight, std=self.inward.embedding_dim**-0.5)

    def look_up(self, x: Tensor) -> ExpertReads:
        """The experts that each token fetches; x is (batch, pos, d_model)."""
        found = super().look_up(x)
        fired = functional.gelu(torch.einsum("bpd,bphrd->bphr", x, self.inward(found.index)))
        return ExpertReads(found.query, found.index, found.score, found.weight * fired)

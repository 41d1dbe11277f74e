"""The two models: `organism/planted`, whose memories are known, and a Llama of 1 B parameters
with random weights.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

import workbench as wb

PLANTED, LLAMA = "organism/planted", "Llama 1 B, random"
DTYPES = ("float32", "bfloat16")
# The sizes of Llama 3.2 1B, and of one that runs anywhere.
_LARGE = {
    "d_model": 2048,
    "layers": 16,
    "heads": 32,
    "kv_heads": 8,
    "d_mlp": 8192,
    "d_vocab": 128_256,
}
_SMALL = {"d_model": 64, "layers": 3, "heads": 4, "kv_heads": 2, "d_mlp": 128, "d_vocab": 4096}


@dataclass
class Bench:
    """The models of one run, each made when it is first asked for.

    Args:
        device: the card (or the CPU, to try the script out).
        tiny: a small Llama in place of the large one, and little work in each row.
    """

    device: torch.device
    tiny: bool
    _made: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def model(self, name: str, dtype: str) -> Any:
        """A model on the card."""
        return self._get(name, dtype, "card")

    def reference(self, name: str, dtype: str) -> Any:
        """The same weights, rounded to `dtype`, computing in float32 on the CPU."""
        return self._get(name, dtype, "reference")

    def _get(self, name: str, dtype: str, place: str) -> Any:
        key = name, dtype, place
        if key not in self._made:
            module = copy.deepcopy(self._original(name))
            if place == "card":
                module = module.to(self.device, getattr(torch, dtype))
            else:
                module = module.cpu().to(getattr(torch, dtype)).to(torch.float32)
            self._made[key] = wb.load((module.eval(), self.tokenizer))
        return self._made[key]

    @cached_property
    def tokenizer(self) -> Any:
        """That of the organism; the Llama is given token ids below its 4,096."""
        return wb.load(PLANTED, device="cpu", dtype="float32").tokenizer

    def _original(self, name: str) -> Any:
        if name == PLANTED:
            return self._planted
        return self._llama

    @cached_property
    def _planted(self) -> Any:
        return wb.load(PLANTED, device="cpu", dtype="float32").module

    @cached_property
    def _llama(self) -> Any:
        return llama(self.device, **(_SMALL if self.tiny else _LARGE))

    def prompts(self, many: int, length: int, seed: int = 0) -> list[list[int]]:
        """Token ids that both models have, (prompt, pos)."""
        draw = torch.Generator().manual_seed(seed)
        return torch.randint(100, 4000, (many, length), generator=draw).tolist()


def llama(
    device: torch.device,
    d_model: int,
    layers: int,
    heads: int,
    kv_heads: int,
    d_mlp: int,
    d_vocab: int,
) -> Any:
    """A `LlamaForCausalLM` in float32, made where it will run: a billion numbers are drawn there in
    no time.

    Its weights are as wide as makes every layer matter (standard deviation 1/√d_model), so that
    attention is neither even nor all on one token, and a difference anywhere shows.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=d_vocab,
        hidden_size=d_model,
        intermediate_size=d_mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=4096,
        initializer_range=d_model**-0.5,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        with torch.device(device):
            return LlamaForCausalLM(config).eval()

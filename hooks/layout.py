"""The parts of a decoder, as `hooks.discovery` finds them: plain records that the
sites, sweeps and interventions stand on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from workbench.errors import WorkbenchError

STATE_DIMS = {
    "state": ("state_head", "state_row", "state_col"),
    "conv_state": ("channel", "tap"),
    "state_decay": ("state_head", "decay_row", "decay_col"),
    "state_write": ("state_head",),
    "state_q": ("state_head", "d_key"),
    "state_k": ("state_head", "d_key"),
    "state_v": ("state_head", "d_value"),
    "state_beta": ("state_head", "d_write"),
    "state_out": ("state_head", "d_value"),
}
"""Site of a recurrent layer's memory -> its axes after `pos`."""


@dataclass(frozen=True)
class Term:
    """Something a layer adds to the residual stream: `scale` times the output of `module`."""

    module: nn.Module
    scale: float = 1.0


@dataclass(frozen=True)
class NormLayer:
    """A normalisation: its module, and what it divides by.

    `centred` is True for LayerNorm, False for RMSNorm, None where the output is no per-channel gain
    (and shift) of either.
    """

    module: nn.Module
    centred: bool | None
    eps: float

    def scale(self, x: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows"]:
        """What the input is divided by at each position: (..., d_model) to (...)."""
        x = x.float()
        if self.centred:
            x = x - x.mean(-1, keepdim=True)
        return (x.pow(2).mean(-1) + self.eps).sqrt()


@dataclass(frozen=True)
class Projection:
    """Where queries, keys or values come out before rotary: a module's output, cut by
    `arrangement` into heads.

    `arrangement`: "alone" (nothing else in it), "concat" (all queries, all keys, all values), "per
    head" (query, key, value of each head together) or "per group" (the queries of a key-value
    group, its key, its value).
    """

    module: nn.Module
    arrangement: str
    which: str  # q, k or v
    heads: int
    kv_heads: int

    def cut(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows head d_head"]:
        """The projection out of the module's output: (..., width) to (..., head, d_head)."""
        if self.arrangement == "alone":
            return _split(x, self.heads if self.which == "q" else self.kv_heads, -1)
        size = x.shape[-1] // (self.heads + 2 * self.kv_heads)
        if self.arrangement == "concat":
            parts = x.split([self.heads * size, self.kv_heads * size, self.kv_heads * size], -1)
            return _split(parts["qkv".index(self.which)], -1, size)
        if self.arrangement == "per head":
            return _split(x, self.heads, 3, size)[..., "qkv".index(self.which), :]
        grouped = _split(x, self.kv_heads, self.heads // self.kv_heads + 2, size)
        if self.which == "q":
            return grouped[..., :-2, :].flatten(-3, -2)
        return grouped[..., -2 if self.which == "k" else -1, :]


def _split(x: Tensor, *sizes: int) -> Tensor:
    """The last axis as several, of these sizes."""
    return x.reshape(*x.shape[:-1], *sizes)


@dataclass(frozen=True)
class Block:
    """The parts of one decoder layer.

    A part that the layer does not have is None; `unavailable_reason` says why, by site.
    """

    module: nn.Module
    attention: nn.Module | None = None
    attention_call: nn.Module | None = (
        None  # the module that calls transformers' attention function
    )
    out_proj: nn.Module | None = None
    mixer: nn.Module | None = (
        None  # a recurrent layer: Mamba, linear attention, delta rule, RG-LRU, short convolution …
    )
    memory_router: nn.Module | None = None  # in the mixer: which of its memories a token is for
    mlp: nn.Module | None = None
    down_proj: nn.Module | None = None
    gate: nn.Module | None = None
    up: nn.Module | None = None
    router: nn.Module | None = None
    router_parts: dict[str, int] = field(
        default_factory=dict
    )  # site -> place among the router's outputs
    attn_out: Term | None = None
    mixer_out: Term | None = None
    mlp_out: Term | None = None
    before_mlp: nn.Module | None = (
        None  # its input is the residual stream between attention and MLP
    )
    ln1: NormLayer | None = None
    ln2: NormLayer | None = None
    start: nn.Module | None = (
        # where a norm stands before the stream itself (RWKV's first layer): its output is the
        # stream
        None
    )
    # z is not what attention mixes but what the family makes of it: a gate or a norm stands between
    gated: bool = False
    pattern_part: int | None = (
        None  # where attention is the family's own: its place among the module's outputs
    )
    n_heads: int = 0
    projections: dict[str, Projection] = field(default_factory=dict)
    states: dict[str, tuple[int, ...]] = field(
        default_factory=dict
    )  # site of a recurrent layer's memory -> its shape
    parallel_states: frozenset[str] = frozenset()  # those that one pass over a whole prompt gives
    divides_state: bool = False  # by a sum that its kernel keeps beside it
    unavailable_reason: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """The parts of a decoder, in order of the forward pass."""

    stack: tuple[nn.Module, str]  # the module that holds the list of layers, and its name there
    embed: nn.Module
    pos_embed: nn.Module | None
    blocks: tuple[Block, ...]
    final_norm: nn.Module
    ln_final: NormLayer | None
    unembed: nn.Module
    n_heads: int
    n_kv_heads: int
    d_head: int
    d_model: int
    sizes: dict[str, int]  # of the axes that the sites need: d_mlp, expert, …
    # logits = soft-cap(logit_scale × unembed(head_gain × final_norm(resid))); not a number where
    # that could not be told
    head_gain: float
    logit_scale: float
    logit_cap: float | None
    flat: frozenset[int]  # ids of modules that see all tokens of a batch in one row

    @property
    def n_layers(self) -> int:
        return len(self.blocks)

    def heads(self) -> list[tuple[int, int]]:
        """Every attention head as (layer, head)."""
        return [
            (layer, head)
            for layer, block in enumerate(self.blocks)
            if block.out_proj is not None
            for head in range(block.n_heads)
        ]

    def check(self) -> None:
        """Raises WorkbenchError if the module's layers are no longer those that were found."""
        now: Any = getattr(*self.stack)
        if len(now) != len(self.blocks) or any(
            a is not b.module for a, b in zip(now, self.blocks, strict=True)
        ):
            raise WorkbenchError(
                "Layers were taken out of the model, or replaced, since it was loaded.",
                f"the {len(self.blocks)} layers that it had",
                "Load the pair (module, tokenizer) again.",
            )

    def to_logits(
        self, unembedded: Float[Tensor, "*rows d_vocab"]
    ) -> Float[Tensor, "*rows d_vocab"]:
        """What the unembedding matrix gives, scaled and capped as the family does."""
        logits = unembedded if self.logit_scale == 1.0 else unembedded * self.logit_scale
        return (
            logits
            if self.logit_cap is None
            else torch.tanh(logits / self.logit_cap) * self.logit_cap
        )

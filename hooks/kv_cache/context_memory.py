"""What each attention layer holds of a text that was read once, and the door to its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hooks.attention import AttentionCall, attention_taps
from hooks.kv_cache.rotary import Rotary
from workbench.errors import SiteNotFound, Unfit

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class LayerMemory:
    """What one attention layer holds of a context, for one prompt.

    Attributes:
        keys, values: as its attention reads them, positions turned in.
        queries: of every token of the context.
        scaling: queries times this times keys are the scores.
        options: what else its attention function is given (soft cap, sink, window).
    """

    keys: Float[Tensor, "kv_head pos d_head"]
    values: Float[Tensor, "kv_head pos d_value"]
    queries: Float[Tensor, "head pos d_head"]
    scaling: float
    options: dict[str, Any]

    @property
    def window(self) -> int | None:
        """Positions that a query sees, itself included; None for all."""
        window = self.options.get("sliding_window")
        return int(window) if window else None

    def held(self) -> Bool[Tensor, " pos"]:
        """Which positions a later query can see at all: those within the window."""
        n = self.keys.shape[1]
        inside = torch.ones(n, dtype=torch.bool, device=self.keys.device)
        if self.window is not None:
            inside[: max(0, n - self.window + 1)] = False
        return inside


@dataclass(frozen=True)
class ContextMemory:
    """A context read once.

    Attributes:
        layers: by layer; layers without attention (recurrent ones) are not there.
        surprisal: −ln p of each token given those before, in nats, (pos,); the first token, of
            which nothing is said, has the largest (SirLLM).
        cache: the model's own cache behind the context, for what is not attention.
        rotary: how positions turn keys; None where they do not, or not in a way that is known.
    """

    model: InstrumentedModel
    ids: list[int]
    layers: dict[int, LayerMemory]
    surprisal: Float[Tensor, " pos"]
    cache: Any = field(repr=False)
    rotary: dict[int, Rotary] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


def check_attention(model: InstrumentedModel) -> list[int]:
    """The layers whose keys can be hidden.

    Raises:
        Unfit: it has none.
    """
    layers = [n for n, block in enumerate(model.layout.blocks) if block.attention_call is not None]
    if not layers and any(block.attention is not None for block in model.layout.blocks):
        raise no_door(model)
    if not layers:
        raise Unfit(
            f"{model.card.name} has no attention whose keys can be reached, so no cache to thin"
            " out.",
            "a model with attention layers",
            "Its memory is a state of fixed size: ask `recurrent-state`.",
        )
    return layers


@contextmanager
def tapped(
    model: InstrumentedModel, taps: dict[int, Callable[[AttentionCall], Any]]
) -> Iterator[None]:
    """`attention_taps`, whose refusal says what it means here."""
    try:
        with attention_taps(model.layout, taps, model.card.name):
            yield
    except SiteNotFound as error:
        raise no_door(model) from error


def no_door(model: InstrumentedModel) -> Unfit:
    return Unfit(
        f"The cache of {model.card.name} cannot be masked: its attention is computed in the"
        " family's own code.",
        "attention that goes through transformers' attention interface",
        "Take another family (Llama, Qwen, Gemma, GPT-2, Pythia, Mistral …).",
    )

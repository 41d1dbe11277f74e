"""Neurons of the feed-forward layers: reading their activations while texts go by, holding some of
them at given values, masking the smallest, and what their keys and values are.

A neuron is an input of the MLP's last matrix (site `post`): its value is a column of that matrix,
and what it adds to the residual stream is activation times value. That holds for plain, gated and
fused MLPs alike. A mixture of experts has no one last matrix; see `reason_without_neurons`.

A text's first token is left out of everything: many heads rest on it whatever it says, and a few
neurons are hundreds of times as active there as anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hooks import sites
from hooks.device_transfer import indices
from hooks.hook_points import hook_sites
from hooks.positions import PositionTracker, track_positions
from hooks.reduce.protocol import BatchLayout
from hooks.sites import SITES, Place
from hooks.weights import dense_weight, device_of, dtype_of, sizes
from workbench.errors import BadInput, Unfit

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

SITE = "post"
TakeFn = Callable[[int, Float[Tensor, "batch pos d_mlp"], Bool[Tensor, "batch pos"]], None]


def neuron_counts(model: InstrumentedModel) -> dict[int, int]:
    """How many neurons each layer has, of the layers whose neurons can be read and changed."""
    found = {}
    for layer in model.sites.get(SITE) or []:
        down = model.layout.blocks[layer].down_proj
        if down is not None and sites.can_change(model.layout, Place(SITES[SITE], layer)):
            found[layer] = sizes(down)[1]
    return found


def reason_without_neurons(model: InstrumentedModel) -> str | None:
    """Why no neuron of this model can be read, or None."""
    if neuron_counts(model):
        return None
    if "router_scores" in model.sites:
        return (
            "its feed-forward layers are mixtures of experts whose matrices are multiplied in one"
            " kernel, so that no neuron passes by alone"
        )
    reasons = [block.unavailable_reason.get(SITE) for block in model.layout.blocks]
    return next(filter(None, reasons), "it has no feed-forward layers")


def check_neurons(model: InstrumentedModel, neurons: Sequence[tuple[int, int]]) -> None:
    """Raises BadInput if the model lacks one of these (layer, number)."""
    counts = neuron_counts(model)
    for layer, number in neurons:
        if not 0 <= number < counts.get(layer, 0):
            has = (
                f"0 to {counts[layer] - 1} in layer {layer}"
                if layer in counts
                else f"layers {min(counts)} to {max(counts)}"
            )
            raise BadInput(
                f"{model.card.name} has no neuron L{layer}N{number}.", has, "Choose another."
            )


@torch.no_grad()
def values_of(
    model: InstrumentedModel, layer: int, numbers: Int[Tensor, " n"] | None = None
) -> Float[Tensor, "n d_model"]:
    """What each neuron writes to the residual stream at activation 1: columns of the MLP's last
    matrix, scaled as the family scales what the MLP adds.

    Args:
        numbers: only these neurons; None is all.
    """
    block = model.layout.blocks[layer]
    if block.down_proj is None or block.mlp_out is None:
        raise Unfit(
            f"Layer {layer} of {model.card.name} has no neurons.",
            "a layer with an MLP",
            "Choose another layer.",
        )
    columns = dense_weight(block.down_proj).T
    chosen = columns if numbers is None else columns[numbers.to(columns.device)]
    return chosen.float() * block.mlp_out.scale


@torch.no_grad()
def promoted(
    model: InstrumentedModel, layer: int, numbers: Sequence[int], k: int
) -> tuple[Float[Tensor, "n two k"], Int[Tensor, "n two k"]]:
    """(logits, token ids) of the k tokens that each neuron's value promotes most, then of the k
    that it promotes least: its column through final norm and unembedding, less what the norm's
    shift alone gives (Geva et al. 2022).

    Logits are of a vector of the value's direction: the norm takes its length away, so only their
    order is meant.
    """
    values = values_of(model, layer, torch.tensor(list(numbers)))
    at = device_of(model.layout.unembed)
    values = values.to(at, dtype_of(model.layout.embed))
    logits = (model.unembed(values[None]) - model.unembed(torch.zeros_like(values[None, :1])))[0]
    most, least = logits.float().topk(k, -1), (-logits.float()).topk(k, -1)
    return (
        torch.stack([most.values, -least.values], 1).cpu(),
        torch.stack([most.indices, least.indices], 1).cpu(),
    )


@contextmanager
def read_neurons(
    model: InstrumentedModel, layers: Sequence[int], lengths: Sequence[int], take: TakeFn
) -> Iterator[None]:
    """Call `take(layer, activations, counted)` whenever the forward pass comes by a layer's
    neurons.

    Args:
        lengths: tokens of each prompt of the left-padded batch that will run.
        take: gets (batch, pos, d_mlp) in the model's dtype, and which columns are tokens of a
            prompt other than its first, (batch, pos).
    """
    rows = BatchLayout(tuple(lengths), max(lengths), True)
    after_first = BatchLayout(tuple(n - 1 for n in lengths), max(lengths), True)
    places = [Place(SITES[SITE], layer) for layer in layers]

    def seen(place: Place, x: Tensor) -> None:
        assert place.layer is not None
        assert x.shape[:2] == (len(rows.lengths), rows.width)
        take(place.layer, x, after_first.real(x))

    with hook_sites(model, places, seen):
        yield


@contextmanager
def hold_neurons(
    model: InstrumentedModel,
    held: Mapping[int, tuple[Int[Tensor, " n"], Float[Tensor, " n"]]],
) -> Iterator[None]:
    """Neurons keep a given activation at every token but each text's first.

    Held at its mean over a reference text, a neuron says nothing of this one (mean ablation).

    Args:
        held: by layer, numbers of neurons and their activations.
    """

    def change(place: Place, x: Tensor, later: Tensor) -> Tensor:
        assert place.layer is not None
        numbers, values = held[place.layer]
        new, at = x.clone(), indices(tuple(numbers.tolist()), x.device)
        new[:, :, at] = torch.where(later[..., None], values.to(x), x[:, :, at])
        return new

    with _changed(model, list(held), change):
        yield


@contextmanager
def mask_smallest(
    model: InstrumentedModel,
    layers: Sequence[int],
    share: float,
    *,
    randomly: torch.Generator | None = None,
) -> Iterator[None]:
    """At every token but each text's first, set this share of a layer's activations to zero: those
    nearest to it, or random ones.

    Args:
        share: from 0 to below 1, of each layer.
        randomly: draws which are masked; None masks the smallest.
    """

    def change(place: Place, x: Tensor, later: Tensor) -> Tensor:
        n = round(share * x.shape[-1])
        if not n:
            return x
        order = x.abs() if randomly is None else torch.rand(x.shape, generator=randomly).to(x)
        masked = order.topk(n, -1, largest=False).indices
        new = x.scatter(-1, masked, 0.0)
        return torch.where(later[..., None], new, x)

    with _changed(model, layers, change):
        yield


@contextmanager
def _changed(
    model: InstrumentedModel,
    layers: Sequence[int],
    change: Callable[[Place, Tensor, Tensor], Tensor],
) -> Iterator[None]:
    """`change(place, activations, which are tokens after the first)` at each layer's neurons."""
    places = [Place(SITES[SITE], layer) for layer in layers]
    with (
        track_positions(model) as tracker,
        hook_sites(model, places, lambda place, x: change(place, x, _after_first(tracker, x))),
    ):
        yield


def _after_first(tracker: PositionTracker, x: Tensor) -> Tensor:
    """Which columns are tokens after a text's first, (batch, pos)."""
    return (tracker.text(len(x))[0] > 0).to(x.device)

"""One forward pass over one prompt; of every site only what the page shows is kept, computed
where the values pass by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from analyses.prompt.single_prompt.dla import Direction, head_contributions
from hooks.hook_points import hook_sites
from hooks.sites import SITES, Place, has

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel

STREAMS = ("resid_pre", "resid_mid", "resid_post")
PARTS = {"attn_out": "attention", "mixer_out": "mixer", "mlp_out": "MLP"}
TOP = 5
_CHUNK = 32  # positions whose logits over the whole vocabulary are in memory at once


@dataclass(frozen=True)
class Lens:
    """The logit lens on one layer (nostalgebraist 2020): its stream through the model's own final
    norm and unembedding.

    Attributes:
        ids, probabilities: the likeliest tokens, (pos, top).
        logits, chances, ranks: of the answer and, if there is one, the other: (pos, target). Rank 1
            is the likeliest.
    """

    ids: Tensor
    probabilities: Tensor
    logits: Tensor
    chances: Tensor
    ranks: Tensor


@dataclass
class PromptActivations:
    """What one prompt left behind, by layer. Tensors are float32 (patterns float16), on the CPU."""

    patterns: dict[int, Tensor] = field(default_factory=dict)  # (head, query, key)
    norms: dict[tuple[str, int], Tensor] = field(default_factory=dict)  # by site and layer, (pos,)
    lenses: dict[int, Lens] = field(default_factory=dict)
    heads: dict[int, Tensor] = field(default_factory=dict)  # (pos, head), logits
    heads_why: dict[int, str] = field(default_factory=dict)
    pieces: dict[tuple[str, int], Tensor] = field(
        default_factory=dict
    )  # attention, mixer, MLP, rest: (pos,), logits
    embedding: Tensor | None = None  # (pos,), logits
    neurons: dict[int, tuple[Tensor, Tensor]] = field(
        default_factory=dict
    )  # numbers (neuron,), activations (pos, neuron)
    last: Tensor | None = None  # logits after the last token, (d_vocab,)


@torch.no_grad()
def read_prompt(
    model: InstrumentedModel,
    ids: list[int],
    layers: Sequence[int],
    targets: Sequence[int],
    along: Direction | None,
    *,
    neurons: int,
    lens: bool,
) -> PromptActivations:
    """Run the model once.

    Args:
        ids: the prompt's tokens.
        layers: of which patterns, lens, norms and neurons are kept; attributions need all of them.
        targets: tokens whose place in the lens is kept.
        along: the direction that attributions are read off; None: none are made.
        neurons: how many of each layer are kept, those with the largest activation (in absolute
            value) behind the first token.
        lens: whether there is a logit lens.
    """
    looker = _Looker(model, set(layers), list(targets), along, neurons, lens)
    places = [
        Place(SITES[short], layer)
        for layer in range(model.n_layers)
        for short in ("pattern", "z", "post", *STREAMS, *PARTS)
        if has(model.layout, Place(SITES[short], layer))
    ]
    batch = model.batch([ids])
    with hook_sites(model, places, looker.take):
        out = model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1)
    looker.seen.last = out.logits[0, -1].float().cpu()
    looker.finish()
    return looker.seen


class _Looker:
    """Takes what passes by."""

    def __init__(
        self,
        model: InstrumentedModel,
        layers: set[int],
        targets: list[int],
        along: Direction | None,
        neurons: int,
        lens: bool,
    ) -> None:
        self.seen = PromptActivations()
        self._model, self._layers, self._targets, self._along = model, layers, targets, along
        self._neurons, self._lens = neurons, lens
        self._z: Tensor | None = None  # of the layer that is being computed
        self._streams: dict[
            tuple[str, int], Tensor
        ] = {}  # what the streams hold along the direction, (pos,)
        self._scale: Tensor | None = None  # what the final norm divides by, (pos,)

    def take(self, place: Place, x: Tensor) -> None:
        short, layer, x = place.site.short, place.layer, x[0]
        assert layer is not None
        shown = layer in self._layers
        if short == "pattern" and shown:
            self.seen.patterns[layer] = x.to(torch.float16).cpu()
        elif short == "z":
            self._z = x
        elif short == "post" and shown:
            self._keep_neurons(layer, x.float())
        elif short in STREAMS:
            self._stream(short, layer, x, shown)
        elif short in PARTS:
            self._part(short, layer, x)

    def _stream(self, short: str, layer: int, x: Tensor, shown: bool) -> None:
        if shown:
            self.seen.norms[short, layer] = x.float().norm(dim=-1).cpu()
        if shown and short == "resid_post" and self._lens:
            self.seen.lenses[layer] = self._through(x)
        if self._along is None or short == "resid_mid":
            return
        self._streams[short, layer] = self._along_direction(x)
        norm = self._model.layout.ln_final
        if short == "resid_post" and layer == self._model.n_layers - 1 and norm is not None:
            self._scale = norm.scale(x).cpu()

    def _part(self, short: str, layer: int, x: Tensor) -> None:
        if self._along is None:
            return
        self.seen.pieces[PARTS[short], layer] = self._along_direction(x)
        if short == "attn_out" and self._z is not None:
            shares = head_contributions(self._model, layer, self._z, x, self._along)
            if isinstance(shares, str):
                self.seen.heads_why[layer] = shares
            else:
                self.seen.heads[layer] = shares.cpu()
        self._z = None

    def _along_direction(self, x: Tensor) -> Tensor:
        assert self._along is not None
        return (x.float() @ self._along.vector.to(x.device)).cpu()

    def _keep_neurons(self, layer: int, x: Tensor) -> None:
        if not self._neurons:
            return
        # The first token's vector is often the one where attention rests: its activations would
        # drown all others.
        chosen = x[min(1, len(x) - 1) :].abs().amax(0).topk(min(self._neurons, x.shape[-1])).indices
        self.seen.neurons[layer] = chosen.cpu(), x[:, chosen].cpu()

    def _through(self, resid: Tensor) -> Lens:
        parts = []
        for rows in resid.split(_CHUNK):
            logits = self._model.unembed(rows).float()
            chances = torch.softmax(logits, -1)
            top = chances.topk(min(TOP, chances.shape[-1]), dim=-1)
            logits_of_targets = logits[:, self._targets]
            ranks = torch.stack(
                [(logits > column[:, None]).sum(-1) + 1 for column in logits_of_targets.T], -1
            )
            parts.append(
                (top.indices, top.values, logits_of_targets, chances[:, self._targets], ranks)
            )
        return Lens(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))

    def finish(self) -> None:
        """Divide by the final norm's scale, and call what no named part explains the rest."""
        if self._along is None:
            return
        scale, seen = self._scale, self.seen
        assert scale is not None
        seen.heads = {layer: x / scale[:, None] for layer, x in seen.heads.items()}
        seen.embedding = self._streams["resid_pre", 0] / scale
        before = self._streams["resid_pre", 0]
        for layer in range(self._model.n_layers):
            after = self._streams["resid_post", layer]
            named = [
                seen.pieces[part, layer] for part in PARTS.values() if (part, layer) in seen.pieces
            ]
            seen.pieces["rest", layer] = after - before - sum(named, torch.zeros_like(after))
            before = after
        seen.pieces = {at: x / scale for at, x in seen.pieces.items()}

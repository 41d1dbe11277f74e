"""All sites of one forward pass, and the identities between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from hooks import sites
from hooks.finite_check import sound
from hooks.hook_points import hook_sites
from hooks.invariants.check import InvariantCheck, difference, largest, length, relative_error
from hooks.layout import Block, Term
from hooks.module_call import call
from hooks.rounding import spacing_of
from hooks.sites import Place
from hooks.weights import bias_of, dtype_of

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel


class CapturedPass:
    """All sites of one forward pass, and the identities between them."""

    def __init__(self, model: InstrumentedModel, ids: Sequence[int]) -> None:
        self.model, layout = model, model.layout
        batch = model.batch([list(ids)])
        places = [
            Place(sites.SITES[short], layer)
            for short, layers in model.sites.items()
            if short not in sites.STATE_SITES
            for layer in (layers if layers is not None else [None])
        ]
        self.values: dict[tuple[str, int | None], Tensor] = {}
        self.broken: set[int | None] = (
            set()
        )  # layers with a value that is no finite number; None: outside the layers
        self.spacing = spacing_of(model)

        def keep(place: Place, x: Tensor) -> None:
            self.values[place.site.short, place.layer] = x.float().clone()  # families add in place
            if x.is_floating_point():
                self.spacing = max(self.spacing, torch.finfo(x.dtype).eps)
            ruled_out = x.isneginf() if place.site.short in {"attn_scores", "logits"} else False
            if not bool((torch.isfinite(x) | ruled_out).all()):
                self.broken.add(place.layer)

        plain = call(model.module, **batch.kwargs(), use_cache=False).logits
        with hook_sites(model, places, keep):
            watched = call(model.module, **batch.kwargs(), use_cache=False).logits

        def again(place: Place, x: Tensor) -> Tensor:
            return x.clone()

        changeable = [
            p for p in places if sites.can_change(layout, p) and not sites.in_attention(layout, p)
        ]
        exact = [
            p
            for p in changeable
            if (found := sites.tap(layout, p)) is not None and found.scale == 1.0
        ]
        with hook_sites(model, exact, again):
            replaced = call(model.module, **batch.kwargs(), use_cache=False).logits
        self.logits, self.watched, self.replaced = plain.float(), watched.float(), replaced.float()
        if not all(bool(sound(x).all()) for x in (plain, watched, replaced)):
            self.broken.add(None)

    def get(self, short: str, layer: int | None = None) -> Tensor | None:
        return self.values.get((short, layer))

    def whole(self) -> Iterator[InvariantCheck]:
        """Identities about the model as a whole."""
        layout = self.model.layout
        yield self._line(
            "watching",
            "looking at every site changes no logit, bit for bit",
            difference(self.watched, self.logits),
        )
        says = "putting every value back where it was changes no logit, bit for bit"
        yield self._line("empty", says, difference(self.replaced, self.logits))
        last = self.get("resid_post", len(layout.blocks) - 1)
        told = layout.head_gain == layout.head_gain and layout.logit_scale == layout.logit_scale
        if last is not None and told:
            dtype = dtype_of(layout.unembed)
            shown = self.model.unembed(last.to(dtype))
            yield self._line(
                "logits",
                "unembedding the last residual stream gives the logits",
                relative_error(shown, self.logits),
            )
        if (logits := self.get("logits")) is not None:
            yield self._line(
                "site logits",
                "the site `logits` is the model's output",
                relative_error(logits, self.logits),
            )

    def per_layer(self) -> Iterator[InvariantCheck]:
        """Identities inside the layers: each with the layers that have the sites it needs."""
        checks = (
            ("stream", "what enters, attention, mixer and MLP add up to what leaves", self._stream),
            (
                "middle",
                "what enters and attention add up to the stream before the MLP",
                self._middle,
            ),
            ("heads", "the heads' results and the bias add up to what attention adds", self._heads),
            ("pattern", "pattern times values gives z", self._pattern),
            ("rows", "every row of the pattern sums to at most one", self._rows),
            (
                "neurons",
                "the neurons through the MLP's last matrix give what the MLP adds",
                self._neurons,
            ),
            (
                "experts",
                "the chosen experts are among the router's, and as many as weights",
                self._experts,
            ),
            ("norm", "the norm divides by its scale", self._norm),
        )
        for name, says, check in checks:
            errors = {
                layer: e
                for layer, block in enumerate(self.model.layout.blocks)
                if (e := check(layer, block)) is not None
            }
            if errors:
                yield self._line(name, says, *errors.values(), layers=tuple(errors))

    def _line(
        self, name: str, says: str, *errors: Tensor, layers: tuple[int, ...] | None = None
    ) -> InvariantCheck:
        broken = self.broken & {None, *(layers or ())}
        return InvariantCheck(
            name, says, layers, float("inf") if broken else largest(errors), self.spacing
        )

    def _sum(self, whole: str, layer: int, parts: Sequence[str]) -> Tensor | None:
        """How far some sites of a layer are from adding up to another one."""
        start, end = self.get("resid_pre", layer), self.get(whole, layer)
        added = [x for short in parts if (x := self.get(short, layer)) is not None]
        if start is None or end is None or not added:
            return None
        found = torch.stack([start, *added])
        return relative_error(found.sum(0), end, length(found, from_=0))

    def _stream(self, layer: int, block: Block) -> Tensor | None:
        return self._sum("resid_post", layer, ("attn_out", "mixer_out", "mlp_out"))

    def _middle(self, layer: int, block: Block) -> Tensor | None:
        return self._sum("resid_mid", layer, ("attn_out", "mixer_out"))

    def _through(
        self, x: Tensor, part: torch.nn.Module, matrix: torch.nn.Module, term: Term
    ) -> Tensor:
        """From a matrix's output to what the layer adds: through the norm on the way out where
        there is one.
        """
        own = term.module in (part, matrix)
        return (x if own else term.module(x.to(next(term.module.parameters()).dtype))) * term.scale

    def _heads(self, layer: int, block: Block) -> Tensor | None:
        result, added = self.get("result", layer), self.get("attn_out", layer)
        if (
            result is None
            or added is None
            or block.attn_out is None
            or block.attention is None
            or block.out_proj is None
        ):
            return None
        bias = bias_of(block.out_proj)
        whole = result.sum(-2) + (0 if bias is None else bias.float())
        # Heads that cancel leave their rounding behind, and a norm on the way out makes it larger
        # with the rest.
        larger = length(result) / length(whole).clamp(min=1e-12) * length(added)
        return relative_error(
            self._through(whole, block.attention, block.out_proj, block.attn_out), added, larger
        )

    def _pattern(self, layer: int, block: Block) -> Tensor | None:
        pattern, v, z = self.get("pattern", layer), self.get("v", layer), self.get("z", layer)
        if block.gated or pattern is None or v is None or z is None or v.shape[-1] != z.shape[-1]:
            return None
        v = v.repeat_interleave(pattern.shape[1] // v.shape[2], dim=2)
        mixed, sizes = (torch.einsum("bhqk,bkhe->bqhe", pattern, x) for x in (v, v.abs()))
        return relative_error(mixed, z, length(sizes) * self._scores(layer))

    def _scores(self, layer: int) -> Tensor:
        """The largest attention score of each token: what it is rounded by, its probability is
        off by, (batch, pos).
        """
        scores = self.get("attn_scores", layer)
        if scores is None:
            return torch.ones((), device=self.logits.device)
        return (
            scores.masked_fill(scores.isneginf(), 0.0)
            .clamp(min=-100.0)
            .abs()
            .amax((1, 3))
            .clamp(min=1.0)
        )

    def _rows(self, layer: int, block: Block) -> Tensor | None:
        pattern = self.get("pattern", layer)
        return None if pattern is None else (pattern.sum(-1) - 1).clamp(min=0)

    def _neurons(self, layer: int, block: Block) -> Tensor | None:
        post, added = self.get("post", layer), self.get("mlp_out", layer)
        if (
            post is None
            or added is None
            or block.down_proj is None
            or block.mlp is None
            or block.mlp_out is None
        ):
            return None
        x = block.down_proj(post.to(dtype_of(block.down_proj)))
        return relative_error(self._through(x, block.mlp, block.down_proj, block.mlp_out), added)

    def _experts(self, layer: int, block: Block) -> Tensor | None:
        scores, weights, chosen = (
            self.get(s, layer) for s in ("router_scores", "expert_weights", "expert_indices")
        )
        if scores is None or weights is None or chosen is None:
            return None
        good = weights.shape == chosen.shape and bool(
            ((chosen >= 0) & (chosen < scores.shape[-1])).all()
        )
        return torch.tensor(0.0 if good else float("inf"))

    def _norm(self, layer: int, block: Block) -> Tensor | None:
        scale, out, x = (
            self.get("ln1_scale", layer),
            self.get("ln1", layer),
            self.get("resid_pre", layer),
        )
        if scale is None or out is None or x is None or block.ln1 is None:
            return None
        x = x - x.mean(-1, keepdim=True) if block.ln1.centred else x
        a, b = x / scale[..., None], out
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        gain = (a * b).sum(1, keepdim=True) / a.pow(2).sum(1, keepdim=True).clamp(min=1e-12)
        return relative_error(gain * a, b, length(out))

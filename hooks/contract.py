"""Whether what is captured is what the model computes: identities that hold on any decoder, measured on this one.

    for line in contract(model): print(line)

Each identity recomputes a value of the forward pass from other captured values and gives the largest difference,
relative to the largest value compared. A site that a model does not have drops the identities that need it; the reason
stands in `InstrumentedModel.why`. `docs/architectures.md` is made from this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hooks import sites
from hooks.layout import Block, Term
from hooks.prompts import ids_of
from hooks.sites import Place
from hooks.states import mixers_of, stepping
from hooks.steady import steady
from hooks.watch import watching
from hooks.weights import bias_of, dtype_of

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel

TEXT = "The capital of France is Paris."


@dataclass(frozen=True)
class Checked:
    """One identity: the layers it was checked in (None: it is about the whole model) and the largest relative error."""

    name: str
    says: str
    layers: tuple[int, ...] | None
    error: float

    def holds(self) -> bool:
        """Whether the error is rounding: none at all where nothing may change, else float32's over some layers. Zamba 2 and
        Nemotron-H clamp their time step in the parallel kernel only, which shows in the fourth digit."""
        return self.error <= {"watching": 0.0, "empty": 0.0, "steps": 1e-3, "restored": 1e-3, "write": 1e-3}.get(self.name, 1e-4)

    def __str__(self) -> str:
        where = "" if self.layers is None else f" (layers {', '.join(map(str, self.layers))})"
        return f"{self.name}: {self.says}{where}: largest relative error {self.error:.2g}"


@torch.no_grad()
def contract(model: InstrumentedModel, prompt: str | Sequence[int] = TEXT) -> list[Checked]:
    """Check every identity that this model has the sites for.

    Args:
        prompt: text or token ids; a dozen tokens show everything.
    """
    (ids,) = ids_of(model, prompt)
    with steady(model.module):
        found = _Everything(model, ids)
    steps = any(block.states for block in model.layout.blocks)
    remembered = list(_states(model, ids, found.logits[0])) if steps else []
    return [*found.whole(), *found.per_layer(), *remembered]


def _states(model: InstrumentedModel, ids: Sequence[int], logits: Tensor) -> Iterator[Checked]:
    """Identities of recurrent layers."""
    mixers, layers = mixers_of(model), tuple(mixers_of(model))
    errors, rest, rank = [], [0.0], 0.0
    with stepping(model.module, mixers, len(ids)) as stepper:
        for t, token in enumerate(ids):
            before = {layer: stepper.state(layer) for layer in mixers}
            conv = {layer: stepper.conv_state(layer) for layer in mixers}
            if t == len(ids) - 1:  # wipe what the layers remember, and put it back
                for layer in mixers:
                    for name, value in (("state", before[layer]), ("conv_state", conv[layer])):
                        if value is not None:
                            stepper.put(layer, **{name: torch.zeros_like(value)})
                            stepper.put(layer, **{name: value})
            shown = stepper.feed(token)
            errors.append(_relative(shown, logits[t]))
            if t == len(ids) - 1:
                rest.append(errors[-1])
            for layer in mixers:
                if layer in stepper.decay and before[layer] is not None:
                    sizes = torch.linalg.svdvals(stepper.added(layer, before[layer]))
                    if sizes.shape[-1] > 1:
                        rank = max(rank, float((sizes[:, 1] / sizes[:, 0].clamp(min=1e-9)).max()))
    yield Checked("steps", "read token by token, from state to state, the model gives the same logits", layers, max(errors))
    yield Checked("restored", "a state that is wiped and put back gives the same logits", layers, max(rest))
    decayed = tuple(layer for layer in mixers if "state_decay" in model.layout.blocks[layer].states)
    if decayed:
        yield Checked("write", "what a token adds to the decayed state is one outer product", decayed, rank)


class _Everything:
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

        def keep(place: Place, x: Tensor) -> None:
            self.values[place.site.short, place.layer] = x.float().clone()  # families add in place

        plain = model.module(**batch.kwargs(), use_cache=False).logits
        with watching(model, places, keep):
            watched = model.module(**batch.kwargs(), use_cache=False).logits

        def again(place: Place, x: Tensor) -> Tensor:
            return x.clone()

        changeable = [p for p in places if sites.can_change(layout, p) and not sites.in_attention(layout, p)]
        exact = [p for p in changeable if (found := sites.tap(layout, p)) is not None and found.scale == 1.0]
        with watching(model, exact, again):
            replaced = model.module(**batch.kwargs(), use_cache=False).logits
        self.logits, self.watched, self.replaced = plain.float(), watched.float(), replaced.float()

    def get(self, short: str, layer: int | None = None) -> Tensor | None:
        return self.values.get((short, layer))

    def whole(self) -> Iterator[Checked]:
        """Identities about the model as a whole."""
        layout = self.model.layout
        yield Checked(
            "watching", "looking at every site changes no logit, bit for bit", None, _difference(self.watched, self.logits)
        )
        yield Checked(
            "empty",
            "putting every value back where it was changes no logit, bit for bit",
            None,
            _difference(self.replaced, self.logits),
        )
        last = self.get("resid_post", len(layout.blocks) - 1)
        told = layout.head_gain == layout.head_gain and layout.logit_scale == layout.logit_scale
        if last is not None and told:
            dtype = dtype_of(layout.unembed)
            shown = self.model.unembed(last.to(dtype))
            yield Checked("logits", "unembedding the last residual stream gives the logits", None, _relative(shown, self.logits))
        if (logits := self.get("logits")) is not None:
            yield Checked("site logits", "the site `logits` is the model's output", None, _relative(logits, self.logits))

    def per_layer(self) -> Iterator[Checked]:
        """Identities inside the layers: each with the layers that have the sites it needs."""
        checks = (
            ("stream", "what enters, attention, mixer and MLP add up to what leaves", self._stream),
            ("middle", "what enters and attention add up to the stream before the MLP", self._middle),
            ("heads", "the heads' results and the bias add up to what attention adds", self._heads),
            ("pattern", "pattern times values gives z", self._pattern),
            ("rows", "every row of the pattern sums to at most one", self._rows),
            ("neurons", "the neurons through the MLP's last matrix give what the MLP adds", self._neurons),
            ("experts", "the chosen experts are among the router's, and as many as weights", self._experts),
            ("norm", "the norm divides by its scale", self._norm),
        )
        for name, says, check in checks:
            errors = {layer: e for layer, block in enumerate(self.model.layout.blocks) if (e := check(layer, block)) is not None}
            if errors:
                yield Checked(name, says, tuple(errors), max(errors.values()))

    def _added(self, layer: int, shorts: Sequence[str]) -> Tensor | None:
        parts = [x for s in shorts if (x := self.get(s, layer)) is not None]
        return torch.stack(parts).sum(0) if parts else None

    def _stream(self, layer: int, block: Block) -> float | None:
        start, end = self.get("resid_pre", layer), self.get("resid_post", layer)
        added = self._added(layer, ("attn_out", "mixer_out", "mlp_out"))
        return None if start is None or end is None or added is None else _relative(start + added, end)

    def _middle(self, layer: int, block: Block) -> float | None:
        start, mid = self.get("resid_pre", layer), self.get("resid_mid", layer)
        added = self._added(layer, ("attn_out", "mixer_out"))
        return None if start is None or mid is None or added is None else _relative(start + added, mid)

    def _through(self, x: Tensor, part: torch.nn.Module, matrix: torch.nn.Module, term: Term) -> Tensor:
        """From a matrix's output to what the layer adds: through the norm on the way out where there is one."""
        own = term.module in (part, matrix)
        return (x if own else term.module(x.to(next(term.module.parameters()).dtype))) * term.scale

    def _heads(self, layer: int, block: Block) -> float | None:
        result, added = self.get("result", layer), self.get("attn_out", layer)
        if result is None or added is None or block.attn_out is None or block.attention is None or block.out_proj is None:
            return None
        bias = bias_of(block.out_proj)
        whole = result.sum(-2) + (0 if bias is None else bias.float())
        return _relative(self._through(whole, block.attention, block.out_proj, block.attn_out), added)

    def _pattern(self, layer: int, block: Block) -> float | None:
        pattern, v, z = self.get("pattern", layer), self.get("v", layer), self.get("z", layer)
        if block.gated or pattern is None or v is None or z is None or v.shape[-1] != z.shape[-1]:
            return None
        v = v.repeat_interleave(pattern.shape[1] // v.shape[2], dim=2)
        return _relative(torch.einsum("bhqk,bkhe->bqhe", pattern, v), z)

    def _rows(self, layer: int, block: Block) -> float | None:
        pattern = self.get("pattern", layer)
        return None if pattern is None else float((pattern.sum(-1) - 1).clamp(min=0).max())

    def _neurons(self, layer: int, block: Block) -> float | None:
        post, added = self.get("post", layer), self.get("mlp_out", layer)
        if post is None or added is None or block.down_proj is None or block.mlp is None or block.mlp_out is None:
            return None
        x = block.down_proj(post.to(dtype_of(block.down_proj)))
        return _relative(self._through(x, block.mlp, block.down_proj, block.mlp_out), added)

    def _experts(self, layer: int, block: Block) -> float | None:
        scores, weights, chosen = (self.get(s, layer) for s in ("router_scores", "expert_weights", "expert_indices"))
        if scores is None or weights is None or chosen is None:
            return None
        good = weights.shape == chosen.shape and bool(((chosen >= 0) & (chosen < scores.shape[-1])).all())
        return 0.0 if good else float("inf")

    def _norm(self, layer: int, block: Block) -> float | None:
        scale, out, x = self.get("ln1_scale", layer), self.get("ln1", layer), self.get("resid_pre", layer)
        if scale is None or out is None or x is None or block.ln1 is None:
            return None
        x = x - x.mean(-1, keepdim=True) if block.ln1.centred else x
        a, b = (x / scale[..., None]).flatten(0, 1), out.flatten(0, 1)
        a, b = a - a.mean(0), b - b.mean(0)
        gain = (a * b).sum(0) / a.pow(2).sum(0).clamp(min=1e-12)
        return float((b - gain * a).abs().max() / out.abs().max().clamp(min=1e-12))


def _difference(a: Tensor, b: Tensor) -> float:
    """0 only if equal bit for bit (not-a-number equals itself)."""
    return 0.0 if torch.equal(a.nan_to_num(), b.nan_to_num()) else float((a - b).abs().max())


def _relative(found: Tensor, own: Tensor) -> float:
    found, own = found.float(), own.float()
    return float((found - own).abs().max() / own.abs().max().clamp(min=1e-12))

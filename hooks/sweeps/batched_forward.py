"""The walk: many variants of a batch of prompts go through the decoder's layers together.

A variant is born in the layer where it differs from the recorded run: there it joins the batch with
the recorded residual stream, is changed, and goes on with all the others. So nothing below its
layer is computed for it, and one layer is one call of the module for all of them. What may be left
out, and why: docs/methods/exact-sweeps.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hooks import module_call, sites
from hooks.attention import AttentionCall, add_mask, attention_taps, probabilities, soft_cap
from hooks.eager_eval import running
from hooks.positions import placed
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from torch import nn

    from hooks.layer_replay import RecordedSuffix
    from hooks.model import InstrumentedModel

Freeze = Literal["nothing", "heads", "heads and mlps"]
_SCORES = "attn_scores"
_FROZEN_SITES: dict[Freeze, tuple[str, ...]] = {
    "nothing": (),
    "heads": ("z",),
    "heads and mlps": ("z", "mlp_out"),
}


@dataclass(frozen=True)
class Edit:
    """Variants that are changed at one site of one layer, each at one unit of it.

    Attributes:
        values: what is put in, (variant, prompt, pos, *unit); any of the first three may be 1.
        where: the positions changed, (variant, prompt, pos), bool; any axis may be 1.
        units: which head (neuron) of the site each variant changes, (variant,); None is the site as
            a whole.
        count: the number of variants.
        freeze: what keeps its recorded values in all later layers ("heads and mlps": the MLP of
            this layer too).
        later: what these variants are changed to in further layers (a window), by layer: the site
            there, and values as above.
        severed: sites that keep their recorded values at the positions changed, in this layer and
            in all later ones.

    At the site "attn_scores" it is what the last position may see that changes: `where` is then
    over all columns of the batch, (variant, prompt, key).
    """

    site: str
    layer: int
    values: Tensor
    where: Bool[Tensor, "#variant #prompt #pos"]
    units: Int[Tensor, " variant"] | None
    count: int
    freeze: Freeze = "nothing"
    later: Mapping[int, tuple[str, Tensor]] = field(default_factory=dict)
    severed: tuple[str, ...] = ()

    def at(self, layer: int) -> Edit | None:
        """What is changed in a layer: this edit in its own, one of its window's in another."""
        if layer == self.layer:
            return self
        if layer not in self.later:
            return None
        site, values = self.later[layer]
        return replace(self, site=site, layer=layer, values=values)

    def apply(
        self, x: Float[Tensor, "variant prompt pos *site"]
    ) -> Float[Tensor, "variant prompt pos *site"]:
        """The site's values of this edit's rows, (variant, prompt, pos, *site), with the change
        made.
        """
        every = torch.arange(self.count, device=x.device)
        old = x if self.units is None else x[every, :, :, self.units]
        where = self.where.to(x.device)
        new = torch.where(where.view(*where.shape, *[1] * (old.dim() - 3)), self.values.to(x), old)
        if self.units is None:
            return new
        x = x.clone()
        x[every, :, :, self.units] = new
        return x


@dataclass
class BatchedForward:
    """One way through the layers.

    Args:
        suffix: the recorded run; it must have kept `z` (and `mlp_out`) of every layer where an edit
            freezes them.
        edits: in order of their layers.
        control: take along one variant that is never changed.
        report: called before every layer with the layers done so far, summed over variants and
            prompts.
        inspect: called with every layer's number, attention call and the variants that have joined;
            see `hooks.sweeps.paths`.
        until: the layer to stop before; None is the end.
    """

    model: InstrumentedModel
    suffix: RecordedSuffix
    edits: Sequence[Edit]
    control: bool = True
    report: Callable[[int], None] | None = None
    inspect: Callable[[int, AttentionCall, list[tuple[slice, Edit]]], None] | None = None
    until: int | None = None
    _joined: list[tuple[slice, Edit]] = field(default_factory=list)
    _in_attention: bool = False

    @torch.no_grad()
    def run(self) -> Float[Tensor, "variant prompt pos d_model"]:
        """The residual stream after the last layer, (variant, prompt, pos, d_model).

        The control comes first, then the variants in the order of the edits.
        """
        if self.suffix.record.hands_on:
            return self._whole_passes()
        batch, n = self.suffix.shape
        record, done, waiting = self.suffix.record, 0, list(self.edits)
        count = int(self.control)
        first = min(edit.layer for edit in waiting)
        rows = record.resid_pre[first].repeat(count, 1, 1)
        with ExitStack() as stack:
            stack.enter_context(running(self.model.module))
            stack.enter_context(placed(self.model.module, record.positions))
            if self.suffix.start or self._looks_inside:
                taps = {
                    layer: partial(self._attend, layer)
                    for layer in self.suffix.calls
                    if layer >= first
                }
                stack.enter_context(attention_taps(self.model.layout, taps, self.model.card.name))
            for layer in range(first, self.until or self.model.n_layers):
                if self.report is not None:
                    self.report(done)
                joining = [edit for edit in waiting if edit.layer == layer]
                waiting = waiting[len(joining) :]
                for edit in joining:
                    self._joined.append((slice(count, count + edit.count), edit))
                    count += edit.count
                new = sum(edit.count for edit in joining)
                rows = torch.cat([rows, record.resid_pre[layer].to(rows.device).repeat(new, 1, 1)])
                with self._changes(layer):
                    rows = record.call(self.model, layer, rows)
                done += (count - int(self.control)) * batch
        return rows.view(count, batch, n, -1)

    @property
    def _looks_inside(self) -> bool:
        """Whether attention is looked at or changed in the walk."""
        return self.inspect is not None or any(edit.site == _SCORES for edit in self.edits)

    def _whole_passes(self) -> Tensor:
        """As `run`, where layers hand each other more than the stream: each variant from the
        first layer to the last.
        """
        layout, (batch, n), count = self.model.layout, self.suffix.shape, int(self.control)
        for edit in self.edits:
            self._joined.append((slice(count, count + edit.count), edit))
            count += edit.count
        streams: list[Tensor] = []

        def keep(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            streams.append(out[0] if isinstance(out, tuple | list) else out)

        with ExitStack() as stack:
            if self._looks_inside:
                taps = {layer: partial(self._attend, layer) for layer in self.suffix.calls}
                stack.enter_context(attention_taps(layout, taps, self.model.card.name))
            for layer in range(self.model.n_layers):
                stack.enter_context(self._changes(layer))
            stack.callback(layout.blocks[-1].module.register_forward_hook(keep).remove)
            given = {name: x.repeat(count, 1) for name, x in self.suffix.batch.kwargs().items()}
            module_call.call(self.model.module, **given, use_cache=False, logits_to_keep=1)
        return streams[0].view(count, batch, n, -1)

    def _changes(self, layer: int) -> ExitStack:
        """Hooks for the edits of a layer, and for what is frozen there."""
        by_site: dict[str, list[tuple[slice, Edit | Tensor]]] = {}
        for rows, edit in self._joined:
            here = edit.at(layer)
            if here is not None and here.site != _SCORES:
                by_site.setdefault(here.site, []).append((rows, here))
            for site in edit.severed:
                recorded = self.suffix.kept.get((site, layer))
                if layer >= edit.layer and recorded is not None:
                    kept = replace(edit, site=site, values=recorded[None], units=None)
                    by_site.setdefault(site, []).append((rows, kept))
            for site in _FROZEN_SITES[edit.freeze]:
                if edit.layer < layer or (edit.layer == layer and site == "mlp_out"):
                    by_site.setdefault(site, []).append((rows, self.suffix.kept[site, layer]))
        stack = ExitStack()
        for short, changes in by_site.items():
            tap = sites.tap(self.model.layout, sites.Place(sites.SITES[short], layer))
            assert tap is not None  # who made the edits has checked
            stack.callback(tap.attach(partial(self._change, changes)).remove)
        return stack

    def _change(self, changes: list[tuple[slice, Edit | Tensor]], x: Tensor) -> Tensor:
        batch, n = self.suffix.shape
        if x.shape[1] != n or x.shape[0] % batch:
            raise WorkbenchError(
                f"{self.model.card.name} mixes the positions of different prompts: {tuple(x.shape)}"
                " at a site.",
                f"(rows, {n}, …)",
                "Please report the architecture; nothing was computed from this.",
            )
        x = x.view(-1, batch, *x.shape[1:]).clone()
        for rows, change in changes:
            x[rows] = change.apply(x[rows]) if isinstance(change, Edit) else change.to(x)
        return x.flatten(0, 1)

    def _attend(self, layer: int, call: AttentionCall) -> Tensor | None:
        if self._in_attention:
            return None
        if self.inspect is not None:
            self.inspect(layer, call, self._joined)
        batch, n = self.suffix.shape
        blocked = [(rows, here) for rows, edit in self._joined
                   if (here := edit.at(layer)) is not None and here.site == _SCORES]  # fmt: skip
        if blocked and n > 1:
            call.given_scores = self._blocked(blocked, call.scores())
        if not self.suffix.start:
            return None
        if blocked:
            return _single_tokens(
                call.query, call.key, call.value, self.suffix.calls[layer],
                partial(self._blocked, blocked),
            )  # fmt: skip
        if n > 1:
            return self._over_prefix(call, self.suffix.calls[layer])
        # Rows whose heads are frozen in this layer get their recorded z anyway.
        frozen = [
            rows for rows, edit in self._joined if edit.freeze != "nothing" and edit.layer < layer
        ]
        if not frozen:
            return _single_tokens(call.query, call.key, call.value, self.suffix.calls[layer])
        count = call.query.shape[0] // batch
        free = torch.ones(count, dtype=torch.bool, device=call.query.device)
        for rows in frozen:
            free[rows] = False
        chosen = free.repeat_interleave(batch).nonzero()[:, 0]
        out = call.query.new_zeros(
            call.query.shape[0], 1, call.query.shape[1], call.value.shape[-1]
        )
        if len(chosen):
            out[chosen] = _single_tokens(
                call.query[chosen], call.key[chosen], call.value[chosen], self.suffix.calls[layer]
            )
        return out

    def _blocked(
        self, blocked: list[tuple[slice, Edit]], scores: Float[Tensor, "row head query key"]
    ) -> Float[Tensor, "row head query key"]:
        """Scores in which the last position does not see what is blocked for its variant."""
        batch = self.suffix.shape[0]
        shown = scores.reshape(-1, batch, *scores.shape[1:]).clone()
        last = shown[:, :, :, -1].movedim(2, -1)  # (variant, prompt, key, head)
        for rows, edit in blocked:
            # A sliding window holds the last columns alone.
            near = replace(edit, where=edit.where[..., -last.shape[2] :])
            last[rows] = near.apply(last[rows])
        return shown.flatten(0, 1)

    def _over_prefix(self, call: AttentionCall, recorded: AttentionCall) -> Tensor:
        """Attention of the suffix's rows over the recorded prefix and themselves, by the model's
        own function.
        """
        implementation = str(call.module.config._attn_implementation)  # type: ignore[union-attr]
        n, times = call.query.shape[2], call.query.shape[0] // recorded.key.shape[0]
        key, value = (
            _after_prefix(a, b, times)
            for a, b in ((recorded.key, call.key), (recorded.value, call.value))
        )
        mask = recorded.mask
        if mask is None:  # plain causal, which for fewer queries than keys has to be said
            queries = torch.arange(n, device=key.device)[:, None] + (key.shape[2] - n)
            mask = (torch.arange(key.shape[2], device=key.device)[None] <= queries)[None, None]
            if implementation.endswith("eager"):
                mask = torch.zeros_like(mask, dtype=key.dtype).masked_fill(
                    ~mask, torch.finfo(key.dtype).min
                )
        elif mask.shape[0] > 1:
            mask = mask.repeat(times, 1, 1, 1)
        self._in_attention = True
        try:
            run = ALL_ATTENTION_FUNCTIONS[implementation]
            out: Tensor = run(call.module, call.query, key, value, mask, **call.options)[0]
            return out
        finally:
            self._in_attention = False


def _after_prefix(recorded: Tensor, own: Tensor, times: int) -> Tensor:
    """Keys (values) of every row: the recorded ones of its prompt, then its own, (row, kv_head,
    key, d_head).
    """
    batch, heads, total, size = recorded.shape
    n = own.shape[2]
    whole = own.new_empty(times, batch, heads, total, size)
    whole[..., : total - n, :] = recorded[..., : total - n, :]
    whole[..., total - n :, :] = own.view(times, batch, heads, n, size)
    return whole.flatten(0, 1)


def _single_tokens(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    recorded: AttentionCall,
    blocked: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Attention of single-token rows over the prefix of their prompt and their own key and value,
    (row, 1, head, d_head).

    `blocked` changes scores, (row, head, 1, key).

    To a prompt's prefix its variants are what queries of different positions are to a sequence: one
    matrix product for all of them, and nothing is copied per row.
    """
    batch, kv, total, _ = recorded.key.shape
    heads, count = query.shape[1], query.shape[0] // batch
    groups = heads // kv

    def by_prompt(
        x: Tensor, per_head: int
    ) -> Tensor:  # (row, head, 1, d) to (prompt, kv, head of the group, variant, d)
        return x.view(count, batch, kv, per_head, -1).permute(1, 2, 3, 0, 4)

    queries, own_key, own_value = by_prompt(query, groups), by_prompt(key, 1), by_prompt(value, 1)
    prefix_key, prefix_value = recorded.key[:, :, :-1], recorded.value[:, :, :-1]
    flat = queries.reshape(batch * kv, groups * count, -1)
    scores = query.new_empty(batch * kv, groups * count, total)
    scores[..., :-1] = torch.bmm(flat, prefix_key.flatten(0, 1).transpose(-1, -2))
    scores[..., -1] = (queries * own_key).sum(-1).view(batch * kv, groups * count)
    scores = soft_cap(
        scores.view(batch, heads, count, total).float() * recorded.scaling, recorded.options
    )
    if recorded.mask is not None:
        scores = add_mask(scores, recorded.mask)
    if blocked is not None:
        of_rows = scores.permute(2, 0, 1, 3).flatten(0, 1)[:, :, None]
        scores = blocked(of_rows)[:, :, 0].unflatten(0, (count, batch)).permute(1, 2, 0, 3)
    pattern = probabilities(scores, recorded.options).to(value.dtype)
    from_prefix = torch.bmm(
        pattern.view(batch * kv, groups * count, total)[..., :-1], prefix_value.flatten(0, 1)
    )
    out = (
        from_prefix.view(batch, kv, groups, count, -1)
        + pattern.view(batch, kv, groups, count, total)[..., -1:] * own_value
    )
    return out.permute(3, 0, 1, 2, 4).reshape(count * batch, 1, heads, -1)

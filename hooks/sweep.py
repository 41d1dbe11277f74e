"""The exact effect of every head, far below the price of one forward pass each.

`at_last`: a change at the last position leaves every earlier position as it was, so each variant is one single-token
decode from its layer on, and all variants are rows of one growing batch. `everywhere`: a head changed at all positions
leaves the layers below as they were, so only the layers from it on run again. Sources: docs/exact-sweeps.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from hooks import sites
from hooks.attention import AttentionCall, add_mask, attention_taps, probabilities, soft_cap
from hooks.replay import check_same, last_token, recording

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@dataclass(frozen=True)
class Variant:
    """One way to change a head's output at the last position.

    `z` is what each head is set to, (layer, head, d_head); None is zero. With `direct`, all other heads keep the values
    of the unchanged run and only MLPs and norms react (path patching to the logits, Wang et al. 2022, Goldowsky-Dill et
    al. 2023); otherwise everything downstream reacts (total effect).
    """

    name: str
    z: Tensor | None
    direct: bool


@torch.no_grad()
def at_last(model: InstrumentedModel, ids: Sequence[int], targets: Sequence[int], variants: Sequence[Variant]) -> Tensor:
    """Change of the target tokens' logits when one head is changed at a prompt's last position.

    Args:
        ids: the prompt.
        targets: token ids whose next-token logits are watched.
        variants: the ways to change a head; all heads are done in each way.

    Returns:
        (variant, layer, head, target), float32: logit after the change minus logit before.

    Raises:
        WorkbenchError: the control row did not reproduce the model's own logits.
    """
    base = last_token(model, ids)
    watched = torch.tensor(list(targets), device=model.device)
    heads, new_rows = model.n_heads, model.n_heads * len(variants)
    replaced = [torch.zeros_like(base.z) if v.z is None else v.z.to(base.z) for v in variants]
    direct_new = torch.tensor([v.direct for v in variants], device=model.device).repeat_interleave(heads)
    # Row 0 is the control: never changed, it must arrive at the model's own logits.
    rows = base.record.resid_pre[0]
    direct = torch.zeros(1, dtype=torch.bool, device=model.device)

    for layer in range(model.n_layers):
        z = base.z[layer].expand(new_rows, -1, -1).clone()
        for n, values in enumerate(replaced):
            z[torch.arange(heads) + n * heads, torch.arange(heads)] = values[layer]
        old = direct
        rows = torch.cat([rows, base.record.resid_pre[layer].expand(new_rows, -1, -1)])
        direct = torch.cat([direct, direct_new])

        def answer(call: AttentionCall, layer: int = layer, z: Tensor = z, old: Tensor = old) -> Tensor:
            out = base.z[layer].expand(len(old), -1, -1).clone()
            free = (~old).nonzero()[:, 0]
            out[free] = _attend(call, base.calls[layer], free)
            return torch.cat([out, z])[:, None]

        with attention_taps(model.layout, {layer: answer}, model.card.name):
            rows = base.record.call(model, layer, rows)

    check_same(model.unembed(rows[0, 0]), base.logits, model)
    logits = model.unembed(rows[:, 0], watched).float()
    effects = (logits[1:] - logits[0]).view(model.n_layers, len(variants), heads, len(watched))
    return effects.transpose(0, 1).cpu()


def _attend(call: AttentionCall, recorded: AttentionCall, rows: Tensor) -> Tensor:
    """Attention of single-token rows over the shared prefix and their own key and value, (rows, head, d_head).

    The prefix is one matrix for all rows, so its scores are plain matrix products, not a batch of copies.
    """
    query, own_key, own_value = call.query[rows, :, 0], call.key[rows, :, 0], call.value[rows, :, 0]
    n, heads, size = query.shape
    kv = own_key.shape[1]
    key, value = recorded.key[0, :, :-1], recorded.value[0, :, :-1]  # (kv, prefix, d_head)
    rows_per_kv = n * heads // kv
    grouped = query.view(n, kv, heads // kv, size).permute(1, 0, 2, 3).reshape(kv, rows_per_kv, size)
    to_prefix = (grouped @ key.transpose(-1, -2)).view(kv, n, heads // kv, key.shape[1])
    to_self = (grouped.view(kv, n, heads // kv, size) * own_key.permute(1, 0, 2)[:, :, None]).sum(-1, keepdim=True)
    scores = torch.cat([to_prefix, to_self], -1).float() * recorded.scaling
    scores = scores.permute(1, 0, 2, 3).reshape(n, heads, 1, -1)
    scores = soft_cap(scores, recorded.options)
    if recorded.mask is not None:
        scores = add_mask(scores, recorded.mask)
    pattern = probabilities(scores, recorded.options).to(value.dtype)[:, :, 0]
    pattern = pattern.view(n, kv, heads // kv, -1).permute(1, 0, 2, 3)
    from_prefix = pattern[..., :-1].reshape(kv, rows_per_kv, key.shape[1]) @ value
    out = from_prefix.view(kv, n, heads // kv, value.shape[-1]) + pattern[..., -1:] * own_value.permute(1, 0, 2)[:, :, None]
    return out.permute(1, 0, 2, 3).reshape(n, heads, -1)


def _keep_last(kept: dict[int, Tensor], layer: int, x: Tensor) -> None:
    kept[layer] = x[:, -1].clone()


@torch.no_grad()
def last_z(model: InstrumentedModel, prompts: Sequence[Sequence[int]], batch_size: int = 32) -> Tensor:
    """Every head's output at the last position of each prompt, (prompt, layer, head, d_head)."""
    batches = []
    for start in range(0, len(prompts), batch_size):
        kept: dict[int, Tensor] = {}
        handles = []
        try:
            for layer in range(model.n_layers):
                tap = sites.tap(model.layout, sites.Place(sites.SITES["z"], layer))
                if tap is not None:
                    handles.append(tap.attach(partial(_keep_last, kept, layer)))
            batch = model.batch(prompts[start : start + batch_size])
            model.module(**batch.kwargs(), use_cache=False, logits_to_keep=1)
        finally:
            for handle in handles:
                handle.remove()
        batches.append(torch.stack([kept[i] for i in range(model.n_layers)], 1))
    return torch.cat(batches)


@torch.no_grad()
def everywhere(
    model: InstrumentedModel,
    prompts: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    heads: Sequence[tuple[int, int]],
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Tensor:
    """Change of each prompt's target logits when one head is set to zero at all positions.

    Args:
        prompts: token ids.
        targets: per prompt, the token ids watched (as many for each).
        heads: which heads, each done alone.
        batch_size: prompts per forward pass.
        progress: reports after every head.

    Returns:
        (prompt, head of `heads`, target), float32: logit after minus logit before.
    """
    parts = []
    for start in range(0, len(prompts), batch_size):
        batch = model.batch(prompts[start : start + batch_size])
        watched = torch.tensor([list(t) for t in targets[start : start + batch_size]], device=model.device)
        with recording(model) as record:
            own = model.module(**batch.kwargs(), use_cache=False, logits_to_keep=1).logits[:, -1]
        check_same(model.unembed(record.resid_final[:, -1]), own, model)
        effects = []
        for n, (layer, head) in enumerate(heads):
            if progress is not None:
                progress((start + n / len(heads) * len(own)) / len(prompts), f"Heads at all positions, {n + 1} of {len(heads)}")
            tap = sites.tap(model.layout, sites.Place(sites.SITES["z"], layer))
            assert tap is not None

            def silence(x: Tensor, head: int = head) -> Tensor:
                x = x.clone()
                x[:, :, head] = 0
                return x

            handle = tap.attach(silence)
            try:
                resid = record.call(model, layer, record.resid_pre[layer])
            finally:
                handle.remove()
            for later in range(layer + 1, model.n_layers):
                resid = record.call(model, later, resid)
            changed = model.unembed(resid[:, -1])
            effects.append((changed.gather(1, watched) - own.gather(1, watched)).float().cpu())
        parts.append(torch.stack(effects, 1))
    return torch.cat(parts)


__all__ = ["Variant", "at_last", "everywhere", "last_z"]

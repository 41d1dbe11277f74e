"""Gradients at heads: a first-order guess of what removing each one would do, from one backward
pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from hooks import sites
from hooks.eager_eval import evaluating
from hooks.finite_check import check_values
from hooks.hook_points import hook_sites
from hooks.quantized_layers import check_gradients
from hooks.targets import distinct
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel


@ordinary
def head_attribution(
    model: InstrumentedModel,
    prompts: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    batch_size: int = 8,
) -> Tensor:
    """Estimated change of (first target's logit minus second's) when a head is set to zero at all
    positions.

    Attribution patching (Nanda 2023) with a zero source: minus z times the gradient, summed over
    positions and d_head. Good for choosing candidates, not for reporting: `sweep.everywhere` gives
    the exact value.

    Returns:
        (prompt, layer, head), float32, in logits.

    Raises:
        BadInput: a prompt's two targets are the same token.
    """
    check_gradients(model.module, model.card.name)
    for pair in targets:
        distinct(model, list(pair))
    places = [sites.Place(sites.SITES["z"], layer) for layer in model.sites.get("z") or []]
    parts = []
    for start in range(0, len(prompts), batch_size):
        batch = model.batch(prompts[start : start + batch_size])
        watched = torch.tensor(
            [list(t) for t in targets[start : start + batch_size]], device=model.device
        )
        kept: list[Tensor] = []

        def keep(place: sites.Place, x: Tensor, kept: list[Tensor] = kept) -> Tensor:
            x = x.detach().requires_grad_() if not x.requires_grad else x
            kept.append(x)
            return x

        with hook_sites(model, places, keep), evaluating(model.module), torch.enable_grad():
            logits = model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1).logits[
                :, -1
            ]
            chosen = logits.gather(1, watched)
            gradients = torch.autograd.grad((chosen[:, 0] - chosen[:, 1]).sum(), kept)
        check_values(model, "the gradients", *gradients)
        real = batch.attention_mask[:, :, None].to(kept[0].dtype)
        parts.append(
            torch.stack(
                [-((z * g).sum(-1) * real).sum(1) for z, g in zip(kept, gradients, strict=True)], 1
            )
        )
    return torch.cat(parts).detach().float().cpu()

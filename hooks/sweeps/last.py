"""Every head of one prompt at the last position, in several ways that share one walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hooks.eager_eval import steady
from hooks.layer_replay import check_same, read
from hooks.rounding import note, of_effects
from hooks.sites import SITES, Place
from hooks.sweeps.batched_forward import BatchedForward, Edit
from hooks.sweeps.values import source_values
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class Variant:
    """One way to change a head's output at the last position.

    `z` is what each head is set to, (layer, head, d_head); None is zero. With `direct`, all other
    heads keep the values of the unchanged run and only MLPs and norms react (path patching to the
    logits, Wang et al. 2022, Goldowsky-Dill et al. 2023); otherwise everything downstream reacts
    (total effect).
    """

    name: str
    z: Tensor | None
    direct: bool


@ordinary
@torch.no_grad()
def at_last(
    model: InstrumentedModel,
    ids: Sequence[int],
    targets: Sequence[int],
    variants: Sequence[Variant],
) -> Tensor:
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
    places = [Place(SITES["z"], layer) for layer in range(model.n_layers)]
    suffix = read(model, model.batch([list(ids)]), len(ids) - 1, places)
    n, heads = suffix.shape[1], torch.arange(model.n_heads, device=model.device)
    where = torch.zeros(1, 1, n, dtype=torch.bool, device=model.device)
    where[..., -1] = True
    edits = [
        Edit(
            "z",
            layer,
            (
                torch.zeros((), dtype=torch.float32, device=model.device)
                if v.z is None
                else v.z[layer][:, None, None]
            ),
            where,
            heads,
            len(heads),
            "heads" if v.direct else "nothing",
        )
        for layer in range(model.n_layers)
        for v in variants
    ]
    with steady(model.module):
        final = BatchedForward(model, suffix, edits).run()[:, 0, -1]
    error = check_same(model.unembed(final[:1]), suffix.logits, model)
    watched = torch.tensor(list(targets), device=model.device)
    logits = model.unembed(final, watched).float()
    effects = (logits[1:] - logits[0]).view(model.n_layers, len(variants), len(heads), len(targets))
    note(model, of_effects(error, effects, (logits[0] - suffix.logits[0, watched].float()).abs()))
    return effects.transpose(0, 1).cpu()


@ordinary
@torch.no_grad()
def last_z(
    model: InstrumentedModel, prompts: Sequence[Sequence[int]], batch_size: int = 32
) -> Tensor:
    """Every head's output at the last position of each prompt, (prompt, layer, head, d_head)."""
    places = [Place(SITES["z"], layer) for layer in range(model.n_layers)]
    found: dict[int, Tensor] = {}
    for together in model.batch_indices([len(p) for p in prompts], batch_size):
        batch = model.batch([list(prompts[i]) for i in together])
        last = torch.full((len(together), 1), batch.input_ids.shape[1] - 1)
        with steady(model.module):
            kept, _ = source_values(model, batch, places, last)
        values = torch.stack([kept["z", layer][:, 0] for layer in range(model.n_layers)], 1)
        found |= dict(zip(together, values, strict=True))
    return torch.stack([found[i] for i in range(len(prompts))])

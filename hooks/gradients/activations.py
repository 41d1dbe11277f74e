"""Gradients at sites: how much the metric changes per unit of each activation.

slopes = activation_gradients(model, prompts, loss, sites=["z", "resid_post"])
slopes["z"]        # (prompt, layer, pos, head, d_head)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks import sites as places_of
from hooks.backends.prompt_matching import PromptMatcher
from hooks.capture import capture
from hooks.finite_check import check_values
from hooks.hook_points import hook_sites
from hooks.metrics import checked, loss, per_prompt
from hooks.prompts import listed
from hooks.quantized_layers import check_gradients
from workbench.errors import BadInput
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.backends.hook_request import HookRequest
    from hooks.batch import Batch
    from hooks.metrics import Metric, Metrics
    from hooks.model import InstrumentedModel
    from hooks.sites import Place
    from workbench.trace import Trace


@ordinary
def activation_gradients(
    model: InstrumentedModel,
    prompts: str | Sequence[str] | Sequence[Sequence[int]],
    metric: Metrics = loss,
    sites: str | Sequence[str] = "resid_post",
    layers: int | Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    *,
    times_activation: bool = False,
) -> Trace:
    """The gradient of each prompt's metric at each site, from one backward pass per batch.

    Interventions are seen.

    Args:
        prompts: texts, or lists of token ids.
        metric: one for all prompts, or one each; see `hooks.metrics`.
        sites, layers, positions: as in `wb.capture`; those whose value can be changed
            (`hooks.sites.can_change`).
        times_activation: multiply by the activation (Simonyan et al. 2013, Shrikumar et al. 2016):
            a first-order guess of how much the metric would fall if the value were zero.

    Returns:
        A Trace with the labels that `wb.capture` gives; in units of the metric per unit of
        activation, or of the metric.

    Raises:
        BadInput: a site whose value cannot be differentiated.
        SiteNotFound: see `wb.capture`.
        NotFinite: logits or gradients that are no finite numbers.
    """
    given = listed(model, prompts)
    texts, lengths = [prompt.ids for prompt in given], [len(prompt.ids) for prompt in given]
    places = places_of.resolve(model.layout, sites, layers, model.card.name)
    differentiable(model, places)
    metrics, waiting = per_prompt(metric, lengths), PromptMatcher(model, texts)

    def run(
        model: InstrumentedModel,
        batch: Batch,
        requests: Sequence[HookRequest],
        *,
        every_logit: bool,
    ) -> None:
        kept: dict[Place, Tensor] = {}

        def keep(place: Place, x: Tensor) -> Tensor:
            # What goes on must be the very tensor that is differentiated by.
            kept[place] = x if x.requires_grad else x.detach().requires_grad_()
            return kept[place]

        with (
            waiting.matched(batch) as rows,
            torch.enable_grad(),
            hook_sites(model, [place for r in requests for place in r.places], keep),
        ):
            logits = model.forward(**batch.kwargs(), use_cache=False).logits
            here = [metrics[row] for row in rows]
            gradients = torch.autograd.grad(
                total(here, logits, batch), list(kept.values()), allow_unused=True
            )
        check_values(model, "the gradients", *(g for g in gradients if g is not None))
        found = dict(zip(kept, gradients, strict=True))
        for request, place in [(r, place) for r in requests for place in r.places]:
            gradient, value = found[place], kept[place].detach()
            slope = torch.zeros_like(value) if gradient is None else gradient
            request.take(place, slope * value if times_activation else slope)

    trace = capture(model, texts, sites, layers, positions, backend=run)
    for site in trace:
        trace[site].attrs["quantity"] = (
            "gradient times activation" if times_activation else "gradient"
        )
    return trace


def total(
    metrics: Sequence[Metric], logits: Float[Tensor, "batch pos d_vocab"], batch: Batch
) -> Float[Tensor, ""]:
    """The sum over a batch of each prompt's metric, (); its gradient at a prompt's values is
    that prompt's own.
    """
    ids, mask = batch.input_ids, batch.attention_mask
    if len(set(map(id, metrics))) == 1:
        return checked(metrics[0](logits, ids, mask), len(logits)).sum()
    rows = [slice(row, row + 1) for row in range(len(logits))]
    return torch.cat(
        [checked(m(logits[r], ids[r], mask[r]), 1) for m, r in zip(metrics, rows, strict=True)]
    ).sum()


def differentiable(model: InstrumentedModel, places: Sequence[Place]) -> None:
    """Refuse sites that can only be looked at, and models that gradients do not pass.

    Raises:
        BadInput: names the first of them.
        Unfit: see `hooks.quantized_layers.check_gradients`.
    """
    check_gradients(model.module, model.card.name)
    fixed = [place.name for place in places if not places_of.can_change(model.layout, place)]
    if fixed:
        raise BadInput(
            f"There is no gradient at {fixed[0]}: it can only be looked at.",
            "z, or a residual or MLP site",
            "Choose one of those.",
        )

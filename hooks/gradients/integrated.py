"""Attributions along a path, computed by Captum: integrated gradients and layer conductance.

The path goes from another token's embeddings (the end-of-text token's, at every position) to those
of the prompt. Zero is no place to start from: a norm has no direction there. What is attributed
should add up to how much the metric changes along the path, and `SITE.delta` says by how much the
sum misses that: real models are rough, so look at it, and take more steps until it is small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hooks import out_of_memory
from hooks import sites as places_of
from hooks.backends.prompt_matching import PromptMatcher
from hooks.capture import capture
from hooks.finite_check import check_values
from hooks.gradients.activations import differentiable
from hooks.hook_points import hook_sites
from hooks.metrics import checked, loss, per_prompt
from hooks.prompts import listed
from workbench.errors import BadInput
from workbench.torch_modes import ordinary
from workbench.trace import Trace

if TYPE_CHECKING:
    from hooks.backends.hook_request import HookRequest
    from hooks.batch import Batch
    from hooks.metrics import Metric, Metrics
    from hooks.model import InstrumentedModel
    from hooks.sites import Place


@ordinary
def integrated_gradients(
    model: InstrumentedModel,
    prompts: str | Sequence[str],
    metric: Metrics = loss,
    sites: str | Sequence[str] = "embed",
    layers: int | Sequence[int] | None = None,
    *,
    baseline: int | None = None,
    steps: int = 50,
    at_once: int = 16,
) -> Trace:
    """Integrated gradients (Sundararajan et al. 2017) at sites: which activations make the metric
    what it is.

    At a site other than `embed` the path is straight in that site's activations, between its values
    at the two ends, and everything before it stays as the prompt makes it.

    Args:
        metric: one for all prompts, or one each. It must be a smooth function of the embeddings.
        sites, layers: as in `wb.capture`; those whose value can be changed
            (`hooks.sites.can_change`).
        baseline: the token that stands at every position at the path's start; None is the
            end-of-text token.
        steps: points on the path (Gauss-Legendre).
        at_once: points per forward pass, at least 2.

    Returns:
        A Trace with the labels of a capture, in units of the metric, and for each site `SITE.delta`
        (prompt[, layer]): the sum of its attributions minus the metric's change along the path.

    Raises:
        BadInput: a site whose value cannot be differentiated.
    """
    return _along(
        model,
        prompts,
        metric,
        sites,
        layers,
        _integrated,
        "integrated gradients",
        baseline,
        steps,
        at_once,
    )


@ordinary
def layer_conductance(
    model: InstrumentedModel,
    prompts: str | Sequence[str],
    metric: Metrics = loss,
    sites: str | Sequence[str] = "post",
    layers: int | Sequence[int] | None = None,
    *,
    baseline: int | None = None,
    steps: int = 50,
    at_once: int = 16,
) -> Trace:
    """Conductance (Dhamdhere et al. 2018): how much of the embeddings' integrated gradients flows
    through each value.

    Unlike `integrated_gradients` at the same site, the path is straight in the embeddings. A site
    that all of the metric flows through (`resid_pre`, `resid_post`) adds up to the metric's change;
    for the others `SITE.delta` is what goes past them. Arguments, return and errors: see
    `integrated_gradients`; not at `embed`, where they are the same.
    """
    return _along(
        model, prompts, metric, sites, layers, _conductance, "conductance", baseline, steps, at_once
    )


@dataclass(frozen=True)
class _Path:
    """The metric of one prompt as a function of its embeddings, and a probe that stands at a place
    for Captum to hook.

    `start` and `end` are embeddings, (1, pos, d_model).
    """

    model: InstrumentedModel
    metric: Metric
    ids: Int[Tensor, "1 pos"]
    place: Place
    start: Tensor
    end: Tensor
    probe: nn.Module

    def __call__(
        self, embeddings: Float[Tensor, "n pos d_model"], instead: Tensor | None = None
    ) -> Float[Tensor, " n"]:
        """The metric, (n,), of embeddings (n, pos, d_model); with `instead` at the place."""
        n = len(embeddings)
        mask = torch.ones(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
        places = [] if self.place.site.short == "embed" else [self.place]
        # What passes the probe is what goes on, so a place is whatever `watching` can stand at.
        with hook_sites(
            self.model, places, lambda _, x: self.probe(x if instead is None else instead)
        ):
            logits = self.model.forward(
                inputs_embeds=embeddings, attention_mask=mask, use_cache=False
            ).logits
        return checked(self.metric(logits, self.ids.expand(n, -1), mask), n)


def _integrated(path: _Path, **options: Any) -> tuple[Tensor, float]:
    from captum import attr

    if path.place.site.short == "embed":
        values = attr.IntegratedGradients(path).attribute(path.end, path.start, **options)
        return values, float((values.sum() - path(path.end) + path(path.start)).detach())
    values = attr.LayerIntegratedGradients(path, path.probe).attribute(
        path.end, path.start, **options
    )
    seen: list[Tensor] = []
    handle = path.probe.register_forward_hook(lambda module, args, output: seen.append(output))
    try:
        path(path.start)
    finally:
        handle.remove()
    return values, float((values.sum() - path(path.end) + path(path.end, instead=seen[0])).detach())


def _conductance(path: _Path, **options: Any) -> tuple[Tensor, float]:
    from captum import attr

    if path.place.site.short == "embed":
        raise BadInput(
            "Conductance at the embeddings is their integrated gradients.",
            "another site",
            "Use that.",
        )
    values = attr.LayerConductance(path, path.probe).attribute(path.end, path.start, **options)
    return values, float((values.sum() - path(path.end) + path(path.start)).detach())


def _with_less(
    model: InstrumentedModel,
    method: Callable[..., tuple[Tensor, float]],
    path: _Path,
    steps: int,
    at_once: int,
) -> tuple[Tensor, float]:
    """With fewer steps at once where memory runs out."""
    found: list[tuple[Tensor, float]] = []

    def work() -> None:
        with torch.enable_grad():
            found.append(method(path, n_steps=steps, internal_batch_size=at_once))

    while not out_of_memory.fits(model, work):
        if at_once == 1:
            raise out_of_memory.no_room()
        at_once //= 2
    return found[0]


def _along(
    model: InstrumentedModel,
    prompts: str | Sequence[str],
    metric: Metrics,
    sites: str | Sequence[str],
    layers: int | Sequence[int] | None,
    method: Callable[..., tuple[Tensor, float]],
    quantity: str,
    baseline: int | None,
    steps: int,
    at_once: int,
) -> Trace:
    given = listed(model, prompts)
    texts, lengths = [prompt.ids for prompt in given], [len(prompt.ids) for prompt in given]
    places = places_of.resolve(model.layout, sites, layers, model.card.name)
    differentiable(model, places)
    metrics, waiting = per_prompt(metric, lengths), PromptMatcher(model, texts)
    token = baseline if baseline is not None else model.tokenizer.eos_token_id or 0
    deltas: dict[Place, Tensor] = {
        place: torch.zeros(len(texts), dtype=torch.float32) for place in places
    }

    def run(
        model: InstrumentedModel,
        batch: Batch,
        requests: Sequence[HookRequest],
        *,
        every_logit: bool,
    ) -> None:
        with waiting.matched(batch) as rows:
            attribute(batch.input_ids.shape[1], rows, requests)

    def attribute(width: int, rows: Sequence[int], requests: Sequence[HookRequest]) -> None:
        for request, place in [(r, place) for r in requests for place in r.places]:
            found = []
            for row in rows:
                ids = torch.tensor([waiting.ids[row]], device=model.device)
                start, end = (
                    model.layout.embed(i).detach() for i in (torch.full_like(ids, token), ids)
                )
                path = _Path(model, metrics[row], ids, place, start, end, nn.Identity())
                values, deltas[place][row] = _with_less(model, method, path, steps, at_once)
                values = values.detach()
                check_values(model, "the attributions", values)
                found.append(
                    nn.functional.pad(
                        values, (0, 0) * (values.dim() - 2) + (width - values.shape[1], 0)
                    )
                )
            request.take(place, torch.cat(found))

    trace = capture(model, texts, sites, layers, backend=run)
    arrays = {}
    for short in trace:
        places_of_site = [place for place in places if place.site.short == short]
        values = torch.stack([deltas[place] for place in places_of_site], 1).numpy()
        arrays[short] = trace[short].assign_attrs(quantity=quantity)
        like = trace[short].isel(dict.fromkeys(places_of.SITES[short].dims, 0), drop=True)
        name = f"{short}.delta"
        arrays[name] = like.copy(
            data=values if places_of_site[0].site.per_layer else values[:, 0]
        ).rename(name)
        arrays[name].attrs = {
            "quantity": "what the attributions add up to, minus the metric's change"
        }
    return Trace(arrays, trace.tokens, trace.prompts, trace.model)

"""Attribution patching: the effect of every part guessed from one backward pass, and how good the
guess is.

To first order a change of an activation moves the metric by the change times the gradient there
(Nanda 2023; Kramár et al. 2024 on where that fails: saturated attention, the final norm's scale,
large changes, effects that cancel). The guess is only for choosing: the strongest candidates are
done exactly, and so are as many drawn at random, which is what says how far off the guesses are
among those that were not chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from hooks import out_of_memory
from hooks.finite_check import check_values
from hooks.hook_points import hook_sites
from hooks.layer_replay import RecordedSuffix
from hooks.metrics import KL
from hooks.quantized_layers import check_gradients
from hooks.recording import recording
from hooks.sites import Place
from hooks.sweeps.change import check_seed
from hooks.sweeps.runner import SweepJob, edits_of
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.batch import Batch
    from hooks.sweeps.values import BatchValues


@dataclass(frozen=True)
class Attribution:
    """Estimate every effect from one backward pass per target.

    Args:
        recheck: the strongest so many, and as many drawn at random, are then done exactly; 0 is
            none.
        seed: of the draw.

    Raises:
        BadInput: no whole numbers, or a negative one.
    """

    recheck: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.recheck, bool) or not isinstance(self.recheck, int) or self.recheck < 0:
            raise BadInput(
                f"{self.recheck!r} components cannot be done again.",
                "a whole number from 0 on",
                "For example Attribution(recheck=20).",
            )
        check_seed(self.seed)


def estimate(job: SweepJob, method: Attribution) -> SweepJob:
    """The job with estimates as its effects, and `exact` for the components that were done again
    exactly.

    Its notes, per change: over the rechecked components `median_error`, `worst_error` (absolute, in
    the metric's unit), the correlation `r` and `same_sign` (share) of estimates with exact values,
    each over the `random` and over the `top` components.

    Raises:
        BadInput: the metric has no gradient at the unchanged run.
        Unfit: gradients do not pass the model.
    """
    check_gradients(job.model.module, job.model.card.name)
    if isinstance(job.readout.read, KL):
        raise BadInput(
            "The KL divergence is flat at the unchanged run: its gradient says nothing.",
            "another metric",
            "Choose one.",
        )
    if job.readout.norm == "frozen":
        raise BadInput(
            "Attribution patching follows the model's own final norm.",
            "a read with norm='recomputed'",
            "Leave norm out.",
        )
    for done, prompts in enumerate(job.batches(share=0.25)):
        if job.progress is not None:
            job.progress(0.5 * done * len(prompts) / len(job.ids), "Estimating by a backward pass")
        out_of_memory.in_parts(
            job.model,
            prompts,
            lambda part: _one_batch(job, job.model.batch([job.ids[p] for p in part]), part),
        )
    return _rechecked(job, method)


def _one_batch(job: SweepJob, batch: Batch, prompts: Sequence[int]) -> None:
    """Gradients of each target's metric at every place, and their product with the change of
    each component.
    """
    new = job.new_values(batch, prompts)
    points: dict[tuple[str, int], Tensor] = {}

    def keep(place: Place, x: Tensor) -> Tensor:
        assert place.layer is not None
        x = x if x.requires_grad else x.detach().requires_grad_()
        points[place.site.short, place.layer] = x
        return x

    with ExitStack() as stack:
        stack.enter_context(hook_sites(job.model, job.values[0].places, keep))
        record = stack.enter_context(recording(job.model))
        with torch.enable_grad():
            logits = job.model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1).logits[
                :, -1
            ]
            rows = [
                job.readout.of_logits(logits[i : i + 1], p, logits[i : i + 1].detach())[0]
                for i, p in enumerate(prompts)
            ]
            measured = torch.stack(rows)  # (prompt, target)
            gradients = [
                torch.autograd.grad(
                    measured[:, t].sum(),
                    list(points.values()),
                    retain_graph=t + 1 < measured.shape[1],
                )
                for t in range(measured.shape[1])
            ]
    check_values(job.model, "the gradients", *(g for each in gradients for g in each))
    with torch.no_grad():
        detached = {key: x.detach() for key, x in points.items()}
        suffix = RecordedSuffix(record, {}, detached, logits.detach(), 0, batch)
        job.write_unchanged(suffix, new, prompts)
        slopes = {key: torch.stack([g[i] for g in gradients]) for i, key in enumerate(points)}
        for first in range(0, len(job.components), _AT_ONCE):
            _products(
                job,
                list(range(first, min(first + _AT_ONCE, len(job.components)))),
                suffix,
                new,
                slopes,
                prompts,
            )


_AT_ONCE = 64


def _products(
    job: SweepJob,
    components: list[int],
    suffix: RecordedSuffix,
    new: Sequence[BatchValues],
    slopes: dict[tuple[str, int], Tensor],
    prompts: Sequence[int],
) -> None:
    def place(i: int) -> tuple[int, str, int]:
        return job.components[i].layer, job.components[i].site, job.components[i].change

    components.sort(key=place)
    edits = edits_of([job.components[i] for i in components], new, suffix)
    parts = []
    for edit in edits:
        current = suffix.kept[edit.site, edit.layer]
        slope = slopes[edit.site, edit.layer]  # (target, prompt, pos, …)
        if edit.units is None:
            old, slope = current[None], slope[:, None]
        else:
            old, slope = current.movedim(2, 0)[edit.units], slope.movedim(3, 1)[:, edit.units]
        where = edit.where.view(*edit.where.shape, *[1] * (old.dim() - 3))
        change = torch.where(where, edit.values.to(old) - old, 0.0)
        product = (change[None] * slope).flatten(3).sum(-1)  # (target, variant, prompt)
        parts.append(product.expand(-1, edit.count, -1).permute(1, 2, 0))
    job.write(torch.cat(parts).float().cpu(), edits, components, suffix.batch, prompts)


def _rechecked(job: SweepJob, method: Attribution) -> SweepJob:
    """Of each change the strongest components (mean over prompts of the absolute estimate) and as
    many at random, done exactly.
    """
    groups = [_chosen(job, change, method) for change in range(len(job.values))]
    chosen = [i for group in groups for rows in group.values() for i in rows]
    exact = torch.full_like(job.effects, float("nan"))
    if chosen:
        progress = None if job.progress is None else job.progress.subprogress(0.5, 1.0)
        components = [job.components[i] for i in chosen]
        nothing = torch.empty(0, dtype=torch.float32)
        again = replace(
            job,
            components=components,
            progress=progress,
            effects=nothing,
            before=nothing,
            source=None,
        ).run()
        exact[chosen] = again.effects
        job.error, job.moved = again.error, again.moved
    job.exact = exact
    for change, group in enumerate(groups):
        for name, rows in group.items():
            for key, value in _agreement(job.effects[rows], exact[rows]).items():
                of_changes = job.notes.setdefault(f"{name}_{key}", [float("nan")] * len(groups))
                of_changes[change] = value
    return job


def _chosen(job: SweepJob, change: int, method: Attribution) -> dict[str, list[int]]:
    """Which components of a change are done exactly: the `top` ones, and some at `random`."""
    of_change = [i for i, each in enumerate(job.components) if each.change == change]
    strength = job.effects[of_change].abs().nanmean((1, 2)).nan_to_num(-1.0)
    top = strength.topk(min(method.recheck, len(strength))).indices.tolist()
    rest = sorted(set(range(len(strength))) - set(top))
    draw = torch.randperm(len(rest), generator=torch.Generator().manual_seed(method.seed))[
        : method.recheck
    ].tolist()
    return {"top": [of_change[i] for i in top], "random": [of_change[rest[i]] for i in draw]}


def _agreement(guess: Tensor, exact: Tensor) -> dict[str, float]:
    known = ~(guess.isnan() | exact.isnan())
    a, b = guess[known].double(), exact[known].double()
    if len(a) < 2:
        return {}
    return {
        "median_error": float((a - b).abs().median()),
        "worst_error": float((a - b).abs().max()),
        "r": float(torch.corrcoef(torch.stack([a, b]))[0, 1]),
        "same_sign": float((a.sign() == b.sign()).float().mean()),
    }

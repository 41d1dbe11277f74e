"""MEMIT: many facts at once, over several layers (Meng et al. 2023); and AlphaEdit, which writes
only where the keys of ordinary text have nothing (Fang et al. 2025).

For each fact a target z of the residual stream after the last layer is found. Then, layer by layer
from below, with what was changed below in place: K the facts' keys, r = (z − h) / (layers left).

    MEMIT       Δ = r Kᵀ (λC + K Kᵀ)⁻¹            C is a mean, so λ counts tokens of old text
    AlphaEdit   Δᵀ = (P (K Kᵀ + Kₚ Kₚᵀ) + 10 I)⁻¹ P K rᵀ      P: onto the weakest directions of C,
                                                               Kₚ: keys of earlier edits
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hooks.editing.down_projections import (
    EditedMatrix,
    default_layer,
    down_projection,
    read_at_subject,
)
from hooks.editing.edit import EditLog, WeightEdit, factored, fingerprint
from hooks.editing.norms import added_to_stream, norm_note, normed_after, to_be_written
from hooks.editing.prefixes import memit_prefixes
from hooks.editing.replay import Place
from hooks.editing.requests import (
    EditRequest,
    answer_tokens,
    check_requests,
    essence_row,
    row,
    subject_row,
)
from hooks.editing.statistics import KeyStatistics, key_statistics, moment_of
from hooks.editing.values import ValueLog, ValueRows, ValueSettings, find_values
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

LAMBDA = 1_500.0
"""Published are 15,000 (GPT-J) and 20,000 (GPT-2 XL). In SmolLM2-135M five facts so got a fifth of
the change that was wanted of the residual, with 1,500 three quarters, with 100 nearly all.
"""
SETTINGS = ValueSettings(steps=25, clamp=0.75)
"""Of the search for MEMIT's values."""
_LAYERS = 5

Direction = Callable[[EditedMatrix, Tensor], Tensor]
"""For a layer's keys (request, d_mlp), float64, what stands beside the residuals in the change."""


@ordinary
def memit(
    model: InstrumentedModel,
    requests: EditRequest | Sequence[EditRequest],
    layers: Sequence[int] | None = None,
    *,
    statistics: Mapping[int, KeyStatistics] | None = None,
    lambda_: float = LAMBDA,
    settings: ValueSettings = SETTINGS,
    progress: Progress | None = None,
) -> WeightEdit:
    """Change many facts, in the down projections of several layers.

    Args:
        layers: None is five that end a fifth of the way up.
        statistics: of their keys; None reads them first, which takes minutes.
        lambda_: how many tokens of ordinary text the old keys count for; 100 to 100,000 are worth
            trying.
        settings: of the search for the values.

    Returns:
        An edit with one rank per request and layer.

    Raises:
        BadInput, Unfit: as `rome`, a λ below 0, or requests that want other answers for one prompt.
    """
    if not lambda_ >= 0:
        raise BadInput(f"λ is {lambda_}.", "0 or more", "Choose another.")
    given, chosen = check_requests(requests), _layers(model, layers)
    statistics, notes, progress = _statistics(model, chosen, statistics, progress or Progress())

    def direction(matrix: EditedMatrix, keys: Tensor) -> Tensor:
        moment = moments[matrix.layer]
        if lambda_ == 0:
            # The limit: keys are met exactly, along C⁻¹k.
            solved = moment.solve(keys)
            exact: Tensor = torch.linalg.lstsq(keys @ solved.T, solved).solution
            return exact
        system = lambda_ * moment.matrix() + keys.T @ keys
        found: Tensor = torch.linalg.solve(system, keys.T).T
        return found

    matrices = [down_projection(model, layer) for layer in chosen]
    moments = {m.layer: moment_of(statistics, m, model, notes) for m in matrices}
    method = f"MEMIT (λ {lambda_:g})"
    return _over_layers(model, given, matrices, direction, method, settings, notes, progress)


@ordinary
def alphaedit(
    model: InstrumentedModel,
    requests: EditRequest | Sequence[EditRequest],
    layers: Sequence[int] | None = None,
    *,
    statistics: Mapping[int, KeyStatistics] | None = None,
    previous: Sequence[WeightEdit] = (),
    kept: float = 0.8,
    ridge: float = 10.0,
    settings: ValueSettings = SETTINGS,
    progress: Progress | None = None,
) -> WeightEdit:
    """As `memit`, written only into the directions in which ordinary keys have least.

    Args:
        previous: earlier edits, whose keys are to keep their values.
        kept: the share of the d_mlp directions, those of the smallest eigenvalues of C. (The
            published code takes eigenvalues below 0.02, a number that means another share in every
            model.)
        ridge: what is added to the diagonal.

    Raises:
        BadInput, Unfit: as `memit`; a share that is none; earlier edits of other layers.
    """
    if not 0 < kept <= 1 or not ridge > 0:
        raise BadInput(
            f"A share of {kept} with a ridge of {ridge} cannot be solved for.",
            "a share above 0 and up to 1, and a ridge above 0",
            "For example kept=0.8, ridge=10.",
        )
    given, chosen = check_requests(requests), _layers(model, layers)
    for edit in previous:
        if not set(chosen) <= set(edit.keys):
            raise BadInput(
                f"An earlier edit ({edit.method}) changed the layers {list(edit.layers)}.",
                f"edits of {chosen}",
                "Give those that were made in the same layers.",
            )
    statistics, notes, progress = _statistics(model, chosen, statistics, progress or Progress())
    matrices = [down_projection(model, layer) for layer in chosen]
    weak = {m.layer: _weakest(moment_of(statistics, m, model, notes), kept) for m in matrices}

    def direction(matrix: EditedMatrix, keys: Tensor) -> Tensor:
        basis = weak[matrix.layer]
        old = [edit.keys[matrix.layer].cpu().double() for edit in previous]
        every = torch.cat([keys, *old])
        # P = B Bᵀ. What is solved for lies in P's range, so the system is that small:
        # (P M + ρ I)⁻¹ P k = B (Bᵀ M B + ρ I)⁻¹ Bᵀ k.
        inside = every @ basis
        system = inside.T @ inside + ridge * torch.eye(basis.shape[1], dtype=torch.float64)
        found: Tensor = (basis @ torch.linalg.solve(system, (keys @ basis).T)).T
        return found

    method = f"AlphaEdit ({kept:.0%} of the directions)"
    return _over_layers(model, given, matrices, direction, method, settings, notes, progress)


def _layers(model: InstrumentedModel, layers: Sequence[int] | None) -> list[int]:
    if layers is not None:
        chosen = sorted(set(layers))
        if not chosen:
            raise BadInput("No layer is to be changed.", "one layer or more", "Name one.")
        return chosen
    last = default_layer(model)
    return list(range(max(0, last - _LAYERS + 1), last + 1))


def _statistics(
    model: InstrumentedModel,
    layers: Sequence[int],
    given: Mapping[int, KeyStatistics] | None,
    progress: Progress,
) -> tuple[Mapping[int, KeyStatistics], list[str], Progress]:
    """The statistics, notes to begin with, and what is left of the progress."""
    notes = [f"Layers {layers[0]} to {layers[-1]} of {model.n_layers} are changed."]
    notes += norm_note(model, layers[-1])
    if given is not None:
        return given, notes, progress
    found = key_statistics(model, layers, progress=progress.subprogress(0.0, 0.5))
    return found, notes, progress.subprogress(0.5, 1.0)


def _weakest(moment: KeyStatistics, kept: float) -> Tensor:
    """The eigenvectors of C with the smallest eigenvalues, (d_mlp, kept) float64."""
    vectors: Tensor = torch.linalg.eigh(moment.moment.double()).eigenvectors
    return vectors[:, : max(1, round(kept * len(vectors)))]


def _over_layers(
    model: InstrumentedModel,
    requests: Sequence[EditRequest],
    matrices: Sequence[EditedMatrix],
    direction: Direction,
    method: str,
    settings: ValueSettings,
    notes: list[str],
    progress: Progress,
) -> WeightEdit:
    for request in requests:
        answer_tokens(model, request)
    about = fingerprint(model, f"{method}: {' '.join(r.statement for r in requests)}"[:500])
    prefixes = settings.prefixes or memit_prefixes(model, seed=settings.seed)
    settings = replace(settings, prefixes=prefixes)
    targets, logs = _targets(
        model, requests, matrices[-1], settings, progress.subprogress(0.0, 0.8)
    )
    last = matrices[-1].layer
    bare = [subject_row(model, request) for request in requests]
    first = read_at_subject(model, [], bare, stream_after=last).stream
    wanted = (targets - first).norm(dim=-1).clamp(min=1e-12)
    changes: list[tuple[EditedMatrix, Tensor, Tensor]] = []
    keys_of: dict[int, Tensor] = {}
    values_of: dict[int, Tensor] = {}
    with ExitStack() as stack:
        for n, matrix in enumerate(matrices):
            progress(0.8 + 0.2 * n / len(matrices), f"Changing layer {matrix.layer}")
            now = read_at_subject(model, [matrix], bare, stream_after=last)
            keys = _mean_keys(model, requests, matrix, prefixes)
            share = (targets - now.stream) / (len(matrices) - n)
            gain = to_be_written(model, matrix.layer, now.values[matrix.layer], share)
            beside = direction(matrix, keys.cpu().double())
            change = (matrix, gain.cpu().double(), beside)
            keys_of[matrix.layer] = keys
            values_of[matrix.layer] = keys @ matrix.weight().float().T + gain
            changes.append(change)
            stack.enter_context(factored(about, [change]).applied(model.module))
        left = read_at_subject(model, [], bare, stream_after=last).stream
    left_over = ((targets - left).norm(dim=-1) / wanted).tolist()
    return WeightEdit(
        method,
        tuple(requests),
        tuple(m.layer for m in matrices),
        factored(about, changes),
        model.card.weight_hash,
        EditLog(tuple(logs), left_over=tuple(left_over), notes=tuple(notes)),
        keys_of,
        values_of,
    )


def _targets(
    model: InstrumentedModel,
    requests: Sequence[EditRequest],
    matrix: EditedMatrix,
    settings: ValueSettings,
    progress: Progress,
) -> tuple[Tensor, list[ValueLog]]:
    """What the stream after the last layer is to be, (request, d_model). Where a norm follows, the
    vector is looked for before it, where anything can be written.
    """
    layer = matrix.layer
    normed = normed_after(model, layer)
    bare = [subject_row(model, request) for request in requests]
    seen = read_at_subject(model, [matrix], bare, stream_after=layer)
    start = seen.values[layer] if normed else seen.stream
    rows = [
        ValueRows(
            [row(model, request, prefix) for prefix in settings.prefixes or ()],
            essence_row(model, request),
            start[n],
        )
        for n, request in enumerate(requests)
    ]
    place: Place = "mlp" if normed else "stream"
    vectors, logs = find_values(model, rows, layer, place, settings, progress)
    if not normed:
        return seen.stream + vectors, logs
    before, after = (
        added_to_stream(model, layer, written)
        for written in (seen.values[layer], seen.values[layer] + vectors)
    )
    return seen.stream + after - before, logs


def _mean_keys(
    model: InstrumentedModel,
    requests: Sequence[EditRequest],
    matrix: EditedMatrix,
    prefixes: Sequence[str],
) -> Tensor:
    """Each request's key, (request, d_mlp): the bare prompt's weighs as much as all prefixes'
    together.
    """
    rows = [subject_row(model, request, prefix) for request in requests for prefix in prefixes]
    keys = read_at_subject(model, [matrix], rows).keys[matrix.layer]
    keys = keys.view(len(requests), len(prefixes), -1)
    at = list(prefixes).index("")
    others = [n for n in range(len(prefixes)) if n != at]
    bare = keys[:, at]
    return bare if not others else (bare + keys[:, others].mean(1)) / 2

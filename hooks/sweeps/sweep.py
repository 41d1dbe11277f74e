"""The public door: `sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from hooks.eager_eval import steady
from hooks.metrics import Continuation, Metric, OfNextToken, Read, ReadName, as_read
from hooks.prompts import Prompts, ids_of
from hooks.sites import SITES, Place
from hooks.sweeps.arguments import (
    Targets,
    WhichPositions,
    check_positions,
    target_ids,
)
from hooks.sweeps.attribution import Attribution, estimate
from hooks.sweeps.change import Change, ChangeName, Mean, Patch, Resample, as_changes
from hooks.sweeps.over import Edges, Over, OverName, States, as_over
from hooks.sweeps.paths import PathJob
from hooks.sweeps.readout import Readout
from hooks.sweeps.runner import SweepJob
from hooks.sweeps.states import StateJob, StateSource
from hooks.sweeps.to_dataset import dataset
from hooks.sweeps.values import Values
from workbench.errors import BadInput, NotFound
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import xarray as xr

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

Method = Literal["exact", "attribution"]


@ordinary
def sweep(
    model: InstrumentedModel,
    prompts: Prompts,
    targets: Targets | None = None,
    *,
    over: Over | OverName = "heads",
    change: Change | ChangeName | Sequence[Change | ChangeName] = "zero",
    read: Read | ReadName | Metric | OfNextToken = "logit",
    positions: WhichPositions | int | None = None,
    method: Attribution | Method = "exact",
    progress: Progress | None = None,
) -> xr.Dataset:
    """The effect of changing each component of the model alone, on what it says after each prompt.

        wb.sweep(model, "The capital of France is", [" Paris", " Rome"], read="logit_diff")
        wb.sweep(model, corrupted, answers, over="positions", change=wb.Patch(clean))
        wb.sweep(model, prefix, suffix, positions="all", read="continuation")
        wb.sweep(model, corrupted, answers, change=["zero", wb.Mean(clean)])

    The second is causal tracing; the third asks what it takes to recite a passage; the fourth
    shares what two changes have in common.

    Exact: every number is what one hooked forward pass per component would give (float32: within
    1e-3 logits), and a control that is never changed must arrive at the model's own logits. What is
    not computed again: docs/methods/exact-sweeps.md.

    Args:
        prompts: texts or token ids, of any lengths.
        targets: per prompt one token or several (as many for each), as ids or as the text a
            continuation begins with. Not needed for `KL` and functions. A text is its first token,
            but all of it with `Continuation`.
        over: which components: `Heads`, `Layers`, `Neurons`, `Positions`, `Edges`, `States`, or
            their short names ("heads", …) for all of them.
        change: what they are set to: `Zero`, `Mean`, `Resample`, `Patch`, `Noise`, or "zero",
            "noise". Of several each is done alone; the dim `change` says which, by name, and by
            name and number ("patch 0", "patch 1") where there are several of a kind. They take the
            time of one sweep each, less the reading of the prompts.
        read: what is read off: `Logit`, `LogProb`, `Prob` of each target, `LogitDiff`, `KL`, or
            `Continuation`, or their short names ("logit", "logprob", "prob", "logit_diff", "kl",
            "continuation"); or a function, see `hooks.metrics`. With `Continuation` positions are
            those of prompt and continuation together, and a source is followed by the same
            continuation.
        positions: those that are changed, together: "last", "all", or a list (0 is a prompt's first
            token, -1 its last). With `Positions`: those that are changed one by one. None is "all"
            for those, else "last".
        method: "exact", or an estimate: `Attribution` (patching, Nanda 2023), "attribution". Its
            strongest components and some drawn at random are then done exactly, and the error is in
            the attributes.
        progress: reports, and cancels.

    Returns:
        A Dataset. `effect` is what is read after the change minus before, float32, with dims
        (prompt, change if several were asked for, then of `over`: layer head | site layer | layer
        neuron | site layer pos | receiver input layer head, then target where the read has one per
        target); NaN where there is no such component, as at positions that a shorter prompt does
        not have. `before` is what the unchanged run gives, `source` what the source run gives (NaN
        for changes without one). `token` holds each prompt's token strings. With `Attribution`,
        `effect` is the estimate and `exact` the rechecked values, NaN elsewhere. `attrs`: unit,
        control_error (logits), control_moved (the same in the read's unit), control (a sentence
        about both), and what was swept.

    Raises:
        BadInput, NotFound: an argument that cannot be; says what can.
        SiteNotFound: a component this model does not have.
        Unfit: `Attribution` of a model that gradients do not pass.
        WorkbenchError: the control did not come out as the model itself.
    """
    over, changes, read = as_over(over), as_changes(change), as_read(read)
    attribution = _as_method(method)
    positions = check_positions(over.positions if positions is None else positions)
    ids = ids_of(model, prompts)
    watched = target_ids(model, targets, prompts, len(ids), read)
    read.check_targets(len(watched[0]))
    if isinstance(read, Continuation):  # the last token predicts nothing that is read
        ids = [[*prompt, *row[:-1]] for prompt, row in zip(ids, watched, strict=True)]
    readout = Readout(read, watched, ids)
    _check_fit(over, readout, attribution)
    with steady(model.module):
        parts = over.components(model, ids, positions)
        components = [replace(each, change=i) for i in range(len(changes)) for each in parts]
        continuations = watched if isinstance(read, Continuation) else [[]] * len(ids)
        if isinstance(over, States):
            sources = [_state_source(model, each, positions, len(ids)) for each in changes]
            states = StateJob(
                *(model, ids, components, positions, [], readout, "nothing", progress),
                sources=sources,
            )
            return dataset(states.run(), over, one_change=isinstance(change, str | Change))
        places = list(dict.fromkeys(Place(SITES[each.site], each.layer) for each in parts))
        values = [_values(model, places, each, positions, continuations) for each in changes]
        freeze = over.freeze if isinstance(over, Edges) else "nothing"
        receivers = over.receiving(model) if isinstance(over, Edges) else []
        given = (model, ids, components, positions, values, readout, freeze, progress)
        job = PathJob(*given, receivers=receivers) if receivers else SweepJob(*given)
        swept = job.run() if attribution is None else estimate(job, attribution)
        return dataset(swept, over, one_change=isinstance(change, str | Change))


def _as_method(given: Attribution | Method) -> Attribution | None:
    """The way to estimate, or None for exact effects. Raises NotFound for an unknown one."""
    if isinstance(given, Attribution):
        return given
    if given not in ("exact", "attribution"):
        raise NotFound.named("method", str(given), ["exact", "attribution"])
    return Attribution() if given == "attribution" else None


def _check_fit(over: Over, readout: Readout, attribution: Attribution | None) -> None:
    """Raises BadInput for what does not go together."""
    if attribution is not None and isinstance(over, Edges | States):
        raise BadInput(
            "Attribution patching estimates effects of activations, not edges or states.",
            "another kind of component",
            "Sweep those exactly.",
        )
    if readout.reads_prompt_end:
        return
    if isinstance(over, Edges) or readout.norm == "frozen" or attribution is not None:
        raise BadInput(
            f"{readout.read.name!r} is read at every token, which sweeps of edges, a frozen norm"
            " and attribution do not.",
            "components that are no edges, norm='recomputed', method='exact'",
            "Leave those out, or choose another read.",
        )


def _values(
    model: InstrumentedModel,
    places: Sequence[Place],
    change: Change,
    positions: WhichPositions,
    continuations: Sequence[Sequence[int]],
) -> Values:
    """What a change sets components to; each source is followed by its prompt's continuation.

    Raises:
        BadInput: as many sources as do not fit.
    """
    if isinstance(change, Mean | Resample):
        return Values(model, change, places, ids_of(model, change.reference))
    if not isinstance(change, Patch):
        return Values(model, change, places)
    count = len(continuations)
    sources = _sources(model, change, count)
    if any(continuations):
        each = sources * count if len(sources) == 1 else sources
        sources = [[*ids, *row[:-1]] for ids, row in zip(each, continuations, strict=True)]
    if _from_end(positions):
        change = replace(change, align="end")
    return Values(model, change, places, sources)


def _from_end(positions: WhichPositions) -> bool:
    return positions == "last" or (not isinstance(positions, str) and all(p < 0 for p in positions))


def _sources(model: InstrumentedModel, change: Patch, count: int) -> list[list[int]]:
    """The prompts that values are taken from. Raises BadInput for as many as do not fit."""
    sources = ids_of(model, change.source)
    if len(sources) not in (1, count):
        raise BadInput(
            f"There are {len(sources)} sources for {count} prompts.",
            f"1 or {count}",
            "Give one each.",
        )
    return sources


def _state_source(
    model: InstrumentedModel, change: Change, positions: WhichPositions, count: int
) -> StateSource:
    """What a change sets states to. Raises BadInput for a change that a state cannot take."""
    if not isinstance(change, Patch):
        return StateSource(change)
    if _from_end(positions):
        change = replace(change, align="end")
    return StateSource(change, _sources(model, change, count))

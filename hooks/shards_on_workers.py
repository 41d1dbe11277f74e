"""Shards of a trace written by several processes: what each is given, and what it does with it.

The shards and the batches in them are fixed before the first is begun, and every worker computes
with one thread: so the files are the same bytes for any number of workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hooks import capture_plan, capture_shapes
from hooks.backends import active_interventions, torch_hooks
from hooks.capture_plan import SitePlan
from hooks.prompts import Tokenized
from hooks.reduce import Project, parse
from hooks.shard_spool import PromptSpool, SpooledShard, other_prompts
from hooks.shard_write import ShardContents, write_shard
from hooks.sites import resolve
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.grid.drive import WorkPiece
from workbench.grid.engine import WorkerTask
from workbench.progress import Progress
from workbench.trace_files.destination import OpenTrace
from workbench.trace_files.shard import Shard, shard_name

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from hooks.reduce import Reducer
    from workbench.grid.workers import Workers


def check(model: InstrumentedModel, contents: ShardContents, workers: Workers) -> None:
    """Refuse what would be captured otherwise than in this process.

    Raises:
        BadInput: another back end, an intervention that is on, a reducer of one's own, or workers
            that cannot be had.
    """
    workers.check()
    if contents.forward is not torch_hooks.run:
        raise BadInput(
            "Workers capture with the back end 'torch'.",
            "backend='torch'",
            "Leave out the back end, or the workers.",
        )
    if active_interventions.any_active(model):
        raise BadInput(
            "Something is switched on or hooked in this model, and workers load their own.",
            "no active intervention",
            "Capture outside of it, or without workers.",
        )
    for plan in contents.plans:
        _reducer_given(plan.reducer)


def run(
    contents: ShardContents,
    dtype: str,
    trace: OpenTrace,
    spool: PromptSpool,
    finished: Mapping[int, Shard],
    workers: Workers,
    progress: Progress | None,
) -> None:
    """Have every shard written that is not finished yet.

    Args:
        trace: where they go.
        finished: shards by their first prompt.

    Raises:
        Cancelled: the user stopped; finished shards stay.
        WorkbenchError: the finished shards hold other prompts, a shard could not be written, or no
            worker can be had.
    """
    digests = {first: (len(shard), shard.digest) for first, shard in finished.items()}
    planned = {shard.first: (shard.prompts, shard.digest) for shard in spool.shards}
    if digests.items() - planned.items():
        raise other_prompts(trace.place.name)
    given = {
        "sites": [_site_given(plan) for plan in contents.plans],
        "dtype": dtype,
        "batch_tokens": contents.batch_tokens,
        "capture": contents.capture,
    }
    pieces = [
        WorkPiece(
            str(shard.first),
            workers.model,
            f"Prompts {shard.first + 1:,} to {shard.first + shard.prompts:,}",
            partial(_task, given, shard, spool, trace.folder, workers),
            float(shard.tokens),
        )
        for shard in spool.shards
        if shard.first not in finished
    ]
    if pieces:
        with workers.hired(len(pieces), "shard") as driver:
            driver.run(pieces, progress or Progress(), partial(_ended, trace))
    trace.close()


def _ended(trace: OpenTrace, piece: WorkPiece, error: WorkbenchError | None) -> None:
    """One shard that cannot be written is the end: a trace has no holes."""
    if error is not None:
        raise WorkbenchError(f"{piece.says}: {error.what}", error.expected, error.do)
    trace.add(trace.folder / shard_name(int(piece.key)))


def _task(
    given: Mapping[str, Any],
    shard: SpooledShard,
    spool: PromptSpool,
    folder: Path,
    workers: Workers,
) -> WorkerTask:
    return workers.task(
        f"{__name__}:write",
        {**given, "first": shard.first, "prompts": spool.read(shard)},
        folder / shard_name(shard.first),
    )


def write(model: InstrumentedModel, given: Any, target: Path, progress: Progress) -> None:
    """What a worker does: write one shard.

    Raises:
        WorkbenchError: its model has other weights than the one that was asked for.
    """
    plans = [_plan(model, site) for site in given["sites"]]
    capture, _ = capture_plan.fingerprint(model, plans, given["dtype"])
    if capture != given["capture"]:
        raise WorkbenchError(
            f"The worker's {model.card.name} has other weights than the one that was planned with.",
            "the same model on every machine",
            "Fetch it anew where it differs.",
        )
    arrays = capture_shapes.arrays(model, plans, given["dtype"])
    contents = ShardContents(plans, arrays, capture, given["batch_tokens"])
    window = [Tokenized(text, ids) for text, ids in given["prompts"]]
    whole = sum(len(prompt.ids) for prompt in window)

    def report(prompts: int, tokens: int) -> None:
        progress(tokens / whole, f"prompt {given['first'] + prompts + 1:,}")

    write_shard(model, contents, target.parent, given["first"], window, report)


def _site_given(plan: SitePlan) -> dict[str, Any]:
    return {
        "places": [place.name for place in plan.places],
        "positions": plan.positions,
        "reducer": _reducer_given(plan.reducer),
    }


def _reducer_given(reducer: Reducer | None) -> Any:
    """A reducer as JSON: its spec, or the directions that it projects on.

    Raises:
        BadInput: it is somebody's own, and only this process has it.
    """
    if reducer is None:
        return None
    if isinstance(reducer, Project):
        return {"directions": reducer.directions.float().tolist()}
    try:
        if type(parse(reducer.spec)) is type(reducer):
            return reducer.spec
    except (NotFound, BadInput):
        pass
    raise BadInput(
        f"The reducer {reducer.spec!r} cannot be sent to workers.",
        "a reducer of hooks.reduce",
        "Use one of those, or capture without workers.",
    )


def _plan(model: InstrumentedModel, given: Mapping[str, Any]) -> SitePlan:
    """A site's plan on the worker's own model."""
    places = tuple(resolve(model.layout, given["places"], None, model.card.name))
    positions = None if given["positions"] is None else tuple(given["positions"])
    return SitePlan(places[0].site, places, positions, _reducer(given["reducer"]))


def _reducer(given: Any) -> Reducer | None:
    if isinstance(given, Mapping):
        import torch

        return Project(torch.tensor(given["directions"]))
    return None if given is None else parse(given)

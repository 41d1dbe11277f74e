"""A capture that goes to a folder or an address while it runs: shard by shard, and after a kill
from the last finished shard on.

What a finished shard holds is checked against the prompts when the same capture is asked for again,
and not run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hooks import capture_plan, capture_shapes, shards_on_workers
from hooks.backends import Forward, torch_hooks
from hooks.prompts import PromptHash, PromptQueue, Prompts, Tokenized, read
from hooks.shard_job import ShardJob, windows_of
from hooks.shard_spool import PromptSpool, other_prompts
from hooks.shard_write import ShardContents
from workbench.disk_space import AGREED, size
from workbench.errors import WorkbenchError
from workbench.trace import Trace
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.destination import Destination, OpenTrace, destination
from workbench.trace_files.manifest import Manifest, ShardPlan

if TYPE_CHECKING:
    from hooks.capture_plan import SitePlan
    from hooks.model import InstrumentedModel
    from workbench.grid.workers import Workers
    from workbench.progress import Progress

Confirm = bool | Callable[[int], bool]


@dataclass(frozen=True)
class SizeEstimate:
    """What prompts come to: how many, their tokens, the bytes on disk, a fingerprint, and how many
    of them each shard has.
    """

    prompts: int
    tokens: int
    nbytes: int
    digest: str
    shards: tuple[int, ...] = ()

    @property
    def total(self) -> dict[str, Any]:
        return {"prompts": self.prompts, "tokens": self.tokens, "digest": self.digest}


def measure(
    arrays: Mapping[str, ArraySpec],
    prompts: Any,
    shards: Sequence[int] | None = None,
    visit: Callable[[list[Tokenized]], None] = lambda window: None,
) -> SizeEstimate:
    """Read all prompts and add up what their shards will hold; one shard's prompts are in memory
    at a time.

    Args:
        shards: prompts of each shard, where that is known already.
        visit: gets the prompts of each.
    """
    digest, parted = PromptHash(), []
    n = tokens = 0
    nbytes = 1500 + 500 * len(arrays)  # about what the manifest needs
    for window in windows_of(PromptQueue(prompts), arrays, shards):
        visit(window)
        parted.append(len(window))
        n += len(window)
        distinct = len({i for prompt in window for i in prompt.ids})
        nbytes += 300 + 110 * len(arrays) + 11 * distinct
        for prompt in window:
            digest.add(prompt)
            length = len(prompt.ids)
            tokens += length
            nbytes += (
                sum(array.nbytes(length) for array in arrays.values())
                + 4 * length
                + len(json.dumps(prompt.text))
                + 10
            )
    return SizeEstimate(n, tokens, nbytes, str(digest), tuple(parted))


def stream(
    model: InstrumentedModel,
    plans: Sequence[SitePlan],
    prompts: Prompts,
    dtype: str,
    batch_tokens: int,
    out: str | Path,
    confirm: Confirm,
    progress: Progress | None,
    forward: Forward = torch_hooks.run,
    workers: Workers | None = None,
) -> Trace:
    """`capture` with `out`; see there."""
    arrays = capture_shapes.arrays(model, plans, dtype)
    manifest = _manifest(model, plans, arrays, dtype, batch_tokens)
    place = destination(out)
    before = _before(place, manifest)
    plan = manifest.plan if before is None or before.plan is None else before.plan
    assert plan is not None
    contents = ShardContents(plans, arrays, manifest.capture, plan.batch_tokens, forward)
    positions = sorted({p for site in plans for p in site.positions or ()})
    given = read(model, prompts, positions)
    with ExitStack() as stack:
        estimate, spool = None, None
        if workers is not None:
            shards_on_workers.check(model, contents, workers)
            spool = stack.enter_context(PromptSpool())
            estimate = measure(arrays, given, plan.shards, spool.add)
        elif isinstance(prompts, str) or iter(prompts) is not prompts:
            estimate = measure(arrays, given, plan.shards)
            given = read(model, prompts, positions)
        # else an iterator, which can be read only once: how much it holds is known when it ends.
        manifest = replace(
            manifest,
            total=_total(before, estimate, place),
            plan=plan if estimate is None else replace(plan, shards=estimate.shards),
        )
        budget = _Budget(place, confirm)
        if estimate is not None:
            budget.ask_all(estimate.nbytes - (0 if before is None else place.written()))
        work = stack.enter_context(place.owned())
        # Workers finish shards in any order: until the last is there, nothing says that it is
        # whole, and a gap is no damage.
        gaps = workers is not None or (before is not None and before.may_have_gaps)
        first = replace(manifest, total=None) if gaps else manifest
        if before is None or (before.total, before.plan) != (first.total, first.plan):
            place.write_manifest(first)
        finished = place.finished(manifest)
        trace = OpenTrace(place, work, manifest)
        if workers is not None and spool is not None:
            shards_on_workers.run(contents, dtype, trace, spool, finished, workers, progress)
        else:
            ask = budget.ask_more if estimate is None else None
            job = ShardJob(model, contents, trace, ask, progress)
            job.run(PromptQueue(given), finished)
        if gaps and estimate is not None:
            place.write_manifest(manifest)
    return Trace.open(out)


def _manifest(
    model: InstrumentedModel,
    plans: Sequence[SitePlan],
    arrays: Mapping[str, ArraySpec],
    dtype: str,
    batch_tokens: int,
) -> Manifest:
    capture, request = capture_plan.fingerprint(model, plans, dtype)
    plan = ShardPlan(batch_tokens)
    return Manifest(capture, asdict(model.card), request, dict(arrays), None, plan)


def _total(
    before: Manifest | None, estimate: SizeEstimate | None, out: Destination
) -> dict[str, Any] | None:
    """What all prompts come to, from the manifest that is there or from the prompts; None where it
    shows only as they are read.

    Raises:
        WorkbenchError: the two differ.
    """
    known = None if before is None else before.total
    if estimate is None:
        return known
    planned = None if before is None or before.plan is None else before.plan.shards
    if known not in (None, estimate.total) or planned not in (None, estimate.shards):
        raise other_prompts(out.name)
    return estimate.total


def _before(out: Destination, manifest: Manifest) -> Manifest | None:
    """The manifest of the unfinished trace that is to be continued.

    None where there is nothing yet.

    Raises:
        WorkbenchError: something else is there.
    """
    before = out.manifest()
    if before is not None and (
        before.capture != manifest.capture or before.arrays != manifest.arrays
    ):
        raise WorkbenchError(
            f"{out.name} holds another capture: {_difference(before, manifest)}.",
            "the same request, or a new folder",
            "Choose another folder, or ask for the same to continue.",
        )
    return before


def _difference(before: Manifest, manifest: Manifest) -> str:
    """What an earlier capture was asked for otherwise."""
    then, now = (
        {"model weights": m.model.get("weight_hash"), **_flat(m.request)}
        for m in (before, manifest)
    )
    differ = next((key for key in {**then, **now} if then.get(key) != now.get(key)), None)
    if differ is None:
        return "its arrays have other shapes"
    return f"{differ} was {then.get(differ)!r} there and is {now.get(differ)!r} now"


def _flat(request: Any, name: str = "") -> dict[str, Any]:
    """A request as one level of names, to say what differs."""
    if not isinstance(request, dict):
        return {name: request}
    inner = {
        key: value
        for part, about in request.items()
        for key, value in _flat(about, f"{name} {part}".strip()).items()
    }
    return {f"{name} asked for".strip(): list(request), **inner}


class _Budget:
    """Asks once before more than `AGREED` is written."""

    def __init__(self, out: Destination, confirm: Confirm) -> None:
        self._out, self._confirm, self._written = out, confirm, 0

    def ask_all(self, nbytes: int) -> None:
        """Raises WorkbenchError if so many bytes are not agreed to, or do not fit on the disk."""
        self._ask(nbytes)
        self._out.check_room(nbytes)

    def ask_more(self, nbytes: int) -> None:
        """As `ask_all`, for what is written bit by bit."""
        self._written += nbytes
        self._ask(self._written)
        self._out.check_room(nbytes)

    def _ask(self, nbytes: int) -> None:
        if nbytes <= AGREED or self._confirm is True:
            return
        if self._confirm is False or not self._confirm(nbytes):
            raise WorkbenchError(
                f"{size(nbytes)} would be written to {self._out.name}, and nobody has agreed to"
                " that.",
                f"less than {size(AGREED)}, or agreement",
                "Reduce it, or agree (`confirm=True`; on the command line --yes).",
            )
        self._confirm = True

"""A capture that goes to a folder while it runs: shard by shard, and after a kill from the last
finished shard on.

The hooks write straight into the file of the shard; in memory there is never more than one batch.
What a finished shard holds is checked against the prompts when the same capture is asked for again,
and not run again.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from hooks import capture_plan as recipes_of
from hooks.backends import Forward, torch_hooks
from hooks.prompts import PromptHash, PromptQueue, Prompts, Tokenized, read, token_strings
from workbench.disk_space import AGREED, check_disk, size
from workbench.errors import BadRun, WorkbenchError
from workbench.trace import Trace
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.manifest import FORMAT, MANIFEST, UNFINISHED, Manifest, read_manifest
from workbench.trace_files.shard import CorruptShard, Shard, ShardPrompts, ShardWriter, shard_files

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.capture_plan import SitePlan
    from hooks.model import InstrumentedModel
    from hooks.reduce import BatchLayout
    from workbench.progress import Progress

SHARD_BYTES = 32 * 2**20
SHARD_TOKENS = 16_384  # where little is kept of each token, a kill costs no more than this
_LOCK = ".lock"

Agree = bool | Callable[[int], bool]


@dataclass(frozen=True)
class SizeEstimate:
    """What prompts come to: how many, their tokens, the bytes on disk, and a fingerprint."""

    prompts: int
    tokens: int
    nbytes: int
    digest: str

    @property
    def total(self) -> dict[str, Any]:
        return {"prompts": self.prompts, "tokens": self.tokens, "digest": self.digest}


def measure(arrays: Mapping[str, ArraySpec], prompts: Any) -> SizeEstimate:
    """Read all prompts and add up what their shards will hold; one shard's prompts are in memory
    at a time.
    """
    feed, digest = PromptQueue(prompts), PromptHash()
    n = tokens = 0
    nbytes = 1500 + 500 * len(arrays)  # about what the manifest needs
    while window := _window(feed, arrays, None):
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
    return SizeEstimate(n, tokens, nbytes, str(digest))


def _window(
    feed: PromptQueue, arrays: Mapping[str, ArraySpec], most: int | None
) -> list[Tokenized]:
    """The prompts of the next shard: at least one, unless there is none; at most `most`."""
    window: list[Tokenized] = []
    nbytes = tokens = 0
    for prompt in feed:
        nbytes += sum(array.nbytes(len(prompt.ids)) for array in arrays.values())
        tokens += len(prompt.ids)
        if window and (nbytes > SHARD_BYTES or tokens > SHARD_TOKENS):
            feed.back(prompt)
            break
        window.append(prompt)
        if len(window) == most:
            break
    return window


def stream(
    model: InstrumentedModel,
    wanted: Sequence[SitePlan],
    prompts: Prompts,
    dtype: str,
    batch_tokens: int,
    folder: Path,
    agree: Agree,
    progress: Progress | None,
    forward: Forward = torch_hooks.run,
) -> Trace:
    """`capture` with `out`; see there."""
    arrays = recipes_of.arrays(model, wanted, dtype)
    request = {"sites": {recipe.site.short: recipe.request() for recipe in wanted}, "dtype": dtype}
    identity = json.dumps([request, model.card.weight_hash], sort_keys=True)
    manifest = Manifest(
        hashlib.sha256(identity.encode()).hexdigest()[:32],
        asdict(model.card),
        request,
        arrays,
        None,
    )
    before = _before(folder, manifest)
    positions = sorted({p for recipe in wanted for p in recipe.positions or ()})
    # An iterator can be read only once: how much it holds is known when it ends.
    known = (
        None
        if not isinstance(prompts, str) and iter(prompts) is prompts
        else measure(arrays, read(model, prompts, positions))
    )
    if before is not None and before.total is not None:
        if known is not None and known.total != before.total:
            raise _other_prompts(folder)
        manifest = replace(manifest, total=before.total)
    elif known is not None:
        manifest = replace(manifest, total=known.total)
    there = sum(file.stat().st_size for file in shard_files(folder)) if before is not None else 0
    budget = _Budget(folder, agree)
    if known is not None:
        budget.ask(known.nbytes - there)
        check_disk(folder, known.nbytes - there)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / _LOCK
        if lock.is_symlink():
            raise BadRun(f"{lock} leads elsewhere.", "a plain file", "Do not trust this folder.")
        with FileLock(lock, timeout=0):
            for leftover in folder.glob(UNFINISHED + "*"):
                leftover.unlink()
            if before is None or before.total != manifest.total:
                manifest.write(folder)
            finished = _finished(folder, manifest)
            job = _Job(
                model,
                wanted,
                manifest,
                folder,
                batch_tokens,
                budget if known is None else None,
                progress,
                forward,
            )
            job.run(PromptQueue(read(model, prompts, positions)), finished)
            lock.unlink(missing_ok=True)
    except Timeout as error:
        raise WorkbenchError(
            f"Another capture is writing to {folder}.",
            "one at a time",
            "Wait for it, or choose another folder.",
        ) from error
    except OSError as error:
        why = (
            "The disk is full"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}
            else error.strerror or str(error)
        )
        raise WorkbenchError(
            f"The trace could not be written to {folder}: {why}.",
            "a folder with free space that you may write to",
            "Put that right and capture the same again: it continues after the last finished"
            " shard.",
        ) from error
    return Trace.open(folder)


def _before(folder: Path, manifest: Manifest) -> Manifest | None:
    """The manifest of the unfinished trace that is to be continued.

    None where there is nothing yet.

    Raises:
        WorkbenchError: the folder holds something else.
    """
    if not (folder / MANIFEST).is_file():
        taken = folder.exists() and (
            not folder.is_dir()
            or any(f.name != _LOCK and not f.name.startswith(UNFINISHED) for f in folder.iterdir())
        )
        if taken:
            raise WorkbenchError(
                f"{folder} exists already.",
                "a new folder",
                "Choose another name, or remove it first.",
            )
        return None
    raw = read_manifest(folder)
    if raw["format"] != FORMAT:
        raise WorkbenchError(
            f"{folder} exists already.", "a new folder", "Choose another name, or remove it first."
        )
    before = Manifest.of(raw, folder)
    if before.capture == manifest.capture and before.arrays == manifest.arrays:
        return before
    then, now = (
        {"model weights": m.model.get("weight_hash"), **_flat(m.request)}
        for m in (before, manifest)
    )
    differ = next((key for key in {**then, **now} if then.get(key) != now.get(key)), None)
    why = "its arrays have other shapes"
    if differ is not None:
        why = f"{differ} was {then.get(differ)!r} there and is {now.get(differ)!r} now"
    raise WorkbenchError(
        f"{folder} holds another capture: {why}.",
        "the same request, or a new folder",
        "Choose another folder, or ask for the same to continue.",
    )


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


def _other_prompts(folder: Path) -> WorkbenchError:
    return WorkbenchError(
        f"{folder} holds a capture of other prompts.",
        "the same prompts in the same order",
        "Choose another folder.",
    )


def _finished(folder: Path, manifest: Manifest) -> dict[int, Shard]:
    """Finished shards by their first prompt. A damaged one is removed, to be written anew."""
    found: dict[int, Shard] = {}
    for file in shard_files(folder):
        try:
            shard = Shard(file, manifest.arrays, manifest.capture)
            shard.tokens()
        except CorruptShard:
            file.unlink()
            continue
        found[shard.first] = shard
    return found


class _Budget:
    """Asks once before more than `AGREED` is written."""

    def __init__(self, folder: Path, agree: Agree) -> None:
        self._folder, self._agree, self._written = folder, agree, 0

    def ask(self, nbytes: int) -> None:
        """Raises WorkbenchError if so many bytes are not agreed to."""
        if nbytes <= AGREED or self._agree is True:
            return
        if self._agree is False or not self._agree(nbytes):
            raise WorkbenchError(
                f"{size(nbytes)} would be written to {self._folder}, and nobody has agreed to"
                " that.",
                f"less than {size(AGREED)}, or agreement",
                "Reduce it, or agree (`agree=True`; on the command line --yes).",
            )
        self._agree = True

    def more(self, nbytes: int) -> None:
        """As `ask`, for what is written bit by bit."""
        self._written += nbytes
        self.ask(self._written)
        check_disk(self._folder, nbytes)


class _Job:
    """One run over the prompts."""

    def __init__(
        self,
        model: InstrumentedModel,
        wanted: Sequence[SitePlan],
        manifest: Manifest,
        folder: Path,
        batch_tokens: int,
        budget: _Budget | None,
        progress: Progress | None,
        forward: Forward,
    ) -> None:
        self._model, self._wanted, self._manifest, self._folder = model, wanted, manifest, folder
        self._batch_tokens, self._budget, self._progress = batch_tokens, budget, progress
        self._forward = forward
        self._index = self._tokens = self._done = self._skipped = 0

    def run(self, feed: PromptQueue, finished: dict[int, Shard]) -> None:
        digest = PromptHash()
        self._skipped = sum(sum(shard.lengths) for shard in finished.values())
        while True:
            shard = finished.pop(self._index, None)
            if shard is not None:
                window = feed.take(len(shard))
                if str(PromptHash(window)) != shard.digest:
                    raise _other_prompts(self._folder)
            else:
                window = _window(
                    feed, self._manifest.arrays, min(finished) - self._index if finished else None
                )
                if not window:
                    break
                self._write(window)
            for prompt in window:
                digest.add(prompt)
                self._tokens += len(prompt.ids)
            self._index += len(window)
        total = {"prompts": self._index, "tokens": self._tokens, "digest": str(digest)}
        if finished or self._manifest.total not in (None, total):
            raise _other_prompts(self._folder)
        if self._manifest.total is None:
            replace(self._manifest, total=total).write(self._folder)

    def _write(self, window: list[Tokenized]) -> None:
        """Run and write one shard."""
        arrays = self._manifest.arrays
        if self._budget is not None:
            self._budget.more(
                sum(array.nbytes(len(prompt.ids)) for prompt in window for array in arrays.values())
            )
        batches = recipes_of.batches(
            self._model, [len(prompt.ids) for prompt in window], self._batch_tokens
        )
        order = [i for batch in batches for i in batch]
        held = [window[i] for i in order]
        prompts = ShardPrompts(
            [self._index + i for i in order],
            [prompt.text for prompt in held],
            token_strings(self._model, held),
            str(PromptHash(window)),
        )
        writer = ShardWriter(self._folder, arrays, prompts, self._manifest.capture)
        try:
            first = 0
            for batch in batches:
                self._report(first)
                ids = [window[i].ids for i in batch]
                recipes_of.run(
                    self._model, self._wanted, ids, self._into(writer, first), self._forward
                )
                first += len(batch)
                self._done += sum(map(len, ids))
            writer.finish()
        finally:
            writer.drop()

    def _report(self, first: int) -> None:
        if self._progress is None:
            return
        total = self._manifest.total
        # The share of what was left to do when this run began: so the time left is right after a
        # continuation, too.
        share = self._done / max(total["tokens"] - self._skipped, 1) if total else 0.0
        of = f" of {total['prompts']:,}" if total else ""
        self._progress(share, f"Capturing prompt {self._index + first + 1:,}{of}")

    def _into(self, writer: ShardWriter, first: int) -> recipes_of.Put:
        arrays = self._manifest.arrays

        def put(
            recipe: SitePlan,
            at: int,
            sizes: dict[str, int],
            outputs: list[Tensor],
            rows: BatchLayout,
        ) -> None:
            names = [name for name in arrays if name.partition(".")[0] == recipe.site.short]
            for name, x in zip(names, outputs, strict=True):
                stored = arrays[name]
                values = recipes_of.as_numpy(recipe.places[at].name, x, stored)
                padded = bool(stored.ragged) and min(rows.lengths) < rows.width
                if padded:
                    pieces = [
                        values[row][recipes_of.own(stored, rows, row)].reshape(-1)
                        for row in range(len(values))
                    ]
                    values = np.concatenate(pieces)
                writer.write(name, at, first, np.ascontiguousarray(values))

        return put

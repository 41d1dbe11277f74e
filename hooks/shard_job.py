"""Writing a capture shard by shard: the hooks write straight into the file, and in memory there is
never more than one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hooks import capture_batch, capture_plan, out_of_memory
from hooks.backends import Forward
from hooks.prompts import PromptHash, PromptQueue, Tokenized, token_strings
from workbench.errors import WorkbenchError
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.destination import Destination
from workbench.trace_files.manifest import Manifest
from workbench.trace_files.shard import Shard, ShardPrompts, ShardWriter

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.capture_plan import SitePlan
    from hooks.model import InstrumentedModel
    from hooks.reduce import BatchLayout
    from workbench.progress import Progress

SHARD_BYTES = 32 * 2**20
SHARD_TOKENS = 16_384  # where little is kept of each token, a kill costs no more than this


def take_window(
    queue: PromptQueue, arrays: Mapping[str, ArraySpec], most: int | None
) -> list[Tokenized]:
    """The prompts of the next shard: at least one, unless there is none; at most `most`."""
    window: list[Tokenized] = []
    nbytes = tokens = 0
    for prompt in queue:
        nbytes += sum(array.nbytes(len(prompt.ids)) for array in arrays.values())
        tokens += len(prompt.ids)
        if window and (nbytes > SHARD_BYTES or tokens > SHARD_TOKENS):
            queue.back(prompt)
            break
        window.append(prompt)
        if len(window) == most:
            break
    return window


def other_prompts(place: str) -> WorkbenchError:
    """The error for a place in which other prompts were begun."""
    return WorkbenchError(
        f"{place} holds a capture of other prompts.",
        "the same prompts in the same order",
        "Choose another folder.",
    )


class ShardJob:
    """One run over the prompts of a capture that goes to a folder or an address.

    Args:
        plans: what is captured.
        manifest: of the trace.
        out: where it goes.
        work: the folder in which a shard is written until it is whole.
        batch_tokens: tokens of a forward pass, padding included.
        ask_room: asked with the bytes of each shard before it is written; raises if there is no
            room for them. None where all has been asked for before.
        forward: the back end's forward pass.
    """

    def __init__(
        self,
        model: InstrumentedModel,
        plans: Sequence[SitePlan],
        manifest: Manifest,
        out: Destination,
        work: Path,
        batch_tokens: int,
        ask_room: Callable[[int], None] | None,
        progress: Progress | None,
        forward: Forward,
    ) -> None:
        self._model, self._plans, self._manifest = model, plans, manifest
        self._out, self._work = out, work
        self._batch_tokens, self._ask_room, self._progress = batch_tokens, ask_room, progress
        self._forward = forward
        self._index = self._tokens = self._done = self._skipped = 0

    def run(self, queue: PromptQueue, finished: dict[int, Shard]) -> None:
        """Write what is not finished yet.

        Args:
            queue: all prompts, the finished ones too.
            finished: shards by their first prompt.

        Raises:
            WorkbenchError: the finished shards hold other prompts, or there is no room.
        """
        digest = PromptHash()
        self._skipped = sum(sum(shard.lengths) for shard in finished.values())
        while True:
            shard = finished.pop(self._index, None)
            if shard is not None:
                window = queue.take(len(shard))
                if str(PromptHash(window)) != shard.digest:
                    raise other_prompts(self._out.place)
            else:
                room = min(finished) - self._index if finished else None
                window = take_window(queue, self._manifest.arrays, room)
                if not window:
                    break
                self._write(window)
            for prompt in window:
                digest.add(prompt)
                self._tokens += len(prompt.ids)
            self._index += len(window)
        total = {"prompts": self._index, "tokens": self._tokens, "digest": str(digest)}
        if finished or self._manifest.total not in (None, total):
            raise other_prompts(self._out.place)
        self._out.close(self._manifest)
        if self._manifest.total is None:
            self._out.write_manifest(replace(self._manifest, total=total))

    def _write(self, window: list[Tokenized]) -> None:
        """Run and write one shard."""
        arrays = self._manifest.arrays
        if self._ask_room is not None:
            self._ask_room(
                sum(array.nbytes(len(prompt.ids)) for prompt in window for array in arrays.values())
            )
        lengths = [len(prompt.ids) for prompt in window]
        batches = capture_plan.batches(self._model, lengths, self._batch_tokens)
        order = [i for batch in batches for i in batch]
        in_order = [window[i] for i in order]
        prompts = ShardPrompts(
            [self._index + i for i in order],
            [prompt.text for prompt in in_order],
            token_strings(self._model, in_order),
            str(PromptHash(window)),
        )
        writer = ShardWriter(self._work, arrays, prompts, self._manifest.capture)
        try:
            first = 0
            for batch in batches:
                self._report(first)
                ids = [window[i].ids for i in batch]

                def work(part: list[int], ids: Sequence[list[int]] = ids, at: int = first) -> None:
                    write = self._into(writer, at + part[0])
                    some = [ids[i] for i in part]
                    capture_batch.run(self._model, self._plans, some, write, self._forward)

                out_of_memory.in_parts(self._model, range(len(ids)), work)
                first += len(batch)
                self._done += sum(map(len, ids))
            self._out.add(writer.finish(), self._manifest)
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

    def _into(self, writer: ShardWriter, first: int) -> capture_batch.WriteFn:
        """Where the values of a batch go, whose first prompt is this one of the shard."""
        arrays = self._manifest.arrays

        def write(
            plan: SitePlan,
            at: int,
            sizes: dict[str, int],
            outputs: list[Tensor],
            rows: BatchLayout,
        ) -> None:
            names = [name for name in arrays if name.partition(".")[0] == plan.site.short]
            for name, x in zip(names, outputs, strict=True):
                stored = arrays[name]
                values = capture_batch.as_numpy(plan.places[at].name, x, stored)
                padded = bool(stored.ragged) and min(rows.lengths) < rows.width
                if padded:
                    pieces = [
                        values[row][capture_batch.own(stored, rows, row)].reshape(-1)
                        for row in range(len(values))
                    ]
                    values = np.concatenate(pieces)
                writer.write(name, at, first, np.ascontiguousarray(values))

        return write

"""Writing a capture shard by shard, in this process; shard_write.py writes one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from hooks.prompts import PromptHash, PromptQueue, Tokenized
from hooks.shard_spool import other_prompts
from hooks.shard_write import ShardContents, write_shard
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.destination import OpenTrace
from workbench.trace_files.manifest import ShardPlan
from workbench.trace_files.shard import Shard

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
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


def windows_of(
    queue: PromptQueue, arrays: Mapping[str, ArraySpec], shards: Sequence[int] | None
) -> Iterator[list[Tokenized]]:
    """The prompts of each shard, one shard's in memory at a time.

    Args:
        shards: prompts of each, where that is known already.
    """
    for n in shards or ():
        if window := queue.take(n):
            yield window
    while window := take_window(queue, arrays, None):
        yield window


class ShardJob:
    """One run over the prompts of a capture that goes to a folder or an address.

    Args:
        trace: where they go; its manifest's plan parts the prompts, as far as it is known.
        ask_room: asked with the bytes of each shard before it is written; raises if there is no
            room for them. None where all has been asked for before.
    """

    def __init__(
        self,
        model: InstrumentedModel,
        contents: ShardContents,
        trace: OpenTrace,
        ask_room: Callable[[int], None] | None,
        progress: Progress | None,
    ) -> None:
        self._model, self._contents, self._trace = model, contents, trace
        self._ask_room, self._progress = ask_room, progress
        self._index = self._tokens = self._done = self._skipped = 0

    def run(self, queue: PromptQueue, finished: dict[int, Shard]) -> None:
        """Write what is not finished yet.

        Args:
            queue: all prompts, the finished ones too.
            finished: shards by their first prompt.

        Raises:
            WorkbenchError: the finished shards hold other prompts, or there is no room.
        """
        digest, shards = PromptHash(), []
        self._skipped = sum(sum(shard.lengths) for shard in finished.values())
        planned = _by_first(self._trace.manifest.plan)
        while True:
            shard = finished.pop(self._index, None)
            if shard is not None:
                window = queue.take(len(shard))
                if str(PromptHash(window)) != shard.digest:
                    raise other_prompts(self._trace.place.name)
            else:
                room = min(finished) - self._index if finished else None
                most = planned.get(self._index)
                if most is None:
                    window = take_window(queue, self._contents.arrays, room)
                else:
                    window = queue.take(most if room is None else min(most, room))
                if not window:
                    break
                self._write(window)
            for prompt in window:
                digest.add(prompt)
                self._tokens += len(prompt.ids)
            self._index += len(window)
            shards.append(len(window))
        total = {"prompts": self._index, "tokens": self._tokens, "digest": str(digest)}
        if finished or self._trace.manifest.total not in (None, total):
            raise other_prompts(self._trace.place.name)
        self._trace.close()
        if self._trace.manifest.total is None:
            plan = ShardPlan(self._contents.batch_tokens, tuple(shards))
            self._trace.place.write_manifest(replace(self._trace.manifest, total=total, plan=plan))

    def _write(self, window: list[Tokenized]) -> None:
        """Run and write one shard."""
        arrays = self._contents.arrays
        if self._ask_room is not None:
            self._ask_room(
                sum(array.nbytes(len(prompt.ids)) for prompt in window for array in arrays.values())
            )
        folder = self._trace.folder
        file = write_shard(self._model, self._contents, folder, self._index, window, self._report)
        self._trace.add(file)
        self._done += sum(len(prompt.ids) for prompt in window)

    def _report(self, prompts: int, tokens: int) -> None:
        if self._progress is None:
            return
        total = self._trace.manifest.total
        # The share of what was left to do when this run began: so the time left is right after a
        # continuation, too.
        done = self._done + tokens
        share = done / max(total["tokens"] - self._skipped, 1) if total else 0.0
        of = f" of {total['prompts']:,}" if total else ""
        self._progress(share, f"Capturing prompt {self._index + prompts + 1:,}{of}")


def _by_first(plan: ShardPlan | None) -> dict[int, int]:
    """How many prompts each planned shard has, by its first prompt."""
    sizes = () if plan is None else plan.shards or ()
    return dict(zip(accumulate((0, *sizes)), sizes, strict=False))

"""One shard of a trace: run its prompts and write it, whole or not at all.

The hooks write straight into the file, and in memory there is never more than one batch. What is in
the file depends on the model, the prompts and the plan alone: not on who writes it, nor when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hooks import capture_batch, capture_plan, out_of_memory
from hooks.backends import Forward, torch_hooks
from hooks.prompts import PromptHash, Tokenized, token_strings
from workbench.trace_files.array_spec import ArraySpec
from workbench.trace_files.shard import ShardPrompts, ShardWriter

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.capture_plan import SitePlan
    from hooks.model import InstrumentedModel
    from hooks.reduce import BatchLayout


@dataclass(frozen=True)
class ShardContents:
    """What goes into every shard of a capture.

    Attributes:
        plans: what is captured.
        arrays: what is stored, by name.
        capture: the fingerprint of the capture, which each of its shards carries.
        batch_tokens: tokens of a forward pass, padding included.
        forward: the back end's forward pass.
    """

    plans: Sequence[SitePlan]
    arrays: Mapping[str, ArraySpec]
    capture: str
    batch_tokens: int
    forward: Forward = torch_hooks.run


def write_shard(
    model: InstrumentedModel,
    contents: ShardContents,
    folder: Path,
    first: int,
    window: Sequence[Tokenized],
    report: Callable[[int, int], None],
) -> Path:
    """Run prompts and write their shard; gives its file.

    Args:
        first: the number of the first of these prompts.
        window: the prompts.
        report: gets, before each batch, how many prompts and tokens of the shard are done.
    """
    lengths = [len(prompt.ids) for prompt in window]
    batches = capture_plan.batches(model, lengths, contents.batch_tokens)
    order = [i for batch in batches for i in batch]
    in_order = [window[i] for i in order]
    prompts = ShardPrompts(
        [first + i for i in order],
        [prompt.text for prompt in in_order],
        token_strings(model, in_order),
        str(PromptHash(window)),
    )
    writer = ShardWriter(folder, contents.arrays, prompts, contents.capture)
    try:
        done = tokens = 0
        for batch in batches:
            report(done, tokens)
            ids = [window[i].ids for i in batch]

            def work(part: list[int], ids: Sequence[list[int]] = ids, at: int = done) -> None:
                write = _into(writer, contents.arrays, at + part[0])
                some = [ids[i] for i in part]
                capture_batch.run(model, contents.plans, some, write, contents.forward)

            out_of_memory.in_parts(model, range(len(ids)), work)
            done += len(batch)
            tokens += sum(map(len, ids))
        return writer.finish()
    finally:
        writer.drop()


def _into(
    writer: ShardWriter, arrays: Mapping[str, ArraySpec], first: int
) -> capture_batch.WriteFn:
    """Where the values of a batch go, whose first prompt is this one of the shard."""

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

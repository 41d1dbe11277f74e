"""Looking: activations at named sites, as a Trace.

    prompts = ["The capital of France is"]
    trace = wb.capture(model, prompts, sites=["z", "resid_post"], layers=[22, 23], positions=[-1])
    trace["z"]        # (prompt, layer, pos, head, d_head)

    # streamed to disk, and resumable
    wb.capture(model, prompts, sites="resid_post", reduce="norm", dtype="float16", out="FOLDER")

Only what was named is kept; nothing else outlives the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hooks import (
    capture_batch,
    capture_plan,
    capture_shapes,
    device_transfer,
    out_of_memory,
    streaming,
)
from hooks.backends import Forward, forward
from hooks.prompts import Prompts, Windows, read, token_strings
from hooks.reduce import BatchLayout, Reducer
from workbench.errors import BadInput
from workbench.models.storage import plain
from workbench.torch_modes import ordinary
from workbench.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from torch import Tensor

    from hooks.capture_plan import SitePlan
    from hooks.model import InstrumentedModel
    from workbench.grid.workers import Workers
    from workbench.progress import Progress
    from workbench.trace_files.array_spec import ArraySpec

BATCH_TOKENS = 2048
Reduce = str | Reducer | Mapping[str, str | Reducer]


@ordinary
def capture(
    model: InstrumentedModel,
    prompts: Prompts,
    sites: str | Sequence[str] = "resid_post",
    layers: int | Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    *,
    reduce: Reduce | None = None,
    dtype: str = "float32",
    batch_tokens: int = BATCH_TOKENS,
    out: str | Path | None = None,
    confirm: streaming.Confirm = False,
    backend: str | Forward = "torch",
    remote: bool = False,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Run the model once over the prompts and keep what passes at the sites.

    Active interventions are seen.

    Prompts of about the same length share a forward pass, padded on the left; the padding is never
    kept, and the values are those of each prompt by itself (but for float32 rounding).

    Args:
        prompts: texts, or lists of token ids. With `out` any iterable will do, however long.
        sites: short or full names; `model.sites` says what there is.
        layers: None is all. Ignored for full names.
        positions: None is all; 0 is a prompt's first token, -1 its last. For `pattern` they choose
            query rows.
        reduce: what to keep instead of all values: a reducer (`hooks.reduce`) or its spec, for
            all sites or by site.
        dtype: what values are kept as: float32, float16, or bfloat16 (which NumPy reads as
            float32).
        batch_tokens: tokens of a forward pass, padding included; a longer prompt goes by itself.
            A trace that is continued keeps those it was begun with.
        out: write to this folder or address (`s3://…`) while running, and keep nothing in memory.
            If it holds an unfinished trace of the same capture, that is continued after its last
            finished shard.
        confirm: to write more than 1 GB: True, or a function that is asked with the bytes.
        backend: "torch", "transformer_lens", "nnsight", or a forward pass of your own
            (`hooks.backends.Forward`).
        remote: with nnsight, run on an NDIF server.
        workers: who writes the shards; needs `out`. Every worker loads the model by itself, and
            the files are the same bytes for any number of them.
        progress: gets the share of the prompts that is done.

    Returns:
        A Trace of arrays (prompt, layer, …); positions beyond a prompt's end are NaN. With `out`,
        the opened trace.

    Raises:
        SiteNotFound, NotFound, BadInput: a place, layer, position, reducer or prompt that is not
            there or does not fit.
        WorkbenchError: no room in memory or on disk, over 1 GB without agreement, or a folder that
            holds something else.
    """
    if batch_tokens < 1:
        raise BadInput(
            f"A batch cannot have {batch_tokens} tokens.", "1 or more", "Raise `batch_tokens`."
        )
    plans = capture_plan.site_plans(model, sites, layers, positions, reduce)
    capture_plan.check_dtype(dtype)
    run = forward(backend, remote=remote)
    if out is not None:
        return streaming.stream(
            model, plans, prompts, dtype, batch_tokens, out, confirm, progress, run, workers
        )
    if workers is not None:
        raise BadInput(
            "Workers write to a folder.", "`out`", "Say where, or leave out the workers."
        )
    given = list(read(model, prompts, positions))
    lengths = [len(prompt.ids) for prompt in given]
    batches = capture_plan.batches(model, lengths, batch_tokens)
    kept = _InMemory(model, lengths, dtype, hold=len(batches) == 1)
    done = 0
    for here in batches:
        if progress is not None:
            progress(done / len(given), f"Capturing prompt {done + 1} of {len(given)}")
        out_of_memory.in_parts(
            model,
            here,
            lambda part: capture_batch.run(
                model, plans, [given[i].ids for i in part], kept.into(part), run
            ),
        )
        done += len(here)
    if kept.overwritten:
        kept = _InMemory(model, lengths, dtype, hold=False)
        capture_batch.run(
            model, plans, [prompt.ids for prompt in given], kept.into(range(len(given))), run
        )
    texts = [prompt.text for prompt in given]
    return Trace.lazy(kept.makers(plans), token_strings(model, given), texts, asdict(model.card))


@ordinary
def estimate(
    model: InstrumentedModel,
    prompts: Prompts,
    sites: str | Sequence[str] = "resid_post",
    layers: int | Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    *,
    reduce: Reduce | None = None,
    dtype: str = "float32",
) -> int:
    """Bytes that `capture(…, out=FOLDER)` of the same would write.

    Reads the prompts and runs the model on one token.

    Raises:
        SiteNotFound, NotFound, BadInput: as `capture` does.
    """
    plans = capture_plan.site_plans(model, sites, layers, positions, reduce)
    arrays = capture_shapes.arrays(model, plans, capture_plan.check_dtype(dtype))
    return streaming.measure(arrays, read(model, prompts, positions)).nbytes


def windows(
    model: InstrumentedModel,
    texts: str | Iterable[str | Sequence[int]],
    length: int,
    overlap: int = 0,
) -> Iterable[list[int]]:
    """Long texts as prompts of at most `length` tokens, each sharing `overlap` tokens of text with
    the one before.

    Every window begins as a prompt does, with the tokenizer's beginning token if it has one; it
    counts towards the length.

    Raises:
        BadInput: no length, or an overlap that is not smaller than what of the text fits into it.
    """
    room = length - len(model.text.beginning)
    if not 0 <= overlap < room:
        raise BadInput(
            f"Windows of {length} tokens cannot overlap by {overlap}.",
            f"a length of {1 + len(model.text.beginning)} or more, and less overlap",
            "Change one.",
        )
    cut = Windows(model, [texts] if isinstance(texts, str) else texts, length, overlap)
    # What can be read only once gives windows that can be read only once.
    return iter(cut) if iter(cut.texts) is cut.texts else cut


class _InMemory:
    """One array per output.

    Where one batch holds everything, the model's own tensors are kept, and the array is put
    together when it is first looked at. Otherwise it is made when its site is first seen, and the
    hooks write into it.
    """

    def __init__(
        self, model: InstrumentedModel, lengths: Sequence[int], dtype: str, *, hold: bool
    ) -> None:
        self._lengths, self._dtype = lengths, dtype
        self._mixed = min(lengths) < max(lengths)
        self._made: dict[str, tuple[dict[str, int], list[_Array]]] = {}  # by site
        self._hold = hold and not self._mixed
        # Only what lies in this memory can be held, and so only weights that lie there can be taken
        # for a value.
        weights = (
            [w for w in model.module.parameters() if w.device.type == "cpu" and plain(w)]
            if self._hold
            else []
        )
        self._weights = {weight.untyped_storage().data_ptr() for weight in weights}

    def into(self, here: Sequence[int]) -> capture_batch.WriteFn:
        """Where the values of these prompts go."""
        if self._hold and len(here) < len(self._lengths):  # memory ran out, and it is less at once
            self._hold, self._made = False, {}
        together = list(here) == list(range(here[0], here[-1] + 1)) and not self._mixed

        def write(
            plan: SitePlan,
            at: int,
            sizes: dict[str, int],
            outputs: list[Tensor],
            rows: BatchLayout,
        ) -> None:
            short, place = plan.site.short, plan.places[at]
            if short not in self._made:
                self._made[short] = (
                    sizes,
                    [_Array(stored, self._lengths) for stored in plan.stored(sizes, self._dtype)],
                )
            first, arrays = self._made[short]
            capture_shapes.check_same_sizes(plan, first, place, sizes)
            for array, x in zip(arrays, outputs, strict=True):
                stored = array.stored
                if self._hold and self._can_hold(stored, x):
                    array.hold(at, x)
                    continue
                values = capture_batch.as_numpy(place.name, x, stored)
                if stored.dtype == "bfloat16":
                    values = (values.astype("<u4") << 16).view("<f4")
                layer = array.layer(at)
                # NumPy copies in this thread: for pieces of this size that beats waking the others.
                if together:
                    layer[here[0] : here[-1] + 1] = values
                    continue
                for row, index in enumerate(here):
                    piece = values[row][capture_batch.own(stored, rows, row)]
                    where: tuple[Any, ...] = (index, *map(slice, piece.shape))
                    layer[where] = piece

        return write

    def _can_hold(self, stored: ArraySpec, x: Tensor) -> bool:
        """Whether a tensor is what is asked for, is nobody's weight, and keeps nothing larger
        alive.
        """
        storage = x.untyped_storage()
        if x.is_pinned() and x.nbytes * len(stored.layers or [0]) > device_transfer.MOST:
            # what came from a card lies in memory that cannot be swapped out: a good deal of that
            # is too much
            return False
        return (
            stored.dtype == str(x.dtype).removeprefix("torch.")
            and x.device.type == "cpu"
            and storage.nbytes() == x.numel() * x.element_size()
            and storage.data_ptr() not in self._weights
        )

    @property
    def overwritten(self) -> bool:
        """Whether the model, or an intervention, has since written into a tensor that was held."""
        return any(array.overwritten for _, arrays in self._made.values() for array in arrays)

    def makers(self, plans: Sequence[SitePlan]) -> dict[str, Callable[[], xr.DataArray]]:
        """What gives each array, by name, in the order in which they were asked for."""
        return {
            array.stored.name: array.make
            for plan in plans
            for array in self._made[plan.site.short][1]
        }


class _Array:
    """The values of one output: one array, or still the tensors it will be made of."""

    def __init__(self, stored: ArraySpec, lengths: Sequence[int]) -> None:
        self.stored, self._lengths = stored, lengths
        self._held: dict[
            int, tuple[Tensor, int]
        ] = {}  # by layer: the tensor, and how often it had been written to
        self._array: np.ndarray | None = None
        stored.check_memory(len(lengths), max(lengths), stored.rows)

    def hold(self, at: int, x: Tensor) -> None:
        self._held[at] = x, x._version

    @property
    def overwritten(self) -> bool:
        return any(x._version != version for x, version in self._held.values())

    def layer(self, at: int) -> np.ndarray:
        """One layer of the array, (prompt, …), to be written to."""
        if self._array is None:
            fill = bool(self.stored.ragged) and min(self._lengths) < max(self._lengths)
            self._array = self.stored.empty(
                len(self._lengths), max(self._lengths), self.stored.rows, fill=fill
            )
        return self._array[:, at] if self.stored.layers is not None else self._array

    def make(self) -> xr.DataArray:
        for at in sorted(self._held):
            self.layer(at)[...] = self._held.pop(at)[0].detach().numpy()
        assert self._array is not None
        return self.stored.labelled(self._array, range(len(self._lengths)), self.stored.layers)

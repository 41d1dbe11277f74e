"""Looking: activations at named sites, as a Trace.

    trace = wb.capture(model, ["The capital of France is"], sites=["z", "resid_post"], layers=[22, 23], positions=[-1])
    trace["z"]        # (prompt, layer, pos, head, d_head)

    wb.capture(model, prompts, sites="resid_post", reduce="norm", dtype="float16", out="FOLDER")   # streamed, resumable

Only what was named is kept; nothing else outlives the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hooks import recipe as recipes_of
from hooks import streaming
from hooks.backends import Forward, forward
from hooks.prompts import Prompts, Windows, read, token_strings
from hooks.reduce import Reducer, Rows
from workbench.errors import BadInput
from workbench.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.recipe import Recipe
    from workbench.progress import Progress
    from workbench.shards import Stored

BATCH_TOKENS = 2048
Reduce = str | Reducer | Mapping[str, str | Reducer]


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
    agree: bool | Callable[[int], bool] = False,
    backend: str | Forward = "torch",
    remote: bool = False,
    progress: Progress | None = None,
) -> Trace:
    """Run the model once over the prompts and keep what passes at the sites. Active interventions are seen.

    Prompts of about the same length share a forward pass, padded on the left; the padding is never kept, and the values
    are those of each prompt by itself (but for float32 rounding).

    Args:
        prompts: texts, or lists of token ids. With `out` any iterable will do, however long.
        sites: short or full names; `model.sites` says what there is.
        layers: None is all. Ignored for full names.
        positions: None is all; 0 is a prompt's first token, -1 its last. For `pattern` they choose query rows.
        reduce: what to keep instead of all values: a reducer (`hooks.reduce`) or its spelling, for all sites or by site.
        dtype: what values are kept as: float32, float16, or bfloat16 (which NumPy reads as float32).
        batch_tokens: tokens of a forward pass, padding included; a longer prompt goes by itself.
        out: write to this folder while running, and keep nothing in memory. If the folder holds an unfinished trace
            of the same capture, it is continued after its last finished shard.
        agree: to write more than 1 GB: True, or a function that is asked with the bytes.
        backend: "torch", "transformer_lens", "nnsight", or a forward pass of your own (`hooks.backends.Forward`).
        remote: with nnsight, run on an NDIF server.
        progress: gets the share of the prompts that is done.

    Returns:
        A Trace of arrays (prompt, layer, …); positions beyond a prompt's end are NaN. With `out`, the opened folder.

    Raises:
        SiteNotFound, NotFound, BadInput: a place, layer, position, reducer or prompt that is not there or does not fit.
        WorkbenchError: no room in memory or on disk, over 1 GB without agreement, or a folder that holds something else.
    """
    if batch_tokens < 1:
        raise BadInput(f"A batch cannot have {batch_tokens} tokens.", "1 or more", "Raise `batch_tokens`.")
    wanted = recipes_of.recipes(model, sites, layers, positions, reduce)
    recipes_of.check_dtype(dtype)
    run = forward(backend, remote=remote)
    if out is not None:
        return streaming.stream(model, wanted, prompts, dtype, batch_tokens, Path(out), agree, progress, run)
    given = list(read(model, prompts, positions))
    lengths = [len(prompt.ids) for prompt in given]
    kept = _InMemory(lengths, dtype)
    done = 0
    for here in recipes_of.batches(lengths, batch_tokens):
        if progress is not None:
            progress(done / len(given), f"Capturing prompt {done + 1} of {len(given)}")
        recipes_of.run(model, wanted, [given[i].ids for i in here], kept.into(here), run)
        done += len(here)
    return Trace(kept.labelled(wanted), token_strings(model, given), [p.text for p in given], asdict(model.card))


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
    """Bytes that `capture(…, out=FOLDER)` of the same would write. Reads the prompts and runs the model on one token.

    Raises:
        SiteNotFound, NotFound, BadInput: as `capture` does.
    """
    wanted = recipes_of.recipes(model, sites, layers, positions, reduce)
    arrays = recipes_of.arrays(model, wanted, recipes_of.check_dtype(dtype))
    return streaming.measure(arrays, read(model, prompts, positions)).nbytes


def windows(
    model: InstrumentedModel, texts: str | Iterable[str | Sequence[int]], length: int, overlap: int = 0
) -> Iterable[list[int]]:
    """Long texts as prompts of at most `length` tokens, each sharing `overlap` tokens with the one before.

    Raises:
        BadInput: no length, or an overlap that is not smaller than it.
    """
    if not 0 <= overlap < length:
        raise BadInput(
            f"Windows of {length} tokens cannot overlap by {overlap}.", "a length of 1 or more, and less overlap", "Change one."
        )
    cut = Windows(model, [texts] if isinstance(texts, str) else texts, length, overlap)
    # What can be read only once gives windows that can be read only once.
    return iter(cut) if iter(cut.texts) is cut.texts else cut


class _InMemory:
    """One array per output, made when its site is first seen; the hooks write straight into it."""

    def __init__(self, lengths: Sequence[int], dtype: str) -> None:
        self._lengths, self._dtype = lengths, dtype
        self._mixed = min(lengths) < max(lengths)
        self._made: dict[str, tuple[dict[str, int], list[tuple[Stored, np.ndarray]]]] = {}  # by site

    def into(self, here: Sequence[int]) -> recipes_of.Put:
        """Where the values of these prompts go."""
        together = list(here) == list(range(here[0], here[-1] + 1)) and not self._mixed

        def put(recipe: Recipe, at: int, sizes: dict[str, int], outputs: list[Tensor], rows: Rows) -> None:
            short, place = recipe.site.short, recipe.places[at]
            if short not in self._made:
                self._made[short] = sizes, [(stored, self._empty(stored)) for stored in recipe.stored(sizes, self._dtype)]
            first, arrays = self._made[short]
            recipes_of.check_same(recipe, first, place, sizes)
            for (stored, array), x in zip(arrays, outputs, strict=True):
                values = recipes_of.as_numpy(place.name, x, stored)
                if stored.dtype == "bfloat16":
                    values = (values.astype("<u4") << 16).view("<f4")
                layer = array[:, at] if stored.layers is not None else array
                # NumPy copies in this thread: for pieces of this size that beats waking the others.
                if together:
                    layer[here[0] : here[-1] + 1] = values
                    continue
                for row, index in enumerate(here):
                    piece = values[row][recipes_of.own(stored, rows, row)]
                    where: tuple[Any, ...] = (index, *map(slice, piece.shape))
                    layer[where] = piece

        return put

    def _empty(self, stored: Stored) -> np.ndarray:
        fill = self._mixed and bool(stored.ragged)
        return stored.empty(len(self._lengths), max(self._lengths), stored.rows, fill=fill)

    def labelled(self, wanted: Sequence[Recipe]) -> dict[str, xr.DataArray]:
        """The arrays by name, in the order in which they were asked for."""
        every = range(len(self._lengths))
        made = [pair for recipe in wanted for pair in self._made[recipe.site.short][1]]
        return {stored.name: stored.labelled(array, every, stored.layers) for stored, array in made}

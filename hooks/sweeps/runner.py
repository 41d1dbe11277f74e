"""A sweep over components: which of them walk together, and where their effects go.

Several changes are several components each: what they share (batches, recorded runs, walks) is made
once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks import out_of_memory
from hooks.device_transfer import indices
from hooks.layer_replay import RecordedSuffix, check_same, logit_error, read
from hooks.rounding import RoundingControl, note, of_effects
from hooks.sites import SITES, Place
from hooks.sweeps.arguments import (
    Component,
    WhichPositions,
    positions_changed,
    text_positions,
)
from hooks.sweeps.batched_forward import BatchedForward, Edit, Freeze
from hooks.sweeps.change import Change, Noise, Patch
from hooks.sweeps.readout import Readout
from hooks.sweeps.values import BatchValues, Values
from workbench.models.configuration import setting

if TYPE_CHECKING:
    from hooks.batch import Batch
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

# What one walk may hold at once, and what the recorded runs of one batch may, in bytes.
WALK, RECORD = 256 * 2**20, 512 * 2**20
# A grid over positions is cut into this many stretches; each is read once, and nothing before it is
# run again.
STRETCHES = 8


@dataclass
class SweepJob:
    """A sweep over components of a batch of prompts after the other.

    Attributes:
        effects: (component, prompt, target), float32: metric after the change minus before; NaN
            where a prompt has no such position. Exactly 0 where a change puts in what is there
            already.
        before: (prompt, target), the metric of the unchanged run.
        source: (prompt, change, target), the same of the runs that patches come from, NaN for other
            changes; None where there is no patch.
        error: the largest difference between a control's logits and the model's own.
        moved: (target,), the largest change of the metric of a control.
        exact: for estimates, the exact effects of some components, NaN elsewhere; see
            `hooks.sweeps.attribution`.
        notes: what else is to be said of the effects, one number per change.
        whole: run every prompt again from its first token on, with nothing cached.
    """

    model: InstrumentedModel
    ids: Sequence[Sequence[int]]
    components: Sequence[Component]
    positions: WhichPositions
    values: Sequence[Values]  # per change
    readout: Readout
    freeze: Freeze = "nothing"
    progress: Progress | None = None
    effects: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float32))
    before: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float32))
    source: Tensor | None = None
    exact: Tensor | None = None
    notes: dict[str, list[float]] = field(default_factory=dict)
    error: float = 0.0
    moved: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float32))
    whole: bool = False
    _done: int = 0
    _rows: int = 2**31  # variants that walk together at most, once memory has run out

    def run(self) -> SweepJob:
        order = sorted(range(len(self.components)), key=lambda i: self.components[i].layer)
        for prompts in self.batches():

            def work(part: list[int]) -> None:
                self._one_batch(self.model.batch([self.ids[p] for p in part]), part, order)

            out_of_memory.in_parts(self.model, prompts, work)
        note(self.model, self.compared())
        return self

    @property
    def changes(self) -> list[Change]:
        """What components are set to."""
        return [each.change for each in self.values]

    def compared(self) -> RoundingControl:
        """How the effects compare with what rounding moves."""
        return of_effects(self.error, self.effects, self.moved)

    def batches(self, share: float = 1.0) -> Iterator[list[int]]:
        """Prompts that are read together, as indices.

        What is held of the sources of patches is as large as a recorded run, so several of them
        share its room; see `batches`.
        """
        patches = sum(isinstance(each.change, Patch) for each in self.values)
        return batches(self.model, self.ids, share / max(1, patches))

    def new_values(self, batch: Batch, prompts: Sequence[int]) -> list[BatchValues]:
        """What these prompts' components are set to, by each change."""
        where = positions_changed(batch, self.positions)
        return [each.for_batch(batch, prompts, where) for each in self.values]

    @torch.no_grad()
    def _one_batch(self, batch: Batch, prompts: list[int], order: Sequence[int]) -> None:
        new = self.new_values(batch, prompts)
        for start, components in self._stretches(batch, new, order):
            suffix = read(self.model, batch, 0 if self.whole else start, self._keep(components))
            self.write_unchanged(suffix, new, prompts)
            if not self._stretch(suffix, new, components, prompts):
                # Something in this family knows more of the prefix than its keys and values: read
                # all of it.
                self.whole = True
                suffix = read(self.model, batch, 0, self._keep(components))
                self.write_unchanged(suffix, new, prompts)
                self._stretch(suffix, new, components, prompts)

    def _stretch(
        self,
        suffix: RecordedSuffix,
        new: Sequence[BatchValues],
        components: list[int],
        prompts: Sequence[int],
    ) -> bool:
        """Whether the control came out as the model itself; always, or an error, where nothing
        was cached.
        """
        same, first, left = True, True, list(components)
        size = rows_at_once(self.model, suffix)

        def walk(chunk: list[int]) -> None:
            nonlocal same
            edits = edits_of([self.components[i] for i in chunk], new, suffix, self.freeze)
            final = self._walk(suffix, edits, control=first)
            if first:
                same = self._control(final[0], suffix, prompts)
                final = final[1:]
            if same:
                self.write(
                    self._effects(final, suffix, prompts), edits, chunk, suffix.batch, prompts
                )

        while left and same:
            size = min(size, self._rows)
            done, before = left[:size], self._done
            if out_of_memory.fits(self.model, lambda: walk(done)):  # noqa: B023 - called at once
                first, left = False, left[size:]
                continue
            self._done = before
            if len(done) == 1:
                raise torch.OutOfMemoryError("one variant of these prompts")
            self._rows = len(done) // 2
        return same

    def _control(self, final: Tensor, suffix: RecordedSuffix, prompts: Sequence[int]) -> bool:
        logits = self.model.unembed(final[:, -1])
        error, limit = logit_error(logits, suffix.logits, self.model)
        if suffix.start and not error <= limit:
            return False
        self.error = max(self.error, check_same(logits, suffix.logits, self.model))
        moved = self._effects(final[None], suffix, prompts)[0].abs().amax(0)
        self.moved = torch.maximum(self.moved, moved)
        return True

    def _stretches(
        self, batch: Batch, new: Sequence[BatchValues], order: Sequence[int]
    ) -> Iterator[tuple[int, list[int]]]:
        """Components that start being different at about the same column, with that column."""
        width = batch.input_ids.shape[1]
        last = max(0, width - self.readout.n_positions)  # what is read has to be run
        by_column: dict[int, list[int]] = {}
        firsts = [min(each.first_column, last) for each in new]
        for i in order:
            first = firsts[self.components[i].change]
            step = max(1, -(-(width - first) // STRETCHES))
            position = self.components[i].position
            if position is not None and position >= width:
                continue  # none of these prompts is that long
            # A position of the longest prompt is the column; shorter ones have it further right.
            column = first if position is None else min(max(position, first), last)
            by_column.setdefault(first + (column - first) // step * step, []).append(i)
        yield from sorted(by_column.items())

    def _keep(self, components: Sequence[int]) -> list[Place]:
        model, wanted = self.model, dict[Place, None]()
        wanted |= dict.fromkeys(
            Place(SITES[each.site], each.layer)
            for each in (self.components[i] for i in components)
            if isinstance(self.values[each.change].change, Noise)
        )
        if self.freeze != "nothing":
            wanted |= dict.fromkeys(Place(SITES["z"], layer) for layer in model.sites["z"] or [])
        if self.freeze == "heads and mlps":
            wanted |= dict.fromkeys(
                Place(SITES["mlp_out"], layer) for layer in model.sites["mlp_out"] or []
            )
        return list(wanted)

    @property
    def _work(self) -> int:
        """Layers that will be run, summed over variants and prompts."""
        return len(self.ids) * sum(
            self.model.n_layers - component.layer for component in self.components
        )

    def _walk(
        self, suffix: RecordedSuffix, edits: Sequence[Edit], *, control: bool
    ) -> Float[Tensor, "variant prompt pos d_model"]:
        """Final residual streams of a walk that reports, (variant, prompt, pos that is read,
        d_model).
        """
        before = self._done

        def report(done: int) -> None:
            self._done = before + done
            if self.progress is not None:
                self.progress(
                    self._done / self._work,
                    f"{len(self.components):,} changes of {len(self.ids)} prompts",
                )

        final = BatchedForward(self.model, suffix, edits, control, report).run()
        self._done = before + suffix.shape[0] * sum(
            edit.count * (self.model.n_layers - edit.layer) for edit in edits
        )
        return final[:, :, -self.readout.n_positions :]

    @property
    def _size(self) -> int:
        return len(self.components)

    def _position(self, i: int) -> int | None:
        return self.components[i].position

    def write_unchanged(
        self, suffix: RecordedSuffix, new: Sequence[BatchValues], prompts: Sequence[int]
    ) -> None:
        """Put what the unchanged runs (and those of the sources) give where it belongs."""
        unchanged = self._unchanged(suffix)
        before = self.readout.of_resid(self.model, unchanged[None], unchanged, prompts)[0].cpu()
        if not len(self.before):
            self.before = torch.full(
                (len(self.ids), before.shape[-1]), float("nan"), dtype=torch.float32
            )
            self.effects = torch.full(
                (self._size, *self.before.shape), float("nan"), dtype=torch.float32
            )
            has_source = any(each.logits is not None for each in new)
            if has_source and self.readout.reads_prompt_end:
                shape = (len(self.ids), len(new), before.shape[-1])
                self.source = torch.full(shape, float("nan"), dtype=torch.float32)
        self.before[list(prompts)] = before
        if self.source is None:
            return
        logits = suffix.logits.float()
        for change, own in enumerate(each.logits for each in new):
            if own is None:
                continue
            for row, prompt in enumerate(prompts):
                self.source[prompt, change] = self.readout.of_logits(
                    own[row : row + 1], prompt, logits[row : row + 1]
                )[0].cpu()

    def _unchanged(self, suffix: RecordedSuffix) -> Float[Tensor, "prompt pos d_model"]:
        """The unchanged residual stream where it is read, (prompt, pos, d_model)."""
        return suffix.record.resid_final[:, -self.readout.n_positions :]

    def _effects(
        self,
        final: Float[Tensor, "variant prompt pos d_model"],
        suffix: RecordedSuffix,
        prompts: Sequence[int],
    ) -> Float[Tensor, "variant prompt target"]:
        """Metric of final residual streams minus that of the unchanged runs, (variant, prompt,
        target).
        """
        after = self.readout.of_resid(self.model, final, self._unchanged(suffix), prompts).cpu()
        return after - self.before[list(prompts)]

    def write(
        self,
        effects: Float[Tensor, "variant prompt target"],
        edits: Sequence[Edit],
        components: Sequence[int],
        batch: Batch,
        prompts: Sequence[int],
    ) -> None:
        """Put (variant, prompt, target) where it belongs."""
        changed = torch.cat([e.where.any(-1).expand(e.count, len(prompts)) for e in edits]).cpu()
        effects[~changed] = 0.0
        changeable, columns = (
            positions_changed(batch, self.positions).cpu(),
            text_positions(batch).cpu(),
        )
        for row, i in enumerate(components):
            position = self._position(i)
            if position is not None:
                effects[row, ~(changeable & (columns == position)).any(1)] = float("nan")
        self.effects[torch.tensor(list(components))[:, None], torch.tensor(list(prompts))[None]] = (
            effects
        )


def edits_of(
    components: Sequence[Component],
    new: Sequence[BatchValues],
    suffix: RecordedSuffix,
    freeze: Freeze = "nothing",
) -> list[Edit]:
    """Components in order of their layers, as edits: one for each run of components at the same
    site and layer and of the same change.
    """
    position = text_positions(suffix.batch)[:, suffix.start :]
    edits: list[Edit] = []
    for (site, layer, change), run in groupby(components, lambda c: (c.site, c.layer, c.change)):
        same, key = list(run), (site, layer)
        mask = new[change].mask[:, suffix.start :]
        where = mask[None]
        if same[0].position is not None:
            where = torch.stack([mask & (position == c.position) for c in same])
        values, units = new[change].for_site(key, suffix), None
        if same[0].unit is not None:
            units = indices(tuple(c.unit for c in same if c.unit is not None), mask.device)
            if values.dim():  # (prompt, pos, unit, …) to (variant, prompt, pos, …)
                values = values.movedim(2, 0)[units.to(values.device)]
        edits.append(Edit(site, layer, values, where, units, len(same), freeze))
    return edits


def batches(
    model: InstrumentedModel, ids: Sequence[Sequence[int]], share: float = 1.0
) -> Iterator[list[int]]:
    """Prompts that are read together, of like length, as indices.

    `share` of what one recorded run may hold.
    """
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    per_token = 4 * model.card.d_model * (model.n_layers + 2)
    while order:
        count = 1
        # Where padding is read like text, a prompt and its source are only themselves when they are
        # alone.
        while (
            model.ignores_padding
            and count < len(order)
            and (count + 1) * len(ids[order[count]]) * per_token <= share * RECORD
        ):
            count += 1
        yield order[:count]
        order = order[count:]


def rows_at_once(model: InstrumentedModel, suffix: RecordedSuffix) -> int:
    """How many variants of the batch walk together."""
    batch, n = suffix.shape
    config = model.module.config.get_text_config()
    widths = setting(config, "intermediate_size") or 4 * model.card.d_model
    d_mlp = max(widths) if isinstance(widths, list) else widths
    total = suffix.start + n
    attention = model.n_heads * (
        n + total if n == 1 or config._attn_implementation == "eager" else 4 * model.d_head
    )
    copied = 2 * model.n_kv_heads * model.d_head * total / n if suffix.start and n > 1 else 0
    per_token = 4 * (12 * model.card.d_model + 4 * d_mlp + 4 * attention + copied)
    return max(1, int(WALK / (per_token * batch * n)))

"""Causal tracing: parts of a run whose subject is corrupted get their clean values back, one token
and layer (or window of layers) at a time (Meng et al. 2022).

`sweep(over="positions", change=Patch(…))` does this between two prompts. Here the run that is
changed may also carry noise on some tokens, what is restored may be a window of layers, and later
MLPs or attention at the restored token may be kept as they are in the corrupted run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks import sites
from hooks.sites import SITES, Place
from hooks.sweeps.batched_forward import Edit
from hooks.sweeps.values import source_values
from hooks.sweeps.watched_walk import WatchedWalk
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.batch import Batch
    from hooks.layer_replay import RecordedSuffix
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_TOGETHER = 48  # rows of one walk: prompts, each with each of its corruptions


@dataclass(frozen=True)
class Restored:
    """What gets its clean values back, at one token at a time.

    Args:
        sites: the site; or several of which every layer has at most one, as attention and what
            stands in its place in a recurrent layer.
        window: how many consecutive layers at once, around the layer that is named; clipped at
            both ends (of an even number one more lies below).
        layers: the layers that windows stand around; None is all that have the site.
        severed: sites that keep their corrupted values at the restored token from that layer on,
            so that what was restored cannot go through them.

    Raises:
        BadInput: a window of no layers.
    """

    sites: tuple[str, ...] = ("resid_pre",)
    window: int = 1
    layers: tuple[int, ...] | None = None
    severed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.window < 1:
            raise BadInput(
                f"A window of {self.window} layers restores nothing.", "1 or more", "Widen it."
            )

    def site_of(self, model: InstrumentedModel) -> dict[int, str]:
        """The site of each layer that has one."""
        return {layer: site for site in self.sites for layer in model.sites.get(site) or ()}

    def centres(self, model: InstrumentedModel) -> list[int]:
        """The layers that windows stand around, in order."""
        has = sorted(self.site_of(model))
        return [layer for layer in has if self.layers is None or layer in self.layers]

    def window_at(self, model: InstrumentedModel, centre: int) -> list[int]:
        """The layers of a window that have the site, in order."""
        low = centre - self.window // 2
        has = self.site_of(model)
        return [layer for layer in range(low, low + self.window) if layer in has]


@dataclass(frozen=True)
class CorruptedPrompt:
    """A prompt as it is, and as it is corrupted.

    Attributes:
        clean: its token ids.
        corrupted: those of the corrupted run, as many.
        first: the first position at which the two runs differ.
        target: the id of the token whose probability is read.
        noise: added to the stream that enters the first layer, (pos, d_model), from `first` on.
    """

    clean: Sequence[int]
    corrupted: Sequence[int]
    first: int
    target: int
    noise: Float[Tensor, "pos d_model"] | None = None


@dataclass
class Restoration:
    """What restoring gives.

    Attributes:
        clean: the probability of the target in each clean run, (prompt,).
        corrupted: the same of the corrupted runs.
        restored: for each `Restored` that was asked for, per prompt the probability with one token
            and layer restored, (layer, pos), pos from `first` on.
        error: how far the controls' logits are from the model's own.
    """

    clean: Float[Tensor, " prompt"]
    corrupted: Float[Tensor, " prompt"]
    restored: list[list[Float[Tensor, "layer pos"]]] = field(default_factory=list)
    error: float = 0.0


@torch.no_grad()
def restore(
    model: InstrumentedModel,
    prompts: Sequence[CorruptedPrompt],
    parts: Sequence[Restored],
    progress: Progress | None = None,
) -> Restoration:
    """The probability of each prompt's target with every token and layer restored alone.

    Exact: each number is what one pass with hooks would give. Prompts that end as far behind their
    first corrupted token share walks; nothing before the restored token, and nothing below the
    restored layer, is computed for a variant.

    Raises:
        BadInput: no prompts, runs of different lengths, or nothing that differs.
        WorkbenchError: the control of a walk did not come out as the model itself.
    """
    _check(prompts)
    ids = [list(prompt.corrupted) for prompt in prompts]
    job = WatchedWalk(model, [prompt.target for prompt in prompts], ids)
    nothing = torch.full((len(prompts),), float("nan"), dtype=torch.float32)
    found = Restoration(nothing.clone(), nothing.clone(), [[] for _ in parts])
    for n, part in enumerate(parts):
        found.restored[n] = [
            torch.full(
                (len(part.centres(model)), len(prompt.clean) - prompt.first),
                float("nan"),
                dtype=torch.float32,
            )
            for prompt in prompts
        ]
    groups = list(_groups(model, prompts))
    columns = sum(len(prompts[group[0]].clean) - prompts[group[0]].first for group in groups)
    done = 0
    for group in groups:
        one = _Group(model, [prompts[i] for i in group], parts)
        found.clean[group] = one.clean()
        for back in range(one.suffix, 0, -1):

            def report(at: int = done) -> None:
                if progress is not None:
                    progress(at / columns, f"Restored tokens of {len(prompts)} runs")

            before, after = job.run(
                one.batch, group, one.batch.input_ids.shape[1] - back,
                partial(one.edits, back=back),
                keep=one.severed_places, corrupting=one.corrupting, report=report,
            )  # fmt: skip
            found.corrupted[group] = before
            one.write(after, group, one.suffix - back, found.restored)
            done += 1
    job.note()
    found.error = job.error
    return found


class _Group:
    """Prompts that are read together: as far from their first corrupted token to their end."""

    def __init__(
        self,
        model: InstrumentedModel,
        prompts: Sequence[CorruptedPrompt],
        parts: Sequence[Restored],
    ) -> None:
        self.model, self.prompts, self.parts = model, prompts, parts
        self.suffix = len(prompts[0].clean) - prompts[0].first
        self.batch: Batch = model.batch([list(prompt.corrupted) for prompt in prompts])
        self._cleans = list(dict.fromkeys(tuple(prompt.clean) for prompt in prompts))
        self._rows = [self._cleans.index(tuple(prompt.clean)) for prompt in prompts]
        places = {
            Place(SITES[site], layer): None
            for part in parts
            for layer, site in part.site_of(model).items()
        }
        batch = model.batch([list(ids) for ids in self._cleans])
        width = batch.input_ids.shape[1]
        columns = torch.arange(width - self.suffix, width, device=model.device)
        self._values, self._logits = source_values(
            model, batch, list(places), columns.expand(len(self._cleans), -1)
        )

    @property
    def severed_places(self) -> list[Place]:
        wanted = {site for part in self.parts for site in part.severed}
        return [
            Place(SITES[site], layer)
            for site in sorted(wanted)
            for layer in self.model.sites.get(site) or ()
        ]

    def clean(self) -> Float[Tensor, " prompt"]:
        """The probability of the targets in the clean runs."""
        shares = self._logits.float().softmax(-1)[self._rows]
        targets = torch.tensor([prompt.target for prompt in self.prompts], device=shares.device)
        return shares.gather(1, targets[:, None])[:, 0].cpu()

    @contextmanager
    def corrupting(self) -> Iterator[None]:
        """Inside, what enters the first layer carries the noise."""
        if all(prompt.noise is None for prompt in self.prompts):
            yield
            return
        noise = torch.zeros(*self.batch.input_ids.shape, self.model.card.d_model)
        for row, prompt in enumerate(self.prompts):
            if prompt.noise is not None:
                noise[row, -len(prompt.clean) :] = prompt.noise.to(noise)

        def add(x: Tensor) -> Tensor:
            rows = noise[:, -x.shape[1] :].repeat(x.shape[0] // len(noise), 1, 1)
            return x + rows.to(x)

        tap = sites.tap(self.model.layout, Place(SITES["resid_pre"], 0))
        assert tap is not None  # every model has a stream
        handle = tap.attach(add)
        try:
            yield
        finally:
            handle.remove()

    def edits(self, suffix: RecordedSuffix, back: int) -> list[Edit]:
        """Every part and layer restored at the token `back` places before the end, in order of
        the layers in which variants join.
        """
        made = [
            self._edit(part, centre, suffix, back)
            for part in self.parts
            for centre in part.centres(self.model)
        ]
        self._order = sorted(range(len(made)), key=lambda n: made[n].layer)
        return [made[n] for n in self._order]

    def _edit(self, part: Restored, centre: int, suffix: RecordedSuffix, back: int) -> Edit:
        has, n = part.site_of(self.model), suffix.shape[1]
        first, *others = part.window_at(self.model, centre)
        where = torch.zeros(1, 1, n, dtype=torch.bool)
        where[..., n - back] = True

        def values(layer: int) -> Tensor:
            return self._values[has[layer], layer][self._rows, self.suffix - back][None, :, None]

        return Edit(
            has[first], first, values(first), where, None, 1,
            later={layer: (has[layer], values(layer)) for layer in others},
            severed=part.severed,
        )  # fmt: skip

    def write(
        self,
        after: Float[Tensor, "variant prompt"],
        group: Sequence[int],
        pos: int,
        into: list[list[Tensor]],
    ) -> None:
        """Put the probabilities where they belong."""
        in_order = torch.empty_like(after)
        in_order[self._order] = after
        start = 0
        for part, arrays in zip(self.parts, into, strict=True):
            count = len(part.centres(self.model))
            for column, prompt in enumerate(group):
                arrays[prompt][:, pos] = in_order[start : start + count, column]
            start += count


def _groups(model: InstrumentedModel, prompts: Sequence[CorruptedPrompt]) -> Iterator[list[int]]:
    """Prompts that can share walks, as indices."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for n, prompt in enumerate(prompts):
        length = len(prompt.clean)
        key = (length - prompt.first, *(() if model.ignores_padding else (length,)))
        alike.setdefault(key, []).append(n)
    for rows in alike.values():
        for start in range(0, len(rows), _TOGETHER):
            yield rows[start : start + _TOGETHER]


def _check(prompts: Sequence[CorruptedPrompt]) -> None:
    if not prompts:
        raise BadInput("There is no prompt to trace.", "one or more", "Give some.")
    for prompt in prompts:
        if len(prompt.clean) != len(prompt.corrupted):
            raise BadInput(
                f"A prompt has {len(prompt.clean)} tokens and {len(prompt.corrupted)} as it is"
                " corrupted.",
                "as many: what is restored has to stand at the same place",
                "Replace the subject by one of as many tokens.",
            )
        if not 0 <= prompt.first < len(prompt.clean):
            raise BadInput(
                f"Nothing is corrupted in a prompt of {len(prompt.clean)} tokens.",
                f"a first corrupted position of 0 to {len(prompt.clean) - 1}",
                "Name the subject's.",
            )

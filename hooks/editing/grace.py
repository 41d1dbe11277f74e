"""GRACE: facts beside the weights, in a list of keys and values (Hartvigsen et al. 2023).

An entry is a key (what a layer's down projection reads at the last token of a prompt), a value and
a radius. A token whose key lies within the radius of the nearest entry gets the entry's value in
place of what the layer writes; every other token is left alone. So an entry that is deleted leaves
nothing behind.

What differs from the published code: entries are looked up at every token, since a text does not
say where its prompt ends; labels are compared as tokens, not by their mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hooks.editing.down_projections import (
    EditedMatrix,
    down_projection,
    late_layer,
    read_at_subject,
)
from hooks.editing.replay import replays
from hooks.editing.requests import EditRequest, EditRow, answer_tokens
from hooks.editing.side_files import check_made_on, read_side_memory, save_side_memory
from hooks.prompts import Prompts, listed
from workbench.errors import BadInput, NotFound
from workbench.progress import Progress
from workbench.reentrant import reentrant
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

KIND = "GRACE"


@dataclass(frozen=True)
class GraceEntry:
    """Attributes:
    request: what it answers.
    answer: its tokens: two entries with the same ones have the same label.
    key: (d_mlp,).
    value: (d_model,).
    radius: Euclidean, in the units of keys.
    losses: of the search for its value, nats per token of the answer.
    """

    request: EditRequest
    answer: tuple[int, ...]
    key: Float[Tensor, " d_mlp"]
    value: Float[Tensor, " d_model"]
    radius: float
    losses: tuple[float, ...] = ()


@dataclass(frozen=True)
class GraceRoute:
    """Which entry answers a prompt.

    Attributes:
        prompt: its text.
        nearest: number of the entry nearest to the last token's key; None in an empty memory.
        distance: to it.
        radius: its own.
        answered: whether that is near enough.
        elsewhere: how many other tokens of the prompt get some entry's value.
    """

    prompt: str
    nearest: int | None
    distance: float
    radius: float
    answered: bool
    elsewhere: int


class Grace:
    """A list of entries at one layer of a model.

    Args:
        layer: None is three quarters of the way up; the published choices are late layers.
        radius: of a new entry, in the units of the layer's keys.
    """

    def __init__(
        self, model: InstrumentedModel, layer: int | None = None, radius: float = 1.0
    ) -> None:
        if not radius > 0:
            raise BadInput(f"A radius of {radius} holds no key.", "more than 0", "Raise it.")
        self.layer = late_layer(model) if layer is None else layer
        self.matrix: EditedMatrix = down_projection(model, self.layer)
        self.radius = radius
        self.base = model.card.weight_hash
        self.entries: list[GraceEntry] = []

    @ordinary
    def add(
        self,
        model: InstrumentedModel,
        request: EditRequest,
        *,
        steps: int = 100,
        learning_rate: float = 1.0,
        stop_below: float = 0.01,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> int:
        """Add a fact. Returns the number of the entry that answers it.

        Where the nearest entry is farther than both radii, there is a new one. Where it is nearer
        and has another answer, both radii become half the distance; with the same answer, its own
        radius grows to the distance.

        Raises:
            BadInput: of another model, an answer without tokens, or a prompt with the very key of
                another answer.
        """
        check_made_on(self.base, model)
        row = _last_row(model, request)
        seen = read_at_subject(model, [self.matrix], [row])
        key, written = seen.keys[self.layer][0], seen.values[self.layer][0]
        nearest, distance = self._nearest(key)
        radius = self.radius
        if nearest is not None and distance <= self.radius + self.entries[nearest].radius:
            old = self.entries[nearest]
            if old.answer == row.targets:
                self.entries[nearest] = replace(old, radius=max(old.radius, distance))
                return nearest
            if not distance > 0:
                raise BadInput(
                    f"{request.text!r} has an entry already, with another answer"
                    f" ({old.request.answer!r}).",
                    "one answer for a prompt",
                    "Delete that entry first.",
                )
            radius = distance / 2
            self.entries[nearest] = replace(old, radius=radius)
        value, losses = self._value(
            model, row, written, steps, learning_rate, stop_below, seed, progress or Progress()
        )
        self.entries.append(GraceEntry(request, row.targets, key, value, radius, losses))
        return len(self.entries) - 1

    def delete(self, entry: int) -> None:
        """Forget an entry; those behind it move up. (Radii that it has halved stay.)"""
        if not 0 <= entry < len(self.entries):
            raise NotFound(
                f"There is no entry {entry}.",
                f"0 to {len(self.entries) - 1}" if self.entries else "an entry; there are none",
                "Choose another.",
            )
        del self.entries[entry]

    @reentrant
    def applied(self, model: InstrumentedModel) -> Iterator[None]:
        """Inside, the model answers from the memory where a key is near enough.

        Raises:
            BadInput: of another model.
        """
        check_made_on(self.base, model)
        layer = model.layout.blocks[self.layer].down_proj
        assert layer is not None

        def answer(_: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor | None:
            near, number = self._lookup(given[0])
            if not bool(near.any()):
                return None
            values = torch.stack([entry.value for entry in self.entries]).to(out)
            return torch.where(near[..., None], values[number], out)

        handle = layer.register_forward_hook(answer)
        try:
            yield
        finally:
            handle.remove()

    @ordinary
    def route(self, model: InstrumentedModel, prompts: Prompts) -> list[GraceRoute]:
        """Which entry answers each prompt, and how near it is."""
        check_made_on(self.base, model)
        found = []
        for prompt in listed(model, prompts):
            keys = torch.cat(
                [
                    read_at_subject(model, [self.matrix], [EditRow(prompt.ids, at)]).keys[
                        self.layer
                    ]
                    for at in range(len(prompt.ids))
                ]
            )
            near, _ = self._lookup(keys)
            nearest, distance = self._nearest(keys[-1])
            radius = float("nan") if nearest is None else self.entries[nearest].radius
            answered = bool(near[-1])
            found.append(
                GraceRoute(
                    prompt.text, nearest, distance, radius, answered, int(near.sum()) - answered
                )
            )
        return found

    def save(self, path: str | Path) -> Path:
        """Write it as a file that only the workbench opens.

        Raises:
            BadInput, WorkbenchError: as of a delta.
        """
        tensors: dict[str, Tensor] = {}
        about = []
        for n, entry in enumerate(self.entries):
            tensors |= {f"{n}.key": entry.key, f"{n}.value": entry.value}
            about.append(
                {
                    "request": vars(entry.request),
                    "answer": entry.answer,
                    "radius": entry.radius,
                    "losses": entry.losses,
                }
            )
        head = {"layer": self.layer, "radius": self.radius, "entries": about}
        return save_side_memory(path, KIND, self.base, json.dumps(head), tensors)

    @classmethod
    def read(cls, model: InstrumentedModel, path: str | Path) -> Grace:
        """What `save` wrote.

        Raises:
            BadInput: it is damaged, something else, or of another model.
        """
        saved = read_side_memory(path, KIND, model)
        found = cls(model, saved.head["layer"], saved.head["radius"])
        for n, about in enumerate(saved.head["entries"]):
            found.entries.append(
                GraceEntry(
                    EditRequest(**about["request"]),
                    tuple(about["answer"]),
                    saved.tensor(f"{n}.key", (found.matrix.d_mlp,)),
                    saved.tensor(f"{n}.value", (model.card.d_model,)),
                    float(about["radius"]),
                    tuple(about["losses"]),
                )
            )
        return found

    def _nearest(self, key: Tensor) -> tuple[int | None, float]:
        if not self.entries:
            return None, float("inf")
        distances = torch.stack([(entry.key - key).norm() for entry in self.entries])
        return int(distances.argmin()), float(distances.min())

    def _lookup(self, keys: Float[Tensor, "*rows d_mlp"]) -> tuple[Tensor, Tensor]:
        """(whether the nearest entry is near enough, its number) of each key."""
        if not self.entries:
            none = torch.zeros(keys.shape[:-1], dtype=torch.bool, device=keys.device)
            return none, none.long()
        known = torch.stack([entry.key for entry in self.entries]).to(keys.device)
        radii = torch.tensor([entry.radius for entry in self.entries], device=keys.device)
        flat = keys.reshape(-1, keys.shape[-1]).float()
        # By differences: the short way through products loses what small distances need.
        distances = torch.stack([(flat - one).norm(dim=-1) for one in known], -1)
        distances = distances.reshape(*keys.shape[:-1], len(known))
        least, number = distances.min(-1)
        return least <= radii[number], number

    def _value(
        self,
        model: InstrumentedModel,
        row: EditRow,
        written: Tensor,
        steps: int,
        learning_rate: float,
        stop_below: float,
        seed: int,
        progress: Progress,
    ) -> tuple[Tensor, tuple[float, ...]]:
        """What the layer is to write at the prompt's last token: from a random start, by Adam."""
        draw = torch.Generator().manual_seed(seed)
        value = torch.rand(written.shape, generator=draw).to(written).requires_grad_()
        optimizer = torch.optim.Adam([value], lr=learning_rate)
        (group,) = replays(model, [row], self.layer, "mlp")
        wanted = torch.tensor(row.targets, device=written.device)
        losses: list[float] = []
        best = value.detach().clone()
        for step in range(steps):
            progress(step / steps, f"Looking for the value, step {step + 1} of {steps}")
            with torch.enable_grad():
                logits = group.logits((value - written)[None])
                loss = nn.functional.cross_entropy(logits, wanted)
                (value.grad,) = torch.autograd.grad(loss, value)
            losses.append(float(loss.detach()))
            if losses[-1] <= min(losses):
                best = value.detach().clone()
            if losses[-1] < stop_below:
                break
            optimizer.step()
        if losses[-1] != losses[-1]:
            raise BadInput(
                "The loss of this entry is no number.", "a finite loss", "Choose another layer."
            )
        return best, tuple(losses)


def _last_row(model: InstrumentedModel, request: EditRequest) -> EditRow:
    """The prompt with all but the last token of its answer; the place is its own last token."""
    targets = answer_tokens(model, request)
    ids: Sequence[int] = model.tokens(request.text)
    return EditRow([*ids, *targets[:-1]], len(ids) - 1, targets)

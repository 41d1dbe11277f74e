"""WISE: edits in a copy of one matrix, and a router that says which prompts it answers (Wang et al.
2024).

The copy W' of a late down projection is trained on each edit; W stays. A prompt's distance is d =
mean over its tokens of |W x - W' x|. Training pushes d of edits up and d of other text down:

    loss = NLL + relu(d_out - d_in + 10) + relu(d_out - 5) + relu(20 - d_in)

A prompt is answered by W' where its d is at least a share of the smallest that an edit had. Each
shard of edits trains a random fifth of W'; where there are several, the one with the largest d
answers (WISE-Retrieve), or they are merged (TIES; WISE-Merge).

Margins depend on a model's scale: here d is counted in twentieths of the median |W x| of neutral
text, and the learning rate in what moves d by one such unit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from hooks.editing.down_projections import EditedMatrix, down_projection, late_layer
from hooks.editing.edit import WeightEdit, fingerprint
from hooks.editing.requests import EditRequest, answer_tokens
from hooks.editing.side_files import check_made_on, read_side_memory, save_side_memory
from hooks.editing.wise_training import (
    WiseSettings,
    WiseShard,
    distance,
    neutral_sentence,
    read_keys,
    scale_of,
    ties,
    train_shard,
)
from hooks.positions import PositionTracker, track_positions
from hooks.prompts import Prompts, listed
from workbench.errors import BadInput
from workbench.models.weight_delta import Delta
from workbench.progress import Progress
from workbench.reentrant import reentrant
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

KIND = "WISE"


@dataclass(frozen=True)
class WiseRoute:
    """Who answers a prompt.

    Attributes:
        prompt: its text.
        distances: to each shard.
        thresholds: from which distance each shard answers.
        shard: the one that does; None is the model as it is.
    """

    prompt: str
    distances: tuple[float, ...]
    thresholds: tuple[float, ...]
    shard: int | None


class Wise:
    """Edits beside one matrix of a model.

    Args:
        layer: None is three quarters of the way up.
    """

    def __init__(
        self,
        model: InstrumentedModel,
        layer: int | None = None,
        settings: WiseSettings | None = None,
    ) -> None:
        self.layer = late_layer(model) if layer is None else layer
        self.matrix: EditedMatrix = down_projection(model, self.layer)
        self.settings = settings or WiseSettings()
        self.base = model.card.weight_hash
        self.shards: list[WiseShard] = []
        self.scale = scale_of(model, self.matrix)

    @ordinary
    def add(
        self,
        model: InstrumentedModel,
        request: EditRequest,
        irrelevant: str | None = None,
        *,
        progress: Progress | None = None,
    ) -> int:
        """Train the newest shard on an edit. Returns the shard's number.

        Args:
            irrelevant: a text that is to stay with W; None is a sentence of neutral text, another
                one for each edit.

        Raises:
            BadInput: of another model, an answer without tokens, or a loss that is no number.
        """
        check_made_on(self.base, model)
        answer_tokens(model, request)
        if not self.shards or len(self.shards[-1].requests) >= self.settings.per_shard:
            self.shards.append(WiseShard(torch.zeros_like(self.matrix.weight().float())))
        shard = self.shards[-1]
        done = sum(len(each.requests) for each in self.shards)
        outside = read_keys(model, self.matrix, [irrelevant or neutral_sentence(done)])
        number = len(self.shards) - 1
        seed = self.settings.seed + number
        train_shard(
            model,
            self.matrix,
            shard,
            request,
            outside,
            self.scale,
            self.settings,
            seed,
            progress or Progress(),
        )
        return number

    @reentrant
    def applied(self, model: InstrumentedModel) -> Iterator[None]:
        """Inside, prompts that are routed to a shard are read by it, and so is what is generated
        behind them. A text that is read at once is a prompt as a whole.

        Raises:
            BadInput: of another model.
        """
        check_made_on(self.base, model)
        module = model.layout.blocks[self.layer].down_proj
        assert module is not None
        decided: list[Tensor] = []
        with track_positions(model) as tracker:

            def answer(_: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor | None:
                if not self.shards:
                    return None
                chosen = self._choice(tracker, given[0], decided)
                decided[:] = [chosen]
                if bool((chosen < 0).all()):
                    return None
                x = given[0].reshape(len(chosen), -1, given[0].shape[-1])
                new = out.reshape(len(chosen), -1, out.shape[-1]).clone()
                for number, shard in enumerate(self.shards):
                    rows = chosen == number
                    new[rows] += x[rows] @ shard.change.T.to(x)
                return new.view(out.shape)

            handle = module.register_forward_hook(answer)
            try:
                yield
            finally:
                handle.remove()

    @ordinary
    def route(self, model: InstrumentedModel, prompts: Prompts) -> list[WiseRoute]:
        """Who answers each prompt, and by how much."""
        check_made_on(self.base, model)
        found = []
        thresholds = tuple(self._thresholds())
        for prompt in listed(model, prompts):
            keys = read_keys(model, self.matrix, [prompt.ids])
            distances = tuple(float(distance(s.change, keys)) for s in self.shards)
            shard = _best(torch.tensor([distances]), thresholds) if distances else None
            number = None if shard is None or int(shard) < 0 else int(shard)
            found.append(WiseRoute(prompt.text, distances, thresholds, number))
        return found

    @ordinary
    def merged(self, model: InstrumentedModel) -> Wise:
        """All shards as one (TIES: of each change the largest numbers, the sign of their sum, the
        mean of those that agree with it), with its edits' distances measured anew.
        """
        check_made_on(self.base, model)
        self._check_any()
        one = Wise(model, self.layer, self.settings)
        change = ties([shard.change for shard in self.shards], self.settings.merge_kept)
        requests = [request for shard in self.shards for request in shard.requests]
        losses = [each for shard in self.shards for each in shard.losses]
        least = min(
            float(distance(change, read_keys(model, self.matrix, [request.text])))
            for request in requests
        )
        one.shards = [WiseShard(change, requests, least, losses)]
        return one

    def as_weights(self, model: InstrumentedModel) -> WeightEdit:
        """The merged change in the weights themselves, for every prompt: WISE-Merge without its
        router.
        """
        check_made_on(self.base, model)
        self._check_any()
        change = ties([shard.change for shard in self.shards], self.settings.merge_kept)
        requests = tuple(request for shard in self.shards for request in shard.requests)
        new = self.matrix.weight().float() + change
        kept, moved = (new.T, change.T) if self.matrix.turned else (new, change)
        flat = kept.reshape(-1).cpu().numpy()
        where = np.flatnonzero(moved.reshape(-1).cpu().numpy()).astype(np.int64)
        about = f"WISE-Merge, layer {self.layer}: {' '.join(r.statement for r in requests)}"
        weights, says, source = fingerprint(model, about[:500])
        name = self.matrix.name
        delta = Delta(weights, says, {name: where}, {name: flat[where]}, source)
        return WeightEdit(
            "WISE-Merge",
            requests,
            (self.layer,),
            delta,
            self.base,
            trained_norm=float(change.double().norm()),
        )

    def save(self, path: str | Path) -> Path:
        """Write it as a file that only the workbench opens.

        Raises:
            BadInput, WorkbenchError: as of a delta.
        """
        head = {
            "layer": self.layer,
            "settings": asdict(self.settings),
            "shards": [
                {
                    "requests": [vars(request) for request in shard.requests],
                    "least": shard.least,
                    "losses": shard.losses,
                }
                for shard in self.shards
            ],
        }
        tensors = {f"{n}.change": shard.change for n, shard in enumerate(self.shards)}
        return save_side_memory(path, KIND, self.base, json.dumps(head), tensors)

    @classmethod
    def read(cls, model: InstrumentedModel, path: str | Path) -> Wise:
        """What `save` wrote.

        Raises:
            BadInput: it is damaged, something else, or of another model.
        """
        saved = read_side_memory(path, KIND, model)
        found = cls(model, saved.head["layer"], WiseSettings(**saved.head["settings"]))
        shape = tuple(found.matrix.weight().shape)
        for n, about in enumerate(saved.head["shards"]):
            found.shards.append(
                WiseShard(
                    saved.tensor(f"{n}.change", shape),
                    [EditRequest(**request) for request in about["requests"]],
                    float(about["least"]),
                    [tuple(losses) for losses in about["losses"]],
                )
            )
        return found

    def _check_any(self) -> None:
        if not self.shards:
            raise BadInput("There is no edit in this memory.", "one or more", "Add one.")

    def _thresholds(self) -> list[float]:
        return [self.settings.route * shard.least for shard in self.shards]

    @torch.no_grad()
    def _choice(self, tracker: PositionTracker, given: Tensor, decided: list[Tensor]) -> Tensor:
        """The shard of every row, -1 for none: decided when its prompt is read, and kept while text
        is generated.
        """
        n = given.shape[0] if tracker.index is None else len(tracker.index)
        index, lengths = tracker.text(n)
        x = given.reshape(n, -1, given.shape[-1]).float()
        mask = ((index >= 0) & (index < lengths[:, None])).to(x.device)
        distances = torch.stack([distance(s.change, x, mask) for s in self.shards], -1)
        now = _best(distances, self._thresholds())
        before = decided[0] if decided and len(decided[0]) == n else torch.full_like(now, -1)
        return torch.where(mask.any(-1), now, before)


def _best(distances: Float[Tensor, "row shard"], thresholds: Sequence[float]) -> Tensor:
    """The shard with the largest distance of those that answer; -1 where none does."""
    floors = torch.tensor(thresholds, device=distances.device).to(distances)
    able = torch.where(distances >= floors, distances, -1.0)
    largest, number = able.max(-1)
    return torch.where(largest >= 0, number, -1)

"""RMU: hidden states of what is to be forgotten are pushed in a random direction, those of what is
to be retained stay (Li et al. 2024, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.editing.down_projections import down_projection, editable_layers, watching
from hooks.unlearning.objectives import LossTerm, ReadText, read
from hooks.unlearning.original_model import OriginalModel
from hooks.unlearning.settings import Settings
from hooks.unlearning.texts import Text
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

TRAINED = 3  # layers whose down projections move, up to the one whose states are read


def steered_layer(model: InstrumentedModel, layer: int | None) -> int:
    """The layer after which states are pushed; None is a third of the way up, and no lower than the
    third.

    Raises:
        BadInput: no such layer.
        Unfit: it has no down projection.
    """
    if layer is None:
        wanted = max(min(TRAINED, model.n_layers) - 1, round(model.n_layers / 3))
        fit = editable_layers(model)
        layer = min(fit, key=lambda n: (abs(n - wanted), n)) if fit else wanted
    down_projection(model, layer)
    return layer


def steered_names(model: InstrumentedModel, layer: int) -> list[str]:
    """The down projections of this layer and the two before it that have one."""
    return [
        down_projection(model, n).name
        for n in editable_layers(model)
        if layer - TRAINED < n <= layer
    ]


class Steering:
    """RMU's objective: the mean squared distance, over tokens and dimensions, from a vector of
    random direction; and for texts to retain from the states they had.

    Distances are counted in mean squared lengths of a dimension of the original's states on the
    texts to forget, so that one weight fits models of any size.
    """

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        original: OriginalModel,
        forget: Sequence[Text],
        layer: int,
        weight: float,
        settings: Settings,
    ) -> None:
        self.weight, self._original = weight, original
        self._module = original.model.layout.blocks[layer].module
        states = torch.cat(
            [
                state
                for chosen in original.model.batch_indices(
                    [len(t.ids) for t in forget], settings.batch
                )
                for state in self._before([forget[i] for i in chosen])
            ]
        )
        length = float(states.norm(dim=-1).mean())
        if not length > 0:
            raise BadInput(
                f"The states after layer {layer} are zero.", "another layer", "Name one."
            )
        self._unit = float(states.square().mean())
        draw = torch.Generator().manual_seed(settings.seed)
        direction = torch.rand(states.shape[1], generator=draw)
        self._aim = (settings.steer * length * direction / direction.norm()).to(states.device)

    def forget(self, texts: Sequence[Text]) -> Iterator[LossTerm]:
        for text, state in self._read(texts):
            yield text.term((state - self._aim).square().mean() / self._unit)

    def retain(self, texts: Sequence[Text]) -> Iterator[LossTerm]:
        before = self._before(texts)
        for (text, state), old in zip(self._read(texts), before, strict=True):
            yield text.term((state - old).square().mean() / self._unit)

    def _before(self, texts: Sequence[Text]) -> list[Tensor]:
        return self._original(
            "states", texts, lambda some: [state for _, state in self._read(some)]
        )

    def _read(
        self, texts: Sequence[Text]
    ) -> Iterator[tuple[ReadText, Float[Tensor, "pos d_model"]]]:
        states: list[Tensor] = []
        with watching({0: self._module}, lambda _, given, out: states.append(out)):
            read_texts = list(read(self._original.model, texts))
        for n, each in enumerate(read_texts):
            yield each, states[0][n, -len(each.text.ids) :].float()

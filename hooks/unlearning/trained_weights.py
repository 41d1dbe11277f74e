"""What unlearning moves: entries of matrices, or matrices of low rank beside them. Adam sees
float32, whatever the model is kept in.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hooks.discovery.trace_modules import is_matrix
from hooks.editing.down_projections import EditedMatrix, edited_matrix
from hooks.editing.edit import factored
from hooks.weights import requires_grad
from workbench.errors import BadInput, Unfit
from workbench.models.storage import check_present, plain
from workbench.models.weight_delta import Delta

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Snapshot = list[Tensor]
RANK = 16


class TrainedWeights(ABC):
    """What Adam moves, and how it reaches the model.

    Attributes:
        tensors: what is moved, float32.
        spreads: standard deviation of each, which rates are multiples of.
    """

    tensors: list[Tensor]
    spreads: list[float]

    @abstractmethod
    def on(self) -> Any:
        """Inside, the model computes with `tensors`; afterwards it is what it was, bit for bit."""

    @abstractmethod
    def off(self) -> Any:
        """Inside, the model computes as before, while `on`."""

    @abstractmethod
    def add_gradients(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those of `tensors`."""

    @abstractmethod
    def write(self) -> None:
        """Let the model see `tensors` as they are now."""

    @abstractmethod
    def scaled(self, snapshot: Snapshot, share: float) -> Snapshot:
        """The change of a snapshot, so many times."""

    @abstractmethod
    def delta(self, about: tuple[str, str, str]) -> Delta:
        """The change as it is now; `about` is from `hooks.editing.edit.fingerprint`."""

    def snapshot(self) -> Snapshot:
        return [tensor.detach().clone() for tensor in self.tensors]

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        """Make `tensors` what they were; the model sees it after `write`."""
        for tensor, old in zip(self.tensors, snapshot, strict=True):
            tensor.copy_(old)


class MatrixEntries(TrainedWeights):
    """Entries of some parameters.

    Args:
        names: of parameters of the model.
        places: of each, which entries, counted in its flat form; None is all.
        among: how many entries there are to choose from; None is those of these parameters. Of few
            each moves farther, so that a step is as long in all as one of every entry.
    """

    def __init__(
        self,
        model: InstrumentedModel,
        names: Sequence[str],
        places: Sequence[Tensor] | None = None,
        among: int | None = None,
    ) -> None:
        self.names = list(names)
        self.parameters = [model.module.get_parameter(name) for name in names]
        self.places: list[Tensor | slice[None]] = (
            [slice(None)] * len(self.names) if places is None else list(places)
        )
        self._before = [p.detach().clone() for p in self.parameters]
        self.tensors = [
            flat.view(-1)[where].float().clone()
            for flat, where in zip(self._before, self.places, strict=True)
        ]
        among = among or sum(p.numel() for p in self.parameters)
        farther = math.sqrt(among / max(1, sum(map(len, self.tensors))))
        self.spreads = [farther * float(p.detach().float().std()) for p in self.parameters]

    @contextmanager
    def on(self) -> Iterator[None]:
        with requires_grad(self.parameters):
            try:
                self.write()
                yield
            finally:
                self._put(self._before)

    @contextmanager
    def off(self) -> Iterator[None]:
        self._put(self._before)
        try:
            yield
        finally:
            self.write()

    @torch.no_grad()
    def _put(self, whole: Sequence[Tensor]) -> None:
        for parameter, old in zip(self.parameters, whole, strict=True):
            parameter.detach().copy_(old)

    def add_gradients(self, loss: Tensor) -> None:
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        for tensor, where, gradient in zip(self.tensors, self.places, found, strict=True):
            if gradient is not None:
                part = gradient.reshape(-1)[where].float()
                tensor.grad = part if tensor.grad is None else tensor.grad + part

    @torch.no_grad()
    def write(self) -> None:
        for parameter, where, tensor in zip(
            self.parameters, self.places, self.tensors, strict=True
        ):
            parameter.detach().view(-1)[where] = tensor.to(parameter.dtype)

    def scaled(self, snapshot: Snapshot, share: float) -> Snapshot:
        return [
            old.view(-1)[where].float().lerp(new, share)
            for old, where, new in zip(self._before, self.places, snapshot, strict=True)
        ]

    def delta(self, about: tuple[str, str, str]) -> Delta:
        index, values = {}, {}
        for name, where, old, new in zip(
            self.names, self.places, self._before, self.tensors, strict=True
        ):
            flat = old.view(-1)
            rounded = new.to(old.dtype)
            moved = (rounded != flat[where]).nonzero()[:, 0]
            chosen = moved if isinstance(where, slice) else where[moved]
            index[name] = chosen.cpu().numpy()
            values[name] = rounded[moved].float().cpu().numpy()
        weights, sentence, source = about
        return Delta(weights, sentence, index, values, source)


class LowRankMatrices(TrainedWeights):
    """Matrices of low rank beside linear layers (LoRA, Hu et al. 2022). The products are scaled so
    that a step of the same rate moves an entry of the sum about as far as it would move the entry
    of a matrix that is trained itself.
    """

    def __init__(self, matrices: Sequence[EditedMatrix], rank: int, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.matrices = list(matrices)
        self.tensors, self.spreads, self.scales = [], [], []
        for matrix in matrices:
            weight = matrix.weight().detach()
            outputs, inputs = weight.shape
            own = min(rank, outputs, inputs)
            down = (torch.rand(own, inputs, generator=draw) * 2 - 1) / math.sqrt(inputs)
            up = torch.zeros(outputs, own)
            self.spreads += [float(down.std()), float(weight.float().std())]
            self.tensors += [t.to(weight.device).requires_grad_() for t in (down, up)]
            # `down` has a variance of 1 / (3 inputs)
            self.scales.append(math.sqrt(3 * inputs / own))
        self._is_on = True

    def _parts(self) -> Iterator[tuple[EditedMatrix, Tensor, Tensor, float]]:
        for n, matrix in enumerate(self.matrices):
            yield matrix, self.tensors[2 * n], self.tensors[2 * n + 1], self.scales[n]

    @contextmanager
    def on(self) -> Iterator[None]:
        with ExitStack() as stack:
            for matrix, down, up, scale in self._parts():

                def add(
                    _: nn.Module,
                    given: tuple[Any, ...],
                    out: Tensor,
                    down: Tensor = down,
                    up: Tensor = up,
                    scale: float = scale,
                ) -> Tensor:
                    if not self._is_on:
                        return out
                    x: Tensor = given[0]
                    added: Tensor = scale * (x @ down.T.to(x)) @ up.T.to(x)
                    return out + added

                stack.callback(matrix.module.register_forward_hook(add).remove)
            yield

    @contextmanager
    def off(self) -> Iterator[None]:
        self._is_on = False
        try:
            yield
        finally:
            self._is_on = True

    def add_gradients(self, loss: Tensor) -> None:
        found = torch.autograd.grad(loss, self.tensors, allow_unused=True)
        for tensor, gradient in zip(self.tensors, found, strict=True):
            if gradient is not None:
                tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient

    def write(self) -> None:
        """Nothing is to be done: the factors are read at every pass."""

    def scaled(self, snapshot: Snapshot, share: float) -> Snapshot:
        return [each * share if n % 2 else each for n, each in enumerate(snapshot)]

    def delta(self, about: tuple[str, str, str]) -> Delta:
        return factored(
            about,
            [
                (matrix, (scale * up).detach().T, down.detach())
                for matrix, down, up, scale in self._parts()
            ],
        )


def matrix_names(model: InstrumentedModel) -> list[str]:
    """The parameters of the layers that are matrices: no embeddings, no norms, no biases.

    Raises:
        BadInput: some are quantized, or lie elsewhere.
    """
    check_present(model.module, model.card.name, "unlearning")
    names = {id(p): name for name, p in model.module.named_parameters()}
    found: dict[str, Tensor] = {}
    for block in model.layout.blocks:
        for parameter in block.module.parameters():
            if parameter.dim() > 1 or not plain(parameter):
                found[names[id(parameter)]] = parameter
    for name, matrix in found.items():
        if not plain(matrix):
            raise BadInput(
                f"{name} is quantized: it has no gradient.",
                "weights in floating point",
                "Load the model without quantization.",
            )
    return list(found)


def low_rank(model: InstrumentedModel, seed: int) -> LowRankMatrices:
    """Factors beside every linear layer of attention and MLP, but for the routers of experts.

    Raises:
        BadInput: quantized weights.
        Unfit: there is no linear layer.
    """
    check_present(model.module, model.card.name, "unlearning")
    found: dict[str, EditedMatrix] = {}
    for number, block in enumerate(model.layout.blocks):
        inside: set[int] = {id(block.router)}
        for module in block.module.modules():
            if id(module) not in inside and is_matrix(module):
                inside |= {id(part) for part in module.modules()}
                matrix = edited_matrix(model, number, module, type(module).__name__)
                found.setdefault(matrix.name, matrix)
    if not found:
        raise Unfit(
            f"{model.card.name} has no linear layer to put matrices of low rank beside.",
            "a model with one",
            'Train its own matrices: weights="all".',
        )
    return LowRankMatrices(list(found.values()), RANK, seed)

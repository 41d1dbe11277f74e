"""A change of weights that was made on purpose: applied for a while, taken back bit for bit, kept
as a small file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hooks.editing.down_projections import EditedMatrix
from hooks.editing.requests import EditRequest
from hooks.editing.values import ValueLog
from workbench.errors import BadInput
from workbench.models.card import weight_hash
from workbench.models.weight_delta import Delta
from workbench.reentrant import reentrant

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class EditLog:
    """How an edit came about.

    Attributes:
        values: of each request, how its vector was found; () for methods that look for none.
        losses: of methods that train weights: mean nats per token of the answers, by step.
        key_ratio: k·u / k̄·u, the bare prompt's key over the mean of all prefixes'. Where it is
            small, the original ROME writes too much: a disabling edit. None for other methods.
        stopped: why training ended, of methods that train weights.
        left_over: of MEMIT, by request: which share of the change that was wanted of the residual
            stream is still missing once all layers are changed.
        notes: what is to be known of this edit, in sentences: the layer, the ridge, a norm behind
            the MLP.
    """

    values: tuple[ValueLog, ...] = ()
    losses: tuple[float, ...] = ()
    key_ratio: float | None = None
    stopped: str = ""
    left_over: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightEdit:
    """A change of weights, with what it was to do.

    Attributes:
        method: and variant: "ROME (r-ROME)".
        requests: what was asked for.
        layers: which were changed, in order.
        delta: the change; of rank 1 for ROME, of one rank per request for MEMIT.
        base: `weight_hash` on the card of the model it was made on. (`delta.weights` is that of the
            weights as they were then: they differ where other edits were on.)
        keys: by layer, what is looked up, (request, d_mlp).
        values: by layer, what is to be found there (less the bias), (request, d_model).
        trained_norm: of what is added without factors (Frobenius).
    """

    method: str
    requests: tuple[EditRequest, ...]
    layers: tuple[int, ...]
    delta: Delta
    base: str
    log: EditLog = field(default_factory=EditLog)
    keys: Mapping[int, Tensor] = field(default_factory=dict)
    values: Mapping[int, Tensor] = field(default_factory=dict)
    trained_norm: float = 0.0

    @reentrant
    def applied(self, model: InstrumentedModel, share: float = 1.0) -> Iterator[None]:
        """The model as changed, for a while, `share` of the way; afterwards its weights are what
        they were, bit for bit. Several may be on, and be left in any order.

        Raises:
            BadInput: it was made on another model.
        """
        check_base(self.base, model)
        with self.delta.applied(model.module, share):
            yield

    def save(self, path: str | Path) -> Path:
        """Write it as a file that opens with its model: `wb.load("MODEL+FILE.safetensors")`. An
        edit that was made while others were on opens behind theirs: `MODEL+FIRST+THIS`.

        Raises:
            BadInput: the name does not end in .safetensors.
            WorkbenchError: it cannot be written, or is there already.
        """
        return self.delta.save(path)

    @property
    def norm(self) -> float:
        """Of all that is added (Frobenius)."""
        total = self.trained_norm**2
        for name, left in self.delta.left.items():
            rows, columns = torch.as_tensor(left).double(), torch.as_tensor(self.delta.right[name])
            # |L R|² = tr(LᵀL R Rᵀ), without making the matrix
            total += float(((rows.T @ rows) * (columns.double() @ columns.double().T)).sum())
        return math.sqrt(max(total, 0.0))


def check_base(base: str, model: InstrumentedModel) -> None:
    """Fail unless a change was made on this model.

    Args:
        base: `weight_hash` on the card of the model it was made on.

    Raises:
        BadInput: it was made on another.
    """
    if base != model.card.weight_hash:
        raise BadInput(
            f"This change was made on other weights than those of {model.card.name}.",
            f"the model whose fingerprint is {base}",
            "Open the model it was made on, in the same dtype.",
        )


def factored(
    about: tuple[str, str, str],
    changes: Sequence[tuple[EditedMatrix, Tensor, Tensor]],
) -> Delta:
    """A delta that adds valuesᵀ @ keys to matrices.

    Args:
        about: from `fingerprint`.
        changes: (matrix, values (rank, outputs), keys (rank, inputs)), each matrix once.
    """
    left, right = {}, {}
    for matrix, values, keys in changes:
        rows, columns = (keys, values) if matrix.turned else (values, keys)
        left[matrix.name] = rows.T.float().cpu().contiguous().numpy()
        right[matrix.name] = columns.float().cpu().contiguous().numpy()
    weights, sentence, name = about
    return Delta(weights, sentence, {}, {}, name, left, right)


def fingerprint(model: InstrumentedModel, about: str) -> tuple[str, str, str]:
    """Of the weights as they are now, a sentence, and the model's name where that is enough to
    get these weights.
    """
    now = weight_hash(model.module)
    return now, about, model.card.source if now == model.card.weight_hash else ""

"""How much of a place an autoencoder explains: measured on text, never taken on trust."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from hooks.features.activation_stream import token_losses, values, windows
from hooks.features.sae import SKIP
from hooks.interventions import ablate
from workbench import default_corpus

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.features.sae import SAE
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

CONTEXT = 128  # tokens of a window
_AT_ONCE = 16  # windows of a forward pass
_LOSS_WINDOWS = (
    128  # of the windows measured; a loss takes every layer and the unembedding, three times over
)


class Explained:
    """Explained variance, L0 and dead features, added up batch by batch.

    Explained variance is 1 − Σ‖x − x̂‖² / Σ‖x − x̄‖² over all vectors added. L0 is the mean number
    of active features.
    """

    def __init__(self, features: SAE) -> None:
        self._features = features
        self._n = 0
        self._sum: Tensor | float = 0.0
        self._squares = self._error = self._active = 0.0
        self._fired: Tensor | None = None

    def add(self, x: Tensor) -> None:
        """Vectors at the place, (…, *site's axes of one token)."""
        features = self._features
        found, decoded = features.encode_decode(x)
        flat = features.flat(x).to(decoded).double()
        off = flat - decoded.double()
        self._n += found[..., 0].numel()
        self._sum = self._sum + flat.flatten(0, -2).sum(0)
        self._squares += float(flat.pow(2).sum())
        self._error += float(off.pow(2).sum())
        active = found > 0
        self._active += float(active.sum())
        fired = active.flatten(0, -2).any(0)
        self._fired = fired if self._fired is None else self._fired | fired

    def card(self) -> dict[str, Any]:
        assert self._fired is not None
        total = self._squares - float((torch.as_tensor(self._sum) ** 2).sum()) / self._n
        return {
            "tokens_measured": self._n,
            "explained_variance": 1 - self._error / total if total > 0 else float("nan"),
            "l0": self._active / self._n,
            "features": self._features.width,
            "never_active": int((~self._fired).sum()),
        }


def explained(
    features: SAE, ids: Sequence[Sequence[int]], progress: Progress | None = None
) -> dict[str, Any]:
    """`Explained` on windows of one length, but for the first tokens of each."""
    found = Explained(features)
    for start in range(0, len(ids), _AT_ONCE):
        if progress is not None:
            progress(start / len(ids), f"Measuring {features.name}")
        found.add(
            values(features.model, [features.place], ids[start : start + _AT_ONCE])[features.place][
                :, SKIP:
            ]
        )
    return found.card()


def quality(
    features: SAE, ids: Sequence[Sequence[int]], progress: Progress, own: float | None = None
) -> dict[str, Any]:
    """The quality card: `Explained`, and the model's loss with the reconstruction in the place of
    the vectors.

    Args:
        own: `own_loss` on the same windows, where it is known already.

    Returns:
        What `Explained.card` has, and in nats per token `loss` (of the model itself),
        `loss_spliced` (with the reconstruction), `loss_zeroed` (with nothing there), `recovered` =
        (zeroed − spliced) / (zeroed − own). The first tokens of every window are left as they are,
        and not counted.
    """
    card = explained(features, ids, progress.subprogress(0, 0.3))
    some, rest = ids[:_LOSS_WINDOWS], list(range(SKIP, len(ids[0])))
    model, place = features.model, features.place
    own = own_loss(model, ids, progress.subprogress(0.3, 0.5)) if own is None else own
    with features.splice(positions=rest):
        spliced = _loss(model, some, progress.subprogress(0.5, 0.75))
    with ablate(model, site=place.name, positions=rest):
        zeroed = _loss(model, some, progress.subprogress(0.75, 1.0))
    losses = {
        "loss_tokens": len(some) * (len(rest) - 1),
        "loss": own,
        "loss_spliced": spliced,
        "loss_zeroed": zeroed,
        "recovered": (zeroed - spliced) / (zeroed - own),
    }
    return {**card, **losses}


def own_loss(model: InstrumentedModel, ids: Sequence[Sequence[int]], progress: Progress) -> float:
    """The model's own loss on as many of the windows as `quality` takes for losses, nats per
    token.
    """
    return _loss(model, ids[:_LOSS_WINDOWS], progress)


@torch.no_grad()
def _loss(model: InstrumentedModel, ids: Sequence[Sequence[int]], progress: Progress) -> float:
    """Mean over the tokens after the first ones, nats per token."""
    total = n = 0.0
    for start in range(0, len(ids), _AT_ONCE):
        progress(start / len(ids), "Measuring the model's loss")
        losses = token_losses(model, ids[start : start + _AT_ONCE])[:, SKIP + 1 :]
        total, n = total + float(losses.sum()), n + losses.numel()
    return total / n


def held_out(
    model: InstrumentedModel, count: int, context: int = CONTEXT, sampled: Sequence[str] = ()
) -> list[list[int]]:
    """Windows of the held-out share of the mixture that comes with the workbench."""
    return list(
        islice(
            windows(
                model, (d.text for d in default_corpus.documents("held-out", sampled)), context
            ),
            count,
        )
    )

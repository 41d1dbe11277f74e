"""Which features pushed the answer: the gradient of a metric along every feature, times how
active it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.capture import capture
from hooks.gradients.activations import activation_gradients
from hooks.metrics import loss
from hooks.prompts import split
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import pandas as pd

    from hooks.features.sae import SAE
    from hooks.metrics import Metrics
    from workbench.trace import Trace

ERROR = -1
"""The number that stands for the error term, what no feature says."""


@ordinary
def attribute_features(
    features: SAE,
    prompts: str | Sequence[str] | Sequence[Sequence[int]],
    metric: Metrics = loss,
    k: int = 50,
) -> pd.DataFrame:
    """A first-order guess of what each feature at each token adds to a metric (Marks et al. 2024,
    attribution patching).

    Args:
        metric: one for all prompts, or one each; see `hooks.metrics`.
        k: rows per prompt, those of the largest effect; the error term's come on top.

    Returns:
        Columns prompt, pos, token, feature (-1 is the error term), activation, and effect: f ·
        (∂metric/∂h · d), in units of the metric; about what the metric would lose if the feature
        were taken out at that token.

    Raises:
        BadInput: see `activation_gradients`.
    """
    import pandas as pd

    model, name = features.model, features.place.name
    given = list(split(prompts))
    slopes = activation_gradients(model, given, metric, sites=name)
    held = capture(model, given, sites=name)
    rows = []
    for n, length in enumerate(held.lengths):
        x, slope = (vectors_at(features, trace, n) for trace in (held, slopes))
        found, decoded = features.encode_decode(x)
        effects = first_order(features, x, slope, found).cpu()
        lost = ((features.flat(x) - decoded) * features.flat(slope)).sum(-1).cpu()
        best = effects.abs().flatten().topk(min(k, effects.numel())).indices
        places = [(int(i) // features.width, int(i) % features.width) for i in best]
        tokens = held.tokens[n]
        rows += [
            (n, pos, tokens[pos], f, float(found[pos, f]), float(effects[pos, f]))
            for pos, f in places
        ]
        rows += [
            (n, pos, tokens[pos], ERROR, float("nan"), float(lost[pos])) for pos in range(length)
        ]
    return pd.DataFrame(rows, columns=["prompt", "pos", "token", "feature", "activation", "effect"])


def first_order(
    features: SAE,
    x: Tensor,
    slope: Tensor,
    found: Float[Tensor, "pos feature"],
) -> Float[Tensor, "pos feature"]:
    """About what a metric loses where each feature is taken out at each token, in its unit.

    Args:
        x: vectors at the autoencoder's place, (pos, *site's axes); slope: the metric's gradient
            there; found: the features' activations.
    """
    by_unit = (features.flat(slope).float() * features.input_norm(x)) @ features.directions.T
    return found * by_unit


def vectors_at(features: SAE, trace: Trace, prompt: int) -> Tensor:
    """What a trace of the autoencoder's place alone holds of one prompt, (pos, *site's axes)."""
    (short,) = trace
    one_layer = {"layer": 0} if features.place.layer is not None else {}
    values = trace[short].isel({"prompt": prompt, **one_layer}).values[: trace.lengths[prompt]]
    return torch.as_tensor(values).to(features.directions)

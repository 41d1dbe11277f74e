"""What a feature says: the tokens it fires on, the logits it raises and lowers, and the features
nearest to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from hooks.logit_attribution import unembed_direction
from hooks.weights import dtype_of
from workbench.wording import quoted

if TYPE_CHECKING:
    import pandas as pd

    from analyses.features.function_tokens.coverage import Types
    from analyses.features.function_tokens.graph import TokenFeatureEdges
    from hooks.features.sae import SAE

TOKENS, LOGITS, NEIGHBOURS, OF_TOKEN = 8, 8, 5, 12
"""How many are kept of each; the last: features of a token."""
_STREAM = {
    "resid_pre",
    "resid_mid",
    "resid_post",
    "mlp_out",
    "attn_out",
}  # sites whose vectors lie in the residual stream
_AT_ONCE = 512  # features whose logits are held at once


def table(
    features: SAE, edges: TokenFeatureEdges, types: Types, name: Callable[[int], str]
) -> pd.DataFrame:
    """Every feature.

    Returns:
        Columns feature, n_tokens (on which it is active), density (their share of all),
        function_share (of those that are function tokens), degree (its token types),
        max_activation, top_tokens, positive_logits, negative_logits (tokens, the first strongest),
        nearest_features (with their cosines). `positive_logits` is what a unit
        of it adds to the logits directly, the final norm's scale set aside; "" where more than a
        norm and a matrix lie between.
    """
    import pandas as pd

    width, total = edges.width, types.occurrences.sum()
    count = np.bincount(edges.feature, edges.count, minlength=width)
    on_function = np.bincount(
        edges.feature, edges.count * types.is_function[edges.type], minlength=width
    )
    peak = np.zeros(width)
    np.maximum.at(peak, edges.feature, edges.peak)
    promotes, suppresses = _logits(features, name)
    return pd.DataFrame(
        {
            "feature": np.arange(width),
            "n_tokens": count.astype(int),
            "density": count / total,
            "function_share": np.divide(
                on_function, count, out=np.full(width, np.nan), where=count > 0
            ),
            "degree": np.bincount(edges.feature, minlength=width),
            "max_activation": peak,
            "top_tokens": [
                " ".join(quoted(name(t)) for t in ids if t >= 0)
                for ids in by_feature(edges)[0][:, :5]
            ],
            "positive_logits": promotes,
            "negative_logits": suppresses,
            "nearest_features": _near(features),
        }
    )


def by_feature(edges: TokenFeatureEdges) -> tuple[np.ndarray, np.ndarray]:
    """The types on which each feature is active most often: (ids, counts), (feature, n), -1 and
    0 where there are fewer.
    """
    return _top(edges.feature, edges.type, edges.count, edges.width, TOKENS)


def by_type(edges: TokenFeatureEdges, types: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The features most often active on each of these types: (features, counts), (type, n)."""
    place = np.full(int(max(edges.type.max(initial=0), types.max(initial=0))) + 1, -1)
    place[types] = np.arange(len(types))
    mask = place[edges.type] >= 0
    return _top(
        place[edges.type[mask]], edges.feature[mask], edges.count[mask], len(types), OF_TOKEN
    )


def _top(
    group: np.ndarray, what: np.ndarray, count: np.ndarray, groups: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((what, -count, group))
    group, what, count = group[order], what[order], count[order]
    rank = np.arange(len(group)) - np.searchsorted(group, group)
    first = rank < most
    ids, counts = np.full((groups, most), -1, np.int32), np.zeros((groups, most), np.int32)
    ids[group[first], rank[first]], counts[group[first], rank[first]] = what[first], count[first]
    return ids, counts


@torch.no_grad()
def _logits(features: SAE, name: Callable[[int], str]) -> tuple[list[str], list[str]]:
    norm = features.model.layout.ln_final
    if features.place.site.short not in _STREAM or norm is None or norm.centred is None:
        return [""] * features.width, [""] * features.width
    up: list[str] = []
    down: list[str] = []
    for part in features.directions.to(
        features.model.device, dtype_of(features.model.layout.embed)
    ).split(_AT_ONCE):
        logits = unembed_direction(features.model, part)
        for ends, kept in (
            (logits.topk(LOGITS).indices, up),
            (logits.topk(LOGITS, largest=False).indices, down),
        ):
            kept += [" ".join(quoted(name(i)) for i in row) for row in ends.tolist()]
    return up, down


@torch.no_grad()
def _near(features: SAE) -> list[str]:
    unit = torch.nn.functional.normalize(features.directions, dim=-1)
    found = []
    for start in range(0, features.width, _AT_ONCE):
        part = unit[start : start + _AT_ONCE] @ unit.T
        part[torch.arange(len(part)), torch.arange(start, start + len(part))] = -2
        value, which = part.topk(min(NEIGHBOURS, features.width - 1))
        found += [
            " ".join(f"{f} ({v:.2f})" for f, v in zip(fs, vs, strict=True))
            for fs, vs in zip(which.tolist(), value.tolist(), strict=True)
        ]
    return found

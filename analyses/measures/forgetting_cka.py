"""Linear centred kernel alignment: how alike two sets of activations are up to rotation and scale
(Kornblith et al. 2019), with the unbiased estimator of Song et al. 2012 for few tokens.

CKA near 1 does not prove that the function is kept.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def linear_cka(
    x: Float[np.ndarray, "token d_model"], y: Float[np.ndarray, "token d_model"]
) -> float:
    """|X'Y|² over |X'X| |Y'Y| of centred activations, each product without the bias that few
    tokens bring; 1 is alike, about 0 is not. NaN for fewer than four tokens, or no variance.

    Args:
        x, y: activations of the same tokens; leave out the first token of a text, whose one huge
            direction would decide alone.
    """
    n = len(x)
    if n < 4:
        return float("nan")
    kernels = []
    for each in (x, y):
        centred = each.astype(float) - each.mean(0)
        products = centred @ centred.T
        np.fill_diagonal(products, 0.0)
        kernels.append(products)
    of_x, of_y = (_unbiased(each, each, n) for each in kernels)
    if not (of_x > 0 and of_y > 0):
        return float("nan")
    return float(_unbiased(kernels[0], kernels[1], n) / np.sqrt(of_x * of_y))


def _unbiased(
    k: Float[np.ndarray, "token other"],
    other: Float[np.ndarray, "token other"],
    n: int,
) -> float:
    """The unbiased Hilbert-Schmidt independence criterion of two kernels without diagonals."""
    both = float((k * other).sum())
    sums = float(k.sum() * other.sum()) / ((n - 1) * (n - 2))
    cross = 2.0 / (n - 2) * float(k.sum(0) @ other.sum(1))
    return (both + sums - cross) / (n * (n - 3))

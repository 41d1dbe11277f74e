"""The first steps of fine-tuning one by one, and the angle between the early and the later update
of each matrix (spurious forgetting, Zheng et al. 2025).

Two updates of a matrix are compared by the subspaces that most of them lies in: the mean principal
angle of their leading left singular vectors. Two random subspaces of a large matrix stand at nearly
90 degrees, so that angle is given beside it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analyses.training.forgetting.fine_tuning import fine_tune
from hooks.mixed_weights import OUTSIDE, Weights, module_groups, replaced
from workbench.lab import StepReport
from workbench.lab.low_rank import weights_of

if TYPE_CHECKING:
    import pandas as pd

    from analyses.training.forgetting.materials import Materials
    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

LEADING = 4
"""Singular vectors that are compared."""
_RANDOM = 20  # pairs of random subspaces
_ROUNDS = 4  # of the power iteration
_FALL = 0.01  # nats; less is nothing to take shares of


def first_steps(
    model: InstrumentedModel, params: Params, materials: Materials, progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train twice as many steps as are measured one by one.

    Returns:
        A row per step: `step`, `kl` (neutral text), `task` (nats), `log_p`, `right` (old facts);
        and a row per layer and finer part: `layer`, `part`, `angle` (degrees, mean of its
        matrices), `random`.
    """
    import pandas as pd

    yardstick = materials.yardstick(model, params)
    rows: list[tuple[int, float, float, float, float]] = []
    kept: dict[int, Weights] = {}

    def measure(step: StepReport) -> None:
        if step.step > params.early:
            return
        weights = weights_of(step.module)
        with replaced(model, weights):
            found = yardstick.measure(model)
        rows.append((step.step, found.kl, found.task, found.log_p, found.right))
        if step.step == params.early:
            kept[step.step] = {name: w.to("cpu", copy=True) for name, w in weights.items()}

    done = fine_tune(
        model, materials.rows(params, 2 * params.early), params, params.rank, [], progress,
        on_step=measure,
    )  # fmt: skip
    table = pd.DataFrame(rows, columns=["step", "kl", "task", "log_p", "right"])
    middle = kept[params.early]
    angles = []
    for (layer, part), names in module_groups(model, finer=True).items():
        moved = [n for n in names if n in done.pair.base and done.pair.base[n].dim() == 2]
        if layer == OUTSIDE or not moved:
            continue
        found = [
            _compared(middle[n] - done.pair.base[n], done.pair.tuned[n] - middle[n], params.seed)
            for n in moved
        ]
        angles.append((layer, part, *np.mean(found, axis=0)))
    return table, pd.DataFrame(angles, columns=["layer", "part", "angle", "random"])


def _compared(
    early: Float[Tensor, "out in_"], later: Float[Tensor, "out in_"], seed: int
) -> tuple[float, float]:
    """(angle of two updates, of random subspaces of the same size), in degrees."""
    leading = min(LEADING, *early.shape)
    draw = torch.Generator().manual_seed(seed)
    bases = [_leading(each.float(), leading, draw) for each in (early, later)]
    others = [
        angle(*(_orthonormal(len(early), leading, draw) for _ in range(2))) for _ in range(_RANDOM)
    ]
    return angle(*bases), float(np.mean(others))


def _leading(
    matrix: Float[Tensor, "out in_"], many: int, draw: torch.Generator
) -> Float[Tensor, "out leading"]:
    """Leading left singular vectors, by power iteration from a seeded start."""
    basis = torch.linalg.qr(matrix @ torch.randn(matrix.shape[1], many + 4, generator=draw)).Q
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(matrix @ (matrix.T @ basis)).Q
    left = torch.linalg.svd(basis.T @ matrix, full_matrices=False).U
    found: Tensor = (basis @ left)[:, :many]
    return found


def _orthonormal(rows: int, many: int, draw: torch.Generator) -> Float[Tensor, "out leading"]:
    found: Tensor = torch.linalg.qr(torch.randn(rows, many, generator=draw)).Q
    return found


def angle(one: Float[Tensor, "out leading"], other: Float[Tensor, "out leading"]) -> float:
    """Mean principal angle of two subspaces, in degrees: 0 is the same, 90 has nothing in
    common.
    """
    cosines = torch.linalg.svdvals(one.T @ other).clamp(-1, 1)
    return math.degrees(float(cosines.acos().mean()))


def early_share(log_p: np.ndarray) -> float:
    """Share of the fall of the old answers over all measured steps that lies in their first
    tenth; NaN where they fell by less than a hundredth of a nat.
    """
    fall = float(log_p[0] - log_p.min())
    tenth = max(1, round((len(log_p) - 1) / 10))
    return float((log_p[0] - log_p[: tenth + 1].min()) / fall) if fall > _FALL else float("nan")

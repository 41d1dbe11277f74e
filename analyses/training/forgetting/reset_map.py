"""Which module holds the forgetting: its weights put back, and what that brings back and costs.

Effects do not add up, so layers are also put back one after the other, and random halves together;
against putting back half of everything (the update times one half), which any halving has to beat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.training.forgetting import constants as c
from analyses.training.forgetting.yardstick import Measurement, MixtureYardstick, share
from hooks.mixed_weights import OUTSIDE, WeightPair, module_groups, replaced

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

Group = tuple[int, str]


@dataclass(frozen=True)
class ShareScale:
    """The two ends, against which shares are taken."""

    base: Measurement
    tuned: Measurement

    def row(self, found: Measurement) -> dict[str, float]:
        """`kl`, `recovery` (of the forgetting on neutral text), `log_p`, `right`, `facts` (of the
        answers' fall), `task`, `cost` (of the new task's gain).
        """
        base, tuned = self.base, self.tuned
        return {
            "kl": found.kl,
            "recovery": share(tuned.kl - found.kl, tuned.kl),
            "log_p": found.log_p,
            "right": found.right,
            "facts": share(found.log_p - tuned.log_p, base.log_p - tuned.log_p),
            "task": found.task,
            "cost": share(found.task - tuned.task, base.task - tuned.task),
        }


class ResetMap:
    """A pair, its groups of modules that differ, and what is measured.

    Args:
        model: with the base's weights, as it is left.
    """

    def __init__(
        self,
        model: InstrumentedModel,
        pair: WeightPair,
        yardstick: MixtureYardstick,
        *,
        finer: bool,
    ) -> None:
        self.model, self.pair, self.yardstick = model, pair, yardstick
        groups = {
            group: [name for name in names if name in pair.base]
            for group, names in module_groups(model, finer=finer).items()
        }
        self.groups: dict[Group, list[str]] = {g: names for g, names in groups.items() if names}
        base = yardstick.measure(model)
        with replaced(model, pair.tuned):
            self.scale = ShareScale(base, yardstick.measure(model))

    def unavailable_reason(self) -> str | None:
        """Why there is nothing to make a map of, or None."""
        if not share(1.0, self.scale.tuned.kl) > 0:
            return "fine-tuning moved nothing on neutral text that could be put back"
        if all(layer == OUTSIDE for layer, _ in self.groups):
            return "nothing in the layers differs, only what lies outside of them"
        return None

    def names(self, groups: Sequence[Group]) -> list[str]:
        """The parameters of some groups."""
        return [name for group in groups for name in self.groups[group]]

    def reset(self, groups: Sequence[Group]) -> Measurement:
        """The fine-tuned model with these as they were."""
        kept = [name for g in self.groups if g not in groups for name in self.groups[g]]
        return self._with(self.pair.between(1.0, kept))

    def moved(self, groups: Sequence[Group]) -> Measurement:
        """The base with these as fine-tuning left them (the mirror)."""
        return self._with(self.pair.between(1.0, self.names(groups)))

    def shrunk(self, by: float) -> Measurement:
        """The whole update times a number."""
        return self._with(self.pair.between(by))

    def _with(self, weights: Mapping[str, Any]) -> Measurement:
        with replaced(self.model, weights):
            return self.yardstick.measure(self.model)

    def single(self, progress: Progress, *, mirror: bool = False) -> tuple[Any, Any]:
        """(a row per group, a row per group and fact with what is said of it)."""
        import pandas as pd

        rows, said = [], []
        norms = self.pair.norms()
        for n, (group, names) in enumerate(self.groups.items()):
            progress(n / len(self.groups), f"{in_words(group)} as it was")
            found = self.moved([group]) if mirror else self.reset([group])
            layer, part = group
            moved = sum(norms[name][0] ** 2 for name in names) ** 0.5
            whole = sum(norms[name][1] ** 2 for name in names) ** 0.5
            rows.append(
                {"layer": layer, "part": part, "relative": share(moved, whole),
                 **self.scale.row(found)}
            )  # fmt: skip
            said += self._said(layer, part, found)
        return pd.DataFrame(rows), pd.DataFrame(said)

    def _said(self, layer: int, part: str, found: Measurement) -> list[dict[str, Any]]:
        first = self.model.token_strings([int(i) for i in found.answers.first])
        return [
            {"layer": layer, "part": part, "fact": n, "says": first[n],
             "right": bool(found.answers.said[n]), "log_p": float(found.answers.log_p[n])}
            for n in range(len(first))
        ]  # fmt: skip

    def ends_said(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What the base says of every fact, and the fine-tuned model."""
        return self._said(-2, c.BASE, self.scale.base), self._said(-2, c.TUNED, self.scale.tuned)

    def cumulative(self, progress: Progress) -> pd.DataFrame:
        """Layers reset one after the other, from below and from above: `order`, `layers` (how many
        are back), and the columns of a row.
        """
        import pandas as pd

        layers = sorted({layer for layer, _ in self.groups if layer != OUTSIDE})
        rows = []
        for which, (order, said) in enumerate(((layers, c.UP), (layers[::-1], c.DOWN))):
            for n in range(len(order) + 1):
                at = (which + n / (len(order) + 1)) / 2
                progress(at, f"Layers back {said}: {n} of {len(order)}")
                back = [group for group in self.groups if group[0] in order[:n]]
                found = self.reset(back) if n else self.scale.tuned
                rows.append({"order": said, "layers": n, **self.scale.row(found)})
        return pd.DataFrame(rows)

    def halves(self, draws: int, seed: int, progress: Progress) -> pd.DataFrame:
        """Random halves of the groups reset together, and the whole update halved: `kind`, `draw`,
        `attention` and `mlp` (share of each part that is back), `lower` (share of what is back that
        is in the lower half of the layers), and the columns of a row.
        """
        import pandas as pd

        rng, every = np.random.default_rng(seed), list(self.groups)
        rows = [{"kind": c.SHRUNK, "draw": 0, **self.scale.row(self.shrunk(0.5))}]
        for draw in range(draws if len(every) > 1 else 0):
            progress(draw / draws, f"Random half {draw + 1} of {draws} back")
            chosen = rng.permutation(len(every))[: len(every) // 2]
            back = [every[n] for n in sorted(chosen)]
            rows.append(
                {"kind": c.HALVES, "draw": draw, **_members(back, every),
                 **self.scale.row(self.reset(back))}
            )  # fmt: skip
        return pd.DataFrame(rows)


def _members(back: Sequence[Group], every: Sequence[Group]) -> dict[str, float]:
    """How much of each kind is among the groups that are back."""
    of_mlp = [g for g in every if "MLP" in g[1]]
    others = [g for g in every if g[0] != OUTSIDE and "MLP" not in g[1] and g[1] != "norms"]
    middle = (max(layer for layer, _ in every) + 1) / 2
    lower = [g for g in every if 0 <= g[0] < middle]
    return {
        name: share(sum(g in back for g in groups), len(groups))
        for name, groups in (("attention", others), ("mlp", of_mlp), ("lower", lower))
    }


def in_words(group: Group) -> str:
    """A group as people call it in a sentence: "MLP of layer 3", "embedding"."""
    layer, part = group
    return part if layer == OUTSIDE else f"{part} of layer {layer}"


def best_window(table: pd.DataFrame, size: int) -> tuple[str, list[Group]]:
    """The part and the layers side by side whose single resets bring back most together: (part,
    groups). Chosen on sums; how much it brings back is to be measured.
    """
    best: tuple[float, str, list[Group]] = (-np.inf, "", [])
    for part, rows in table[table["layer"] >= 0].groupby("part", sort=False):
        rows = rows.sort_values("layer")
        for start in range(max(1, len(rows) - size + 1)):
            some = rows.iloc[start : start + size]
            total = float(some["recovery"].sum())
            if total > best[0]:
                groups = [(int(layer), str(part)) for layer in some["layer"]]
                best = (total, str(part), groups)
    return best[1], best[2]


def effects(halves: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Least squares of what random halves bring back on what was in them: by `attention`, `mlp` and
    `lower`, (recovery per whole share, its standard error); empty with too few draws.
    """
    rows = halves[halves["kind"] == c.HALVES].dropna(axis=1, how="all")
    names = [n for n in ("attention", "mlp", "lower") if n in rows and rows[n].std() > 0]
    if len(rows) < len(names) + 3 or not names:
        return {}
    x = np.column_stack([np.ones(len(rows)), *(rows[name].to_numpy(float) for name in names)])
    y = rows["recovery"].to_numpy(float)
    if not np.isfinite(y).all() or np.linalg.matrix_rank(x) < x.shape[1]:
        return {}
    fitted, *_ = np.linalg.lstsq(x, y, rcond=None)
    left = float(((y - x @ fitted) ** 2).sum()) / (len(rows) - x.shape[1])
    errors = np.sqrt(np.diag(left * np.linalg.inv(x.T @ x)))
    return {name: (float(fitted[n + 1]), float(errors[n + 1])) for n, name in enumerate(names)}

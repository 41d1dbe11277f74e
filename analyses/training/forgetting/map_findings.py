"""What a run says of the reset map: where forgetting sits, and whether that is more than any half
brings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.fine_tuning import fine_tune
from analyses.training.forgetting.minus_signs import plain_minus
from analyses.training.forgetting.reset_map import ResetMap, best_window, effects, in_words
from analyses.training.forgetting.task_texts import shuffled
from hooks.mixed_weights import OUTSIDE
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.training.forgetting.materials import Materials
    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_WINDOW = 5  # a window is one of so many parts of the layers
_RANDOM = 3  # random sets of as many modules beside it


def add_map(result: Result, map: ResetMap, seed: int) -> None:
    """Where most of the forgetting sits: a window of layers that is chosen on the map and then put
    back together, beside random sets of as many modules.
    """
    table = result.tables["reset"]
    top = table.loc[table["recovery"].idxmax()]
    part, groups = best_window(table, max(1, map.model.n_layers // _WINDOW))
    found = map.scale.row(map.reset(groups))
    rng, every = np.random.default_rng(seed), list(map.groups)
    others = []
    for _ in range(_RANDOM):
        chosen = rng.choice(len(every), min(len(groups), len(every)), replace=False)
        others.append(map.scale.row(map.reset([every[n] for n in chosen]))["recovery"])
    layers = [layer for layer, _ in groups]
    where = _span(part, layers)
    verb = "are" if len(layers) > 1 else "is"
    says = (
        f"{percent(found['recovery'])} of the forgetting goes when the {where} {verb} put back"
        f" ({percent(found['cost'])} of what was learned of the new task goes with it)"
    )
    if len(every) > len(groups):
        says += (
            f"; random sets of as many modules bring back {percent(min(others))} to"
            f" {percent(max(others))}"
        )
    says += (
        f". The largest single part is the {in_words((int(top['layer']), str(top['part'])))} with"
        f" {percent(float(top['recovery']))}."
    )
    values = {
        "recovery": found["recovery"],
        "cost": found["cost"],
        "first_layer": float(min(layers)),
        "last_layer": float(max(layers)),
        "random": float(np.mean(others)),
        "random_high": float(max(others)),
        "single": float(top["recovery"]),
    }
    result.add(Finding("where", values, plain_minus(says), unit="share of the forgetting"))


def _span(part: str, layers: list[int]) -> str:
    plural = {"MLP": "MLPs"}.get(part, part)
    if len(layers) == 1:
        return f"{part} of layer {layers[0]}"
    return f"{plural} of layers {min(layers)} to {max(layers)}"


def add_halves(result: Result) -> None:
    """Whether putting back a random half brings more than halving the update."""
    table = result.tables["halves"]
    shrunk = table[table["kind"] == c.SHRUNK].iloc[0]
    random = table[table["kind"] == c.HALVES]
    if len(random) < 2:
        return
    mean, (low, high) = mean_interval(random["recovery"].to_numpy(float))
    values = {
        "random": mean,
        "random_low": low,
        "random_high": high,
        "shrunk": float(shrunk["recovery"]),
        "random_cost": float(random["cost"].mean()),
        "shrunk_cost": float(shrunk["cost"]),
    }
    says = (
        f"Random halves of the modules put back bring back {percent(values['random'])} of the"
        f" forgetting (95 % over {len(random)} draws: {percent(low)} to {percent(high)}) for"
        f" {percent(values['random_cost'])} of the new task's gain; the whole update halved,"
        f" {percent(values['shrunk'])} for {percent(values['shrunk_cost'])}."
    )  # fmt: skip
    fitted = effects(table)
    values |= {f"effect_{name}": value for name, (value, _) in fitted.items()}
    result.add(Finding("halving", values, plain_minus(says), unit="share of the forgetting"))


def add_mirror(result: Result) -> None:
    """Whether updates do alone what they undo when they are missing."""
    mirror, table = result.tables["mirror"], result.tables["reset"]
    alone = mirror["kl"].sum() / max(1e-12, _whole(result))
    says = (
        "Put into the base alone, the modules' updates add up to"
        f" {percent(float(alone))} of the whole forgetting"
    )
    agree = float("nan")
    if len(table) > 1:
        agree = float(np.corrcoef(table["recovery"], 1 - mirror["recovery"])[0, 1])
        says += f"; which modules matter agrees with the map with a correlation of {agree:.2f}"
    says += "."
    values = {"alone": float(alone), "agree": agree}
    result.add(Finding("mirror", values, plain_minus(says), unit="share of the forgetting"))


def _whole(result: Result) -> float:
    return float(result.tables["cumulative"].query("layers == 0")["kl"].iloc[0])


def shuffled_map(
    model: InstrumentedModel, params: Params, materials: Materials, progress: Progress
) -> pd.DataFrame:
    """The map of a model that was fine-tuned in the same way on text whose tokens are shuffled."""
    assert materials.task is not None  # nothing is trained without
    rows = shuffled(materials.task, len(model.text.beginning), params.seed)
    steps = rows.steps(params.steps, params.rows, params.seed)
    done = fine_tune(model, steps, params, params.rank, [], progress.subprogress(0.0, 0.6))
    yardstick = materials.yardstick(model, params)
    other = ResetMap(model, done.pair, yardstick, finer=params.finer)
    table, _ = other.single(progress.subprogress(0.6, 1.0))
    return table


def add_shuffled(result: Result) -> None:
    """Whether the map is this task's, or that of any training."""
    both = result.tables["reset"].merge(
        result.tables["reset_shuffled"], on=["layer", "part"], suffixes=("", "_shuffled")
    )
    inside = both[both["layer"] != OUTSIDE]
    r = float(np.corrcoef(inside["recovery"], inside["recovery_shuffled"])[0, 1])
    says = (
        f"The map of a training on shuffled text correlates with this one by {r:.2f}: what is alike"
        " belongs to any training, not to this task."
    )
    result.add(Finding("shuffled", r, plain_minus(says), unit="correlation"))

"""Which pairs of a crowded row are not recalled, and whether the state says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.statistics import auc, wilson
from analyses.state.recurrent_state import interference, pair_rows
from analyses.state.recurrent_state.constants import CHOSEN_ON, HELD_OUT
from analyses.state.recurrent_state.kernels import RowsRead, offset_of_writes, read
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analyses.state.recurrent_state.params import Params
    from analyses.state.recurrent_state.shown import Shown
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

PREDICTORS = {
    "margin": "what the question reads is nearer to what another reads of its pair",
    "damage": "how much was written under its key afterwards",
    "age": "how many pairs were read after it",
}
_FEWEST = 10  # pairs on either side, or nothing can be said


def measure(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    shown: Shown,
    layers: Sequence[int],
    progress: Progress,
) -> None:
    """Read crowded rows, and say what tells a pair that fails from one that is recalled."""
    import pandas as pd

    vocabulary = shown.vocabulary
    assert vocabulary is not None
    most = min(len(vocabulary.keys), len(vocabulary.values) - 1)
    pairs = min(params.crowd, most)
    halves = {
        half: pair_rows.draw(vocabulary, pairs, max(2, params.rows // 2), params.seed * 10 + n, 8)
        for n, half in ((3, CHOSEN_ON), (4, HELD_OUT))
    }
    asked: dict[tuple[str, int], interference.QuestionReads] = {}
    offsets: dict[int, int] = {}
    for n, (half, rows) in enumerate(halves.items()):
        seen = []
        for part in rows.parts():
            progress(0.4 * n, f"Reading rows of {pairs} pairs, {half}")
            seen.append(read(model, part, layers))
        for place, layer in enumerate(layers):
            progress(0.4 * n + 0.4 * place / len(layers), f"What questions find in layer {layer}")
            if half == CHOSEN_ON:
                offsets[layer] = offset_of_writes(seen, layer)
            asked[half, layer] = _joined(seen, layer, offsets[layer])
    windows = {layer: asked[CHOSEN_ON, layer].best_window() for layer in layers}
    margins = {key: one.margins(windows[key[1]]) for key, one in asked.items()}
    table = pd.DataFrame(
        [row for key, one in asked.items() for row in _rows(*key, one, margins[key])]
    )
    result.tables["predictors"] = table
    chosen = table[(table["rows"] == CHOSEN_ON) & (table["predictor"] == "margin")]
    best = int(chosen.sort_values("decoded", ascending=False)["layer"].iloc[0])
    held_out = asked[HELD_OUT, best], margins[HELD_OUT, best]
    result.tables["forgotten"] = _by_age(*held_out)
    _add_finding(result, table, best, pairs, *held_out)
    if shown.row is not None:
        progress(0.9, "What each token does to the pairs that are shown")
        _over_time(result, model, shown.row, best, offsets[best], windows[best])


def _joined(seen: Sequence[RowsRead], layer: int, offset: int) -> interference.QuestionReads:
    first, parts = 0, []
    for one in seen:
        parts.append(interference.ask(one, layer, offset, first))
        first += one.rows.n_rows
    return interference.joined(parts)


def _rows(
    half: str, layer: int, out: interference.QuestionReads, margin: torch.Tensor
) -> list[dict[str, Any]]:
    """A row for each predictor."""
    fails = ~out.right.numpy()
    scores = {"margin": -margin, "damage": out.damage, "age": out.age.float()}
    rows = []
    for name, score in scores.items():
        values = score.numpy()
        value, low, high = auc(values[fails], values[~fails])
        rows.append(
            {
                "rows": half,
                "layer": layer,
                "predictor": name,
                "auc": value,
                "low": low,
                "high": high,
                "failed": int(fails.sum()),
                "n": len(fails),
                "decoded": float((margin > 0).float().mean()),
                "recalled": float((~fails).mean()),
            }
        )
    return rows


def _by_age(out: interference.QuestionReads, margin: torch.Tensor) -> pd.DataFrame:
    """By how many pairs came later: recall, and whether the state still gives the value."""
    import pandas as pd

    rows = []
    for age in sorted(set(out.age.tolist())):
        at = out.age == age
        n, right = int(at.sum()), int(out.right[at].sum())
        held = int((margin[at] > 0).sum())
        (low, high), (held_low, held_high) = wilson(right, n), wilson(held, n)
        rows.append(
            {
                "age": age,
                "n": n,
                "recalled": right / n,
                "recalled_low": low,
                "recalled_high": high,
                "held": held / n,
                "held_low": held_low,
                "held_high": held_high,
                "margin": float(margin[at].mean()),
            }
        )
    return pd.DataFrame(rows)


def _add_finding(
    result: Result,
    table: pd.DataFrame,
    best: int,
    pairs: int,
    out: interference.QuestionReads,
    margin: torch.Tensor,
) -> None:
    at = table[(table["rows"] == HELD_OUT) & (table["layer"] == best)].set_index("predictor")
    recalled, n = float(at["recalled"].iloc[0]), int(at["n"].iloc[0])
    failed = int(at["failed"].iloc[0])
    agree = float(((margin > 0) == out.right).float().mean())
    says = (
        f"Of {pairs} pairs {percent(recalled)} are recalled; the state of layer {best}, asked with"
        f" the questions' own queries, gives what is nearest to the right pair for"
        f" {percent(at['decoded'].iloc[0])}. Both agree on {percent(agree)} of {n} questions."
    )
    result.add(
        Finding(
            "held",
            {"recalled": recalled, "held": float(at["decoded"].iloc[0]), "agree": agree},
            says,
            unit="share of pairs",
        )
    )
    if min(failed, n - failed) < _FEWEST:
        says = (
            f"Only {min(failed, n - failed)} of {n} pairs are"
            f" {'forgotten' if failed < n - failed else 'recalled'}: too few to say what tells the"
            " two apart. Ask for more pairs in a crowded row."
        )
        result.add(Finding("too_few_forgotten", float(failed), says, unit="pairs"))
        return
    one = at.loc["margin"]
    says = (
        "Which pairs fail is told by what their question reads (nearer to another pair's part than"
        f" to its own): AUC {one['auc']:.2f} ({one['low']:.2f} to {one['high']:.2f}). What was"
        f" written under its key afterwards tells less ({at.loc['damage', 'auc']:.2f}), and so does"
        f" its age ({at.loc['age', 'auc']:.2f}); 0.5 is chance."
    )
    if max(at.loc["damage", "auc"], at.loc["age", "auc"]) >= one["auc"]:
        says = (
            f"What a question reads does not tell best which pairs fail: AUC {one['auc']:.2f};"
            f" what was written under its key afterwards {at.loc['damage', 'auc']:.2f}, its age"
            f" {at.loc['age', 'auc']:.2f}; 0.5 is chance."
        )
    result.add(
        Finding(
            "foretold",
            {name: float(at.loc[name, "auc"]) for name in PREDICTORS},
            says,
            unit="AUC",
            interval={
                name: (float(at.loc[name, "low"]), float(at.loc[name, "high"]))
                for name in PREDICTORS
            },
        )
    )


def _over_time(
    result: Result,
    model: InstrumentedModel,
    row: pair_rows.PairRows,
    layer: int,
    offset: int,
    window: slice,
) -> None:
    """For the row that is shown: what each pair's question would find after every token."""
    import pandas as pd
    import xarray as xr

    seen = read(model, row, [layer])
    margin = interference.margins_over_time(seen, layer, window)
    result.arrays["margins"] = xr.DataArray(margin.numpy(), dims=("pair", "pos"))
    answers = seen.answers[0]
    words = [w.strip() for w in model.token_strings(row.keys[0].tolist())]
    values = [w.strip() for w in model.token_strings(row.values[0].tolist())]
    said = [w.strip() for w in model.token_strings(answers.tolist())]
    written = row.written(offset).tolist()
    last = np.where(row.is_asked[0], row.asked[0], row.ids.shape[1] - 1)
    result.tables["pairs"] = pd.DataFrame(
        {
            "pair": range(row.n_pairs),
            "key": words,
            "value": values,
            "answer": said,
            "right": (answers == row.values[0]).tolist(),
            "written": written,
            "asked": row.asked[0].tolist(),
            "margin": [float(margin[n, last[n]]) for n in range(row.n_pairs)],
        }
    )[row.is_asked[0].tolist()].reset_index(drop=True)

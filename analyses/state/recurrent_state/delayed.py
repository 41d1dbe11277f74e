"""Models of delayed recall (a value, some filler, a question): what their gates do at the value,
and how long they can wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from analyses.measures.statistics import wilson
from analyses.measures.untrained_twin import untrained
from hooks.gates import gated_layers, read_gates
from workbench.organisms.recall.delay import FILLER, DelayedRows, make_delayed, make_tokenizer
from workbench.organisms.recall.rows import BESIDE
from workbench.result import Finding
from workbench.state_lm.lstm import CANDIDATE, FORGET, INPUT
from workbench.wording import percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from analyses.state.recurrent_state.kernel_curves import LayerCurves
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

TRAINED_UP_TO = 32
"""Tokens of the longest delay that the organisms have seen."""
DELAYS = (4, 8, 16, 32, 64, 128, 256)
_ROWS = 64


def is_delayed(model: InstrumentedModel) -> bool:
    """Whether the model has the tokens of delayed recall."""
    known: dict[str, int] = model.tokenizer.get_vocab()
    return bool(known == make_tokenizer().get_vocab())


def rows_of(delay: int, rows: int, seed: int) -> DelayedRows:
    """Rows in which the value stands near the beginning."""
    return make_delayed(rows, delay, delay + BESIDE, torch.Generator().manual_seed(seed))


@torch.no_grad()
def measure(
    result: Result,
    model: InstrumentedModel,
    curves: Mapping[int, LayerCurves],
    seed: int,
    progress: Progress,
) -> None:
    """Recall by delay beside what the layers keep so long; gates at the value and at filler, of the
    model and of its untrained twin.
    """
    import pandas as pd

    found = []
    for n, delay in enumerate(DELAYS):
        progress(n / len(DELAYS), f"Questions {delay} tokens behind their value")
        found.append(_recall(model, delay, seed, curves))
    table = result.tables["delays"] = pd.DataFrame(found)
    known, beyond = table[table["delay"] == TRAINED_UP_TO].iloc[0], table.iloc[-1]
    says = (
        f"A value is answered {TRAINED_UP_TO} tokens later in {percent(known['rate'])}, and"
        f" {int(beyond['delay'])} tokens later, longer than any delay of its training, in"
        f" {percent(beyond['rate'])} of {_ROWS} rows; a guess is right in 6 %."
    )
    result.add(
        Finding(
            "delayed",
            {"trained": known["rate"], "beyond": beyond["rate"]},
            says,
            unit="share of rows",
            interval={
                "trained": (known["low"], known["high"]),
                "beyond": (beyond["low"], beyond["high"]),
            },
        )
    )
    if layers := [layer for layer in gated_layers(model) if layer in curves]:
        twin = untrained(model, seed)
        rows = [
            _gates_at_values(each, name, layer, seed)
            for name, each in (("trained", model), ("untrained", twin))
            for layer in layers
        ]
        result.tables["value_gates"] = pd.DataFrame(rows)
        _add_gates(result, result.tables["value_gates"])


def _recall(
    model: InstrumentedModel, delay: int, seed: int, curves: Mapping[int, LayerCurves]
) -> dict[str, Any]:
    rows = rows_of(delay, _ROWS, seed)
    logits = model.forward(**model.batch(rows.ids.tolist()).kwargs(), use_cache=False).logits
    each = torch.arange(_ROWS)
    right = int((logits[each, rows.asked].argmax(-1).cpu() == rows.values).sum())
    low, high = wilson(right, _ROWS)
    return {"delay": delay, "rate": right / _ROWS, "low": low, "high": high, "n": _ROWS}


def _gates_at_values(model: InstrumentedModel, name: str, layer: int, seed: int) -> dict[str, Any]:
    """|input gate × candidate| at values and at filler, and what forget gates leave of it until the
    question; means over rows, with 95 % intervals.
    """
    rows = rows_of(TRAINED_UP_TO, _ROWS, seed + 1)
    gates = read_gates(model, rows.ids.tolist(), [layer])[layer]
    each = torch.arange(_ROWS)
    write = (gates[:, :, INPUT] * gates[:, :, CANDIDATE]).abs()
    is_filler = rows.ids == FILLER
    at_value = write[each, rows.written].mean(-1)
    at_filler = torch.stack([w[f].mean() for w, f in zip(write, is_filler, strict=True)])
    forget = gates[:, :, FORGET].clamp(min=1e-30).log().cumsum(1)
    kept = (forget[each, rows.asked] - forget[each, rows.written]).exp()
    weight = write[each, rows.written]
    path = (kept * weight).sum(-1) / weight.sum(-1)
    found: dict[str, Any] = {"layer": layer, "model": name, "n": _ROWS}
    for what, values in (
        ("at_value", at_value), ("at_filler", at_filler),
        ("ratio", at_value / at_filler), ("kept", path),
    ):  # fmt: skip
        mean, half = float(values.mean()), 1.96 * float(values.std()) / _ROWS**0.5
        found |= {what: mean, f"{what}_low": mean - half, f"{what}_high": mean + half}
    return found


def _add_gates(result: Result, table: pd.DataFrame) -> None:
    """Of the layer that keeps most of a value."""
    trained = table[table["model"] == "trained"]
    row: Any = trained.loc[(trained["at_value"] * trained["kept"]).idxmax()]
    twin: Any = table[(table["model"] == "untrained") & (table["layer"] == row["layer"])].iloc[0]
    says = (
        f"In layer {int(row['layer'])} a value is written {row['ratio']:.1f} times as strongly as a"
        f" token of filler (in the untrained model {twin['ratio']:.1f} times), and forget gates"
        f" leave {percent(row['kept'])} of it until the question {TRAINED_UP_TO} tokens later"
        f" ({percent(row['kept_low'])} to {percent(row['kept_high'])}; untrained"
        f" {percent(twin['kept'])})."
    )
    result.add(
        Finding(
            "gates",
            {"ratio": row["ratio"], "kept": row["kept"], "untrained": twin["kept"]},
            says,
            unit="times, and shares",
            interval={
                "ratio": (row["ratio_low"], row["ratio_high"]),
                "kept": (row["kept_low"], row["kept_high"]),
            },
        )
    )

"""How long a row of pairs is remembered while other text is read, and whether renewing the state
cures that.

The idea of renewing is that of ProSG (Luo et al. 2023): what a prompt left in the model is put back
while the model goes on. Here the states behind the pairs are added to the states every `EVERY`
tokens, in all recurrent layers; its control adds the states of another row. If recall comes back
with the own state alone, it was the state that faded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from analyses.measures.statistics import wilson
from analyses.state.recurrent_state import interference, pair_rows
from analyses.state.recurrent_state.kernels import read, state_behind_pairs
from hooks.recurrent.changes import AddToState
from hooks.state_changes import change_state
from workbench.errors import BadInput
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyses.state.recurrent_state.params import Params
    from analyses.state.recurrent_state.shown import Shown
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

EVERY = 32
"""Tokens after which the state is renewed."""
ASKED = 3
KINDS = ("recalled", "held", "renewed", "renewed by another")


def measure(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    shown: Shown,
    layers: Sequence[int],
    progress: Progress,
) -> None:
    """Ask behind stretches of other text of several lengths.

    Raises:
        BadInput: the longest does not fit into what the model reads.
    """
    import pandas as pd

    vocabulary = shown.vocabulary
    assert vocabulary is not None
    rows: list[dict[str, Any]] = []
    for n, gap in enumerate(sorted(set(params.gaps))):
        progress(n / len(params.gaps), f"Asking {gap} tokens behind the pairs")
        drawn = pair_rows.draw(
            vocabulary, params.n_pairs, params.rows, params.seed * 10 + 6, ASKED, gap
        )
        if model.positions is not None and drawn.ids.shape[1] > model.positions:
            raise BadInput(
                f"Rows with a gap of {gap} tokens have {drawn.ids.shape[1]:,} tokens.",
                f"at most {model.positions:,}, as many as the model reads",
                "Choose smaller gaps.",
            )
        hits: dict[str, list[torch.Tensor]] = {kind: [] for kind in KINDS}
        for part in drawn.parts():
            for kind, right in _asked(model, part, layers).items():
                hits[kind].append(right)
        rows += [_row(gap, kind, torch.cat(right)) for kind, right in hits.items()]
    result.tables["fading"] = pd.DataFrame(rows)
    _add_finding(result, rows)


def _asked(
    model: InstrumentedModel, rows: pair_rows.PairRows, layers: Sequence[int]
) -> dict[str, torch.Tensor]:
    """By kind, whether each question is answered (or its value still held), (question,)."""
    seen = read(model, rows, layers)
    where = rows.is_asked
    asked = [interference.ask(seen, layer, 0) for layer in layers]
    each = [one.margins(one.best_window()) > 0 for one in asked]
    held = max(each, key=lambda margin: float(margin.float().mean()))
    states = {
        layer: state_behind_pairs(seen.inputs[layer], rows, rows.pairs_end) for layer in layers
    }
    of_row = rows.row_of_sequence()
    other = torch.stack([(of_row != row).nonzero()[0, 0] for row in of_row.tolist()]) if (
        rows.n_rows > 1
    ) else torch.arange(len(of_row))  # fmt: skip
    when = [*range(rows.pairs_end + EVERY, rows.end, EVERY), rows.end]
    found = {"recalled": seen.right[where], "held": held}
    for kind, index in (("renewed", None), ("renewed by another", other)):
        values = {layer: s if index is None else s[index] for layer, s in states.items()}
        with change_state(model, AddToState(values), layers=list(layers), positions=when):
            answers = pair_rows.logits_at_questions(model, rows).argmax(-1)
        found[kind] = (answers == rows.values)[where]
    return found


def _row(gap: int, kind: str, right: torch.Tensor) -> dict[str, Any]:
    n, hits = len(right), int(right.sum())
    low, high = wilson(hits, n)
    return {"gap": gap, "kind": kind, "rate": hits / n, "low": low, "high": high, "n": n}


def _add_finding(result: Result, rows: Sequence[dict[str, Any]]) -> None:
    first, last = rows[0]["gap"], rows[-1]["gap"]
    at = {(row["gap"], row["kind"]): row for row in rows}
    before, after = at[first, "recalled"], at[last, "recalled"]
    cured, other = at[last, "renewed"], at[last, "renewed by another"]
    says = (
        f"Of the pairs {percent(before['rate'])} are recalled {_behind(first)}, and"
        f" {percent(after['rate'])} behind {last:,} tokens of other text, where the state itself"
        f" still gives {percent(at[last, 'held']['rate'])}. With the state renewed every {EVERY}"
        f" tokens it is {percent(cured['rate'])} ({percent(cured['low'])} to"
        f" {percent(cured['high'])}), with another row's state {percent(other['rate'])}."
    )
    values = {
        "near": before["rate"],
        "far": after["rate"],
        "renewed": cured["rate"],
        "by_another": other["rate"],
    }
    spans = {"near": before, "far": after, "renewed": cured, "by_another": other}
    intervals = {name: (row["low"], row["high"]) for name, row in spans.items()}
    result.add(Finding("fades", values, says, unit="share of pairs", interval=intervals))


def _behind(gap: int) -> str:
    return "at once" if gap == 0 else f"behind {gap:,} tokens"

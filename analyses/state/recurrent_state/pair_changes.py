"""Pairs that are erased or rewritten: over many rows, and one by one in the row that is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.statistics import rate_interval, rates_apart, wilson
from analyses.state.recurrent_state import fresh, pair_edits, pair_rows
from analyses.state.recurrent_state.constants import CHANGES, CHOSEN_ON, HELD_OUT
from analyses.state.recurrent_state.kernels import offset_of_writes
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from analyses.measures.pair_questions import Vocabulary
    from analyses.state.recurrent_state.params import Params
    from analyses.state.recurrent_state.shown import Shown
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

ASKED = 3
"""Pairs of a row that are asked for where each needs a sequence of its own."""


def measure(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    shown: Shown,
    layers: Sequence[int],
    progress: Progress,
) -> None:
    """Change one pair of each row in one layer, ask again, and say whether the answer follows."""
    import pandas as pd

    vocabulary = shown.vocabulary
    assert vocabulary is not None
    halves = {
        CHOSEN_ON: _rows(vocabulary, params, 1, params.rows // 2),
        HELD_OUT: _rows(vocabulary, params, 2, params.rows - params.rows // 2),
    }
    rng = np.random.default_rng(params.seed)
    found: dict[tuple[str, int, str], list[pair_edits.Edited]] = {}
    offsets: dict[int, int] = {}
    steps = sum(len(list(rows.parts())) for rows in halves.values()) * len(layers)
    done = 0
    for half, rows in halves.items():
        prepared = [_prepared(model, vocabulary, part, layers, rng) for part in rows.parts()]
        for layer in layers:
            if half == CHOSEN_ON:
                offsets[layer] = offset_of_writes([one.plain for one in prepared], layer)
            for n, one in enumerate(prepared):
                for change in CHANGES:
                    edited = one.apply(model, layer, change, params.seed + n)
                    found.setdefault((half, layer, change), []).append(edited)
                done += 1
                progress(0.9 * done / steps, f"Changing pairs in layer {layer}, {half}")
    table = pd.DataFrame([_row(*key, edits) for key, edits in found.items()])
    table.insert(3, "offset", table["layer"].map(offsets))
    result.tables["edits"] = table
    best = _best_layer(table)
    result.provenance.notes["best layer"] = str(best)
    _add_findings(result, model, table, found, best, offsets[best])
    if shown.row is not None:
        progress(0.92, "Changing the pairs that are shown, one by one")
        result.tables["answers"] = _one_by_one(model, vocabulary, shown.row, best, params.seed)
    if (apart := fresh.distance(model, halves[HELD_OUT].only(slice(0, 8)), layers)) is not None:
        says = (
            "With all states wiped behind the pairs, what follows is read as a prompt of its own:"
            f" its logits differ by at most {apart:.1e}."
        )
        result.add(Finding("wiped_is_fresh", apart, says, unit="logits"))


def _rows(vocabulary: Vocabulary, params: Params, part: int, rows: int) -> pair_rows.PairRows:
    return pair_rows.draw(vocabulary, params.n_pairs, rows, params.seed * 10 + part, ASKED)


def _prepared(
    model: InstrumentedModel,
    vocabulary: Vocabulary,
    rows: pair_rows.PairRows,
    layers: Sequence[int],
    rng: np.random.Generator,
) -> pair_edits.Edits:
    """Rows of which one pair that is asked for is to change."""
    asked = rows.is_asked.numpy()
    pair = torch.tensor([int(rng.choice(np.flatnonzero(one))) for one in asked])
    new = pair_rows.other_values(vocabulary, rows, rng)
    return pair_edits.prepare(model, rows, pair, new, layers, len(vocabulary.between))


def _row(half: str, layer: int, change: str, edits: Sequence[pair_edits.Edited]) -> dict[str, Any]:
    """A row of the table: rates over the pairs that the model had recalled."""
    was = torch.cat([one.was_right for one in edits]).numpy()
    new = torch.cat([one.says_new for one in edits]).numpy()[was]
    own = torch.cat([one.says_own for one in edits]).numpy()[was]
    stays, groups = _others(edits)
    low, high = rate_interval(stays, groups)
    return {
        "rows": half,
        "layer": layer,
        "change": change,
        "n": len(new),
        "new": float(new.mean()) if len(new) else np.nan,
        "new_low": wilson(int(new.sum()), len(new))[0],
        "new_high": wilson(int(new.sum()), len(new))[1],
        "own": float(own.mean()) if len(own) else np.nan,
        "others": len(stays),
        "kept": float(stays.mean()) if len(stays) else np.nan,
        "kept_low": low,
        "kept_high": high,
    }


def _others(edits: Sequence[pair_edits.Edited]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each other pair that had been recalled still is, and in which row it stands."""
    stays, groups, first = [], [], 0
    for one in edits:
        rows, _ = one.others.nonzero(as_tuple=True)
        stays.append(one.still_right[one.others].numpy())
        groups.append(rows.numpy() + first)
        first += len(one.pair)
    return np.concatenate(stays), np.concatenate(groups)


def _best_layer(table: pd.DataFrame) -> int:
    """The layer in which rewriting changes the answer most often, on the rows that choose."""
    rows = table[(table["rows"] == CHOSEN_ON) & (table["change"] == "rewrite")]
    return int(rows.sort_values(["new", "own"], ascending=[False, True])["layer"].iloc[0])


def _add_findings(
    result: Result,
    model: InstrumentedModel,
    table: pd.DataFrame,
    found: Mapping[tuple[str, int, str], Sequence[pair_edits.Edited]],
    best: int,
    offset: int,
) -> None:
    held = table[(table["rows"] == HELD_OUT) & (table["layer"] == best)].set_index("change")
    rewrite, random, erase = (held.loc[change] for change in ("rewrite", "random", "erase"))
    if not rewrite["n"]:
        says = (
            f"None of the {len(found[HELD_OUT, best, 'rewrite'][0].pair)} pairs that were to be"
            " changed is recalled as it is, so no answer can follow the state."
        )
        result.add(Finding("not_recalled", 0.0, says, unit="share of pairs"))
        return
    attends = (
        ""
        if not any(b.attention for b in model.layout.blocks)
        else (" Its attention layers still see the pairs, and may answer whatever the state says.")
    )
    behind = "one token" if offset == 1 else f"{offset} tokens"
    says = (
        f"Rewriting a pair in layer {best}'s state changes its answer to the new value in"
        f" {percent(rewrite['new'])} of {int(rewrite['n'])} held-out rows"
        f" ({_span(rewrite, 'new')}); a random rewrite of the same size in"
        f" {percent(random['new'])}. Of the other pairs {percent(rewrite['kept'])} stay as they"
        f" were, under the random rewrite {percent(random['kept'])}. Questions read a pair mostly"
        f" from {behind} behind its key.{attends}"
    )
    result.add(
        Finding(
            "rewritten",
            {"new": rewrite["new"], "random": random["new"], "kept": rewrite["kept"]},
            says,
            unit="share of pairs",
            interval={
                "new": (rewrite["new_low"], rewrite["new_high"]),
                "random": (random["new_low"], random["new_high"]),
                "kept": (rewrite["kept_low"], rewrite["kept_high"]),
            },
        )
    )
    low, high = rates_apart(rewrite["kept"], rewrite["others"], random["kept"], random["others"])
    apart = rewrite["kept"] - random["kept"]
    against = "no more than" if low > -0.05 else "more than" if high < 0 else "perhaps more than"
    says = (
        f"The other pairs are changed {against} under a random rewrite of equal size: the shares"
        f" that stay differ by {100 * apart:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})."
    )
    result.add(Finding("others", apart, says, unit="share of pairs", interval=(low, high)))
    low, high = wilson(round(erase["own"] * erase["n"]), int(erase["n"]))
    says = (
        f"Erasing it there leaves its answer right in {percent(erase['own'])} of"
        f" {int(erase['n'])} ({percent(low)} to {percent(high)})."
    )
    result.add(
        Finding("erased", float(erase["own"]), says, unit="share of pairs", interval=(low, high))
    )


def _span(row: Any, name: str) -> str:
    return f"{percent(row[f'{name}_low'])} to {percent(row[f'{name}_high'])}"


def _one_by_one(
    model: InstrumentedModel,
    vocabulary: Vocabulary,
    row: pair_rows.PairRows,
    layer: int,
    seed: int,
) -> pd.DataFrame:
    """Each pair of the row erased and rewritten in turn, and what the model then says of all."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    new = int(pair_rows.other_values(vocabulary, row, rng)[0])
    rows: list[dict[str, Any]] = []
    for pair in range(row.n_pairs):
        edits = pair_edits.prepare(
            model,
            row,
            torch.tensor([pair]),
            torch.tensor([new]),
            [layer],
            len(vocabulary.between),
        )
        for change in ("rewrite", "erase"):
            edited = edits.apply(model, layer, change, seed)
            rows += _answers(model, row, edited.logits[0], pair, change, new)
        if pair == 0:
            rows = _answers(model, row, edits.plain.logits[0], pair, "", new) + rows
    return pd.DataFrame(rows)


def _answers(
    model: InstrumentedModel,
    row: pair_rows.PairRows,
    logits: torch.Tensor,
    pair: int,
    change: str,
    new: int,
) -> list[dict[str, Any]]:
    """A row for each pair that is asked for; `change` is empty for the model as it is."""
    p = logits.softmax(-1)
    words = [w.strip() for w in model.token_strings(row.keys[0].tolist())]
    values = [w.strip() for w in model.token_strings(row.values[0].tolist())]
    answers = [w.strip() for w in model.token_strings(logits.argmax(-1).tolist())]
    return [
        {
            "changed": pair if change else -1,
            "change": change,
            "pair": n,
            "key": words[n],
            "value": values[n],
            "answer": answers[n],
            "p": float(p[n, row.values[0, n]]),
            "new_p": float(p[n, new]),
            "new": model.token_strings([new])[0].strip(),
        }
        for n in range(row.n_pairs)
        if bool(row.is_asked[0, n])
    ]

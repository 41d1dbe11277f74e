"""Edits that follow each other in one model: after each batch all earlier ones are asked again, and
at the end any one is taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.weights.edit_ledger import constants as c
from analyses.weights.edit_ledger.asking import ask
from analyses.weights.edit_ledger.cases import EditCase, EditQuestion
from analyses.weights.edit_ledger.elsewhere import Yardstick
from analyses.weights.edit_ledger.methods import MadeEdit, Workshop, make

if TYPE_CHECKING:
    from workbench.progress import Progress
    from workbench.result import Result

_TAKEN_OUT = 3  # edits that are taken out again, one at a time
_FULL = 2  # everything else is measured after every so many batches
_ONE_AT_A_TIME = ("r-rome", "rome")
_WRITING = 2  # facts about whose subjects something is written, to see whether it repeats itself


@dataclass
class _Sequence:
    """One model with the edits so far."""

    method: str
    made: list[tuple[int, MadeEdit]] = field(default_factory=list)  # batch, change
    ledger: list[dict[str, Any]] = field(default_factory=list)
    drift: list[dict[str, Any]] = field(default_factory=list)


def ledger(
    result: Result,
    shop: Workshop,
    yard: Yardstick,
    cases: Sequence[EditCase],
    batch: int,
    methods: Sequence[str],
    progress: Progress,
) -> list[tuple[int, MadeEdit]]:
    """Tables `ledger`, `drift` and `taken_out`; returns the changes with the first fact of each."""
    import pandas as pd

    batches = [list(range(at, min(at + batch, len(cases)))) for at in range(0, len(cases), batch)]
    sequences, taken, kept = [], [], []
    for n, method in enumerate(methods):
        inner = progress.subprogress(n / len(methods), (n + 1) / len(methods))
        found, out = _follow(shop, yard, cases, batches, method, inner)
        sequences.append(found)
        taken += out
        kept += [(batches[b][0], change) for b, change in found.made]
    result.tables["ledger"] = pd.DataFrame([row for s in sequences for row in s.ledger])
    result.tables["drift"] = pd.DataFrame([row for s in sequences for row in s.drift])
    result.tables["taken_out"] = pd.DataFrame(taken)
    return kept


def _follow(
    shop: Workshop,
    yard: Yardstick,
    cases: Sequence[EditCase],
    batches: Sequence[list[int]],
    method: str,
    progress: Progress,
) -> tuple[_Sequence, list[dict[str, Any]]]:
    run = _Sequence(method)
    writing = cases[-_WRITING:]
    start = yard.read(writing)
    run.drift.append(_drift(run, -1, 0, start, start, 0.0, 1.0))
    before = _logits(shop, cases)
    with ExitStack() as stack:
        for b, members in enumerate(batches):
            done = b / len(batches)
            inner = progress.subprogress(done, done + 1 / len(batches))
            inner(0.0, f"{c.METHODS[method]}: batch {b + 1} of {len(batches)}")
            groups = [[i] for i in members] if method in _ONE_AT_A_TIME else [members]
            for k, group in enumerate(groups):
                step = inner.subprogress(0.8 * k / len(groups), 0.8 * (k + 1) / len(groups))
                change = make(shop, method, [cases[i] for i in group], step)
                stack.enter_context(change.on())
                run.made.append((b, change))
                shop.previous = [made.edit for _, made in run.made if made.edit is not None]
            asked = list(range(members[-1] + 1))
            rows = _ask_again(shop, cases, asked, method, b, batches)
            run.ledger += rows
            if b % _FULL == _FULL - 1 or b == len(batches) - 1:
                holds = float(np.mean([row["holds"] for row in rows]))
                after = yard.read(writing)
                run.drift.append(
                    _drift(run, b, members[-1] + 1, start, after, _norm(shop, run), holds)
                )
    shop.previous = []
    undone = torch.equal(before, _logits(shop, cases))
    for row in run.drift:
        row["undone"] = undone
    return run, _take_out(shop, cases, run, batches)


def _logits(shop: Workshop, cases: Sequence[EditCase]) -> torch.Tensor:
    """Of the first prompts, to see that undoing is exact."""
    model = shop.model
    prompts = [model.tokens(case.questions[0].text) for case in cases[:4]]
    with torch.no_grad():
        read = [
            model.forward(**model.batch([ids]).kwargs(), use_cache=False).logits[0, -1]
            for ids in prompts
        ]
    return torch.stack(read).clone()


def _checked(case: EditCase) -> list[EditQuestion]:
    """The prompt and one paraphrase (the prompt behind other text, where there is none)."""
    kinds = (c.PARAPHRASE, c.FILLER)
    others = [q for kind in kinds for q in case.questions if q.kind == kind]
    return [case.questions[0], *others[:1]]


def _ask_again(
    shop: Workshop,
    cases: Sequence[EditCase],
    asked: Sequence[int],
    method: str,
    b: int,
    batches: Sequence[list[int]],
) -> list[dict[str, Any]]:
    pairs = [(i, q) for i in asked for q in _checked(cases[i])]
    replies = ask(shop.model, [q for _, q in pairs])
    made = {i: n for n, members in enumerate(batches) for i in members}
    rows = []
    for k, (i, q) in enumerate(pairs):
        if q.kind == c.PROMPT:
            rows.append(
                {
                    "method": c.METHODS[method],
                    "edit": i,
                    "subject": cases[i].subject,
                    "made": made[i],
                    "tested": b,
                    "holds": bool(replies.gives_new[k]),
                    "prefers": bool(replies.prefers_new[k]),
                    "reverts": bool(replies.gives_old[k]),
                    "says": replies.says[k].strip(),
                    "in_other_words": False,
                }
            )
        else:
            rows[-1]["in_other_words"] = bool(replies.gives_new[k])
    return rows


def _norm(shop: Workshop, run: _Sequence) -> float:
    """Of all that was added, over that of the matrices: |Σ ΔW| / |W|."""
    sums: dict[str, torch.Tensor] = {}
    for _, change in run.made:
        assert change.edit is not None
        delta = change.edit.delta
        for name, left in delta.left.items():
            step = torch.as_tensor(left) @ torch.as_tensor(delta.right[name])
            sums[name] = sums[name] + step if name in sums else step
    parameters = dict(shop.model.module.named_parameters())
    whole = sum(
        float((parameters[n].detach().float().cpu() - s).norm()) ** 2 for n, s in sums.items()
    )
    return (sum(float(s.norm()) ** 2 for s in sums.values()) / whole) ** 0.5 if whole else np.nan


def _drift(
    run: _Sequence, b: int, edits: int, start: Any, now: Any, norm: float, holds: float
) -> dict[str, Any]:
    previous = run.drift[-1]["loss_change"] if run.drift else 0.0
    change = now.loss - start.loss
    return {
        "method": c.METHODS[run.method],
        "batch": b,
        "edits": edits,
        "loss_change": change,
        "kl": now.kl_from(start),
        "known": now.known,
        "entropy_change": now.entropy - start.entropy,
        "norm": norm,
        "holds": holds,
        "disabled": change - previous > c.DISABLED,
    }


def _take_out(
    shop: Workshop, cases: Sequence[EditCase], run: _Sequence, batches: Sequence[list[int]]
) -> list[dict[str, Any]]:
    """All changes but one are put on again: the facts of that one should be as before, those of
    the others as they were with it.
    """
    last = max(row["tested"] for row in run.ledger)
    held = {row["edit"]: row["holds"] for row in run.ledger if row["tested"] == last}
    picks = np.unique(np.linspace(0, len(run.made) - 1, _TAKEN_OUT).astype(int))
    rows = []
    for at in picks:
        with ExitStack() as stack:
            for n, (_, change) in enumerate(run.made):
                if n != at:
                    stack.enter_context(change.on())
            replies = ask(shop.model, [case.questions[0] for case in cases])
        edit = run.made[at][1].edit
        assert edit is not None
        mine = {request.subject for request in edit.requests}
        inside = [i for i, case in enumerate(cases) if case.subject in mine]
        outside = [i for i in held if i not in inside and held[i]]
        rows.append(
            {
                "method": c.METHODS[run.method],
                "change": int(at),
                "facts": ", ".join(cases[i].subject for i in inside),
                "back": float(np.mean([replies.gives_old[i] for i in inside])),
                "n": len(inside),
                "others_hold": float(np.mean([replies.gives_new[i] for i in outside]))
                if outside
                else np.nan,
                "others": len(outside),
            }
        )
    return rows

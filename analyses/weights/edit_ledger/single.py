"""Each fact edited alone, by each method, and everything asked again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.weights.edit_ledger import constants as c
from analyses.weights.edit_ledger.asking import Replies, ask
from analyses.weights.edit_ledger.cases import EditCase, EditQuestion
from analyses.weights.edit_ledger.consistency import References
from analyses.weights.edit_ledger.elsewhere import Elsewhere, Yardstick, mean_entropy
from analyses.weights.edit_ledger.methods import MadeEdit, Workshop, make, random_change

if TYPE_CHECKING:
    import pandas as pd

    from workbench.progress import Progress
    from workbench.result import Result


def questions_for(case: EditCase, robust: bool) -> list[EditQuestion]:
    """The questions of a case that are asked."""
    return [q for q in case.questions if robust or q.kind not in c.ROBUST]


def single(
    result: Result,
    shop: Workshop,
    yard: Yardstick,
    cases: Sequence[EditCase],
    methods: Sequence[str],
    random_layer: int,
    robust: bool,
    progress: Progress,
) -> None:
    """Tables `answers` and `edits`: one row per fact, method and question, and per fact and method.

    Args:
        methods: without the nulls, which stand beside them.
        random_layer: where the null of r-ROME edits.
        robust: ask behind other text too.
    """
    import pandas as pd

    answers: list[dict[str, Any]] = []
    edits: list[dict[str, Any]] = []
    changes: list[tuple[int, MadeEdit]] = []
    every = ["none", *methods, "random-change"]
    every += ["random-layer"] * bool({"r-rome", "rome"} & set(methods))
    references = References(shop.model, cases)
    for n, case in enumerate(cases):
        questions, sized = questions_for(case, robust), None
        before = yard.read([case])
        for m, method in enumerate(every):
            step = progress.subprogress(
                (n + m / len(every)) / len(cases), (n + (m + 1) / len(every)) / len(cases)
            )
            says = f"{case.subject}: {c.METHODS[method]}"
            step(0.0, says)
            started = time.monotonic()
            if method == "random-change":
                if sized is None:
                    continue
                change = random_change(shop, sized, shop.seed + n)
            elif method == "random-layer":
                change = make(shop, "r-rome", [case], step, random_layer)
            else:
                change = make(shop, method, [case], step)
            seconds = time.monotonic() - started
            if sized is None and change.edit is not None and change.edit.delta.left:
                sized = change
            if change.edit is not None and method in methods:
                changes.append((n, change))
            said = _logits(shop, case)
            with change.on():
                replies = ask(shop.model, questions, change.before)
                after = _after(yard, case, method, change, before)
            undone = torch.equal(said, _logits(shop, case))
            answers += _answers(n, method, questions, replies)
            row = _edit(n, case, method, change, before, after, undone, seconds)
            fits = references.of(case, after.texts[0])
            edits.append(row | {"consistency": fits.new, "consistency_old": fits.old})
    result.tables["answers"] = pd.DataFrame(answers)
    result.tables["edits"] = pd.DataFrame(edits)
    keep(result, changes)


def _after(
    yard: Yardstick, case: EditCase, method: str, change: MadeEdit, before: Elsewhere
) -> Elsewhere:
    """The model apart from the fact; where no weight has changed, only what it writes."""
    if method == "none":
        return before
    if method == "in-context":
        texts = yard.written([case], change.before)
        return replace(before, texts=texts, entropy=mean_entropy(texts))
    return yard.read([case], change.before)


def _logits(shop: Workshop, case: EditCase) -> torch.Tensor:
    """Of the next token after the edited prompt."""
    model = shop.model
    batch = model.batch([model.tokens(case.questions[0].text)])
    with torch.no_grad():
        logits: torch.Tensor = model.forward(**batch.kwargs(), use_cache=False).logits
    return logits[0, -1].clone()


def _answers(
    n: int, method: str, questions: Sequence[EditQuestion], replies: Replies
) -> list[dict[str, Any]]:
    return [
        {
            "fact": n,
            "method": c.METHODS[method],
            "kind": q.kind,
            "prompt": q.text,
            "new": q.new,
            "old": q.old,
            "says": replies.says[i].strip(),
            "gives_new": bool(replies.gives_new[i]),
            "gives_old": bool(replies.gives_old[i]),
            "logp_new": float(replies.new[i]),
            "logp_old": float(replies.old[i]),
        }
        for i, q in enumerate(questions)
    ]


def _edit(
    n: int,
    case: EditCase,
    method: str,
    change: MadeEdit,
    before: Elsewhere,
    after: Elsewhere,
    undone: bool,
    seconds: float,
) -> dict[str, Any]:
    log = change.edit.log if change.edit is not None else None
    return {
        "fact": n,
        "subject": case.subject,
        "method": c.METHODS[method],
        "loss_change": after.loss - before.loss,
        "kl": after.kl_from(before),
        "known": after.known,
        "entropy_change": after.entropy - before.entropy,
        "norm": change.norm,
        "key_ratio": change.key_ratio,
        "disabled": after.loss - before.loss > c.DISABLED,
        "undone": undone,
        "seconds": seconds,
        "writes": after.texts[0].strip(),
        "note": " ".join([*(v.stopped for v in log.values), change.note]) if log else change.note,
    }


def keep(result: Result, changes: Sequence[tuple[int, MadeEdit]]) -> None:
    """The low-rank changes, so that they can be applied, dialled and saved from the run: table
    `factors` and arrays `left`, `right`.
    """
    import pandas as pd
    import xarray as xr

    rows: list[dict[str, Any]] = []
    lefts: list[np.ndarray] = []
    rights: list[np.ndarray] = []
    at_left = at_right = 0
    for n, change in changes:
        assert change.edit is not None
        delta = change.edit.delta
        for name, left in delta.left.items():
            a, b = np.asarray(left, np.float32), np.asarray(delta.right[name], np.float32)
            rows.append(
                {
                    "fact": n, "method": change.method, "parameter": name, "about": delta.about,
                    "weights": delta.weights, "rank": a.shape[1], "rows": a.shape[0],
                    "columns": b.shape[1], "at_left": at_left, "at_right": at_right,
                }
            )  # fmt: skip
            lefts.append(a.ravel())
            rights.append(b.ravel())
            at_left, at_right = at_left + a.size, at_right + b.size
    if rows:
        result.tables["factors"] = pd.DataFrame(rows)
        result.arrays["left"] = xr.DataArray(np.concatenate(lefts), dims=("number",))
        result.arrays["right"] = xr.DataArray(np.concatenate(rights), dims=("place",))


def facts_table(cases: Sequence[EditCase], answers: pd.DataFrame) -> pd.DataFrame:
    """The facts, with how likely they were before any edit."""
    import pandas as pd

    base = answers[(answers["method"] == c.METHODS["none"]) & (answers["kind"] == c.PROMPT)]
    surprise = dict(zip(base["fact"], base["logp_old"], strict=True))
    return pd.DataFrame(
        [
            {
                "fact": n,
                "subject": case.subject,
                "old": case.old,
                "new": case.new,
                "popularity": np.nan if case.popularity is None else case.popularity,
                "logp_old": surprise.get(n, np.nan),
                "questions": len(case.questions),
            }
            for n, case in enumerate(cases)
        ]
    )

"""From tables to findings: what became of the passages, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.weights.unlearning_audit import attack_findings
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit import verdicts as v
from workbench.organisms.packed_weights import SAMPLES
from workbench.result import Finding, Result
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.unlearning_audit.sets import Sets


def add_all(result: Result, sets: Sets) -> None:
    """Every finding of the parts that ran, and the table `verdicts`."""
    import pandas as pd

    judged = v.verdicts(result)
    result.tables["verdicts"] = pd.DataFrame(
        [{"model": one.model, "verdict": one.verdict, "because": one.because} for one in judged]
    )
    _add_verdict(result, judged, sets)
    _add_left(result)
    _add_criterion(result, "leak", "Leakage (0: the passages stand out no more than in the"
                   " reference; below 0 they still do)", "%")  # fmt: skip
    _add_utility(result)
    _add_knowledge(result)
    _add_noise(result)
    _add_path(result)
    _add_folds(result)
    attack_findings.add_attacks(result)
    _add_limits(result, sets)


def _add_verdict(result: Result, judged: list[v.AuditVerdict], sets: Sets) -> None:
    counts = Counter(one.verdict for one in judged)
    said = " ".join(
        f"{verdict[0].upper()}{verdict[1:]}: "
        + ", ".join(one.model for one in judged if one.verdict == verdict)
        + "."
        for verdict in c.VERDICTS
        if counts[verdict]
    )
    tried = [name for name in ("relearning", "rounding") if name in result.tables]
    attacks = (
        f"Attacks that were tried: {', '.join(tried)}."
        if tried
        else "No attack was tried: only what the model says was looked at."
    )
    n = len(sets[c.FORGET])
    many = f"{counted(n, 'passage')} {'was' if n == 1 else 'were'}"
    result.add(
        Finding(
            "verdict",
            {_key(verdict): counts[verdict] for verdict in c.VERDICTS},
            f"{many} to be forgotten. {said} {attacks}",
            unit="models",
        )
    )


def _key(words: str) -> str:
    return words.split(",")[0].replace(" ", "_")


def _shown(value: float) -> str:
    return f"{value:+.0f}".replace("-", "−")


def _with_interval(value: float, low: float, high: float) -> str:
    """A number and its interval, where there is one."""
    if np.isnan(low):
        return _shown(value)
    return f"{_shown(value)} ({_shown(low)} to {_shown(high)})"


def _add_left(result: Result) -> None:
    table = result.tables["passages"]
    names = v.audited(result)
    found = {name: v.left(table, name) for name in names}
    beside = "the reference has" if v.reference_of(result) else "passages never read have"
    said = ", ".join(f"{name} {_with_interval(*one)}" for name, one in found.items())
    before = table[(table["set"] == c.FORGET) & (table["model"] == c.ORIGINAL)]["exact"]
    original = f"; the original {_shown(v.left(table, c.ORIGINAL)[0])}" if len(before) else ""
    result.add(
        Finding(
            "left",
            {name: mean for name, (mean, _, _) in found.items()},
            f"Of the passages to forget, so many points more of the tokens are first choice than"
            f" {beside} (95 % over passages): {said}{original}.",
            unit="points of first choice",
            interval={name: (low, high) for name, (_, low, high) in found.items()},
        )
    )


def _values(result: Result, criterion: str, names: list[str]) -> pd.DataFrame:
    table = result.tables["audit"]
    rows = table[(table["criterion"] == criterion) & table["model"].isin(names)]
    return rows.dropna(subset=["value"]).set_index("model")


def _add_criterion(result: Result, name: str, begins: str, unit: str) -> None:
    rows = _values(result, name, [*v.audited(result), c.ORIGINAL, c.SECOND])
    if rows.empty:
        return
    said = ", ".join(
        f"{model} {_with_interval(row['value'], row['low'], row['high'])}"
        for model, row in rows.iterrows()
    )
    result.add(
        Finding(
            name,
            {str(model): float(row["value"]) for model, row in rows.iterrows()},
            f"{begins}, in {unit} with 95 % intervals: {said}.",
            unit="percent",
            interval={
                str(model): (float(row["low"]), float(row["high"]))
                for model, row in rows.iterrows()
            },
        )
    )


def _add_utility(result: Result) -> None:
    """Loss on neutral text, and what is still said of passages to keep."""
    table = result.tables["passages"]
    names = [n for n in v.audited(result) if not np.isnan(v.damage(table, n))]
    if not names:
        return
    kept = table[table["set"] == c.KEPT].groupby("model")["exact"].mean()
    said = []
    for name in names:
        words = f"{name} {v.damage(table, name):+.2f} nats".replace("-", "−")
        if name in kept:
            words += f" and {_shown(100 * (kept[name] - kept[c.ORIGINAL]))} points"
        said.append(words)
    result.add(
        Finding(
            "utility",
            {name: v.damage(table, name) for name in names},
            "What should stay: change of the loss on neutral text, and of the share of first choice"
            f" on passages to keep that no method was shown: {', '.join(said)}.",
            unit="nats per token",
        )
    )


def _add_knowledge(result: Result) -> None:
    if "answers" not in result.tables:
        result.add(
            Finding(
                "no_questions",
                0.0,
                "Nothing was asked about the passages in other words than their own: what the model"
                " knows of them apart from their wording is not told.",
                unit="questions",
            )
        )
        return
    names = list(dict.fromkeys(result.tables["answers"]["model"]))
    rows = _values(result, "choice", names)
    if rows.empty:
        return
    said = ", ".join(f"{model} {row['value']:.0f} %" for model, row in rows.iterrows())
    n = int(rows["n"].max())
    result.add(
        Finding(
            "knowledge",
            {str(model): float(row["value"]) for model, row in rows.iterrows()},
            f"Asked in other words ({counted(n, 'question')}; chance is 20 %), the right of five"
            f" answers is the likeliest in: {said}.",
            unit="percent",
        )
    )


def _add_noise(result: Result) -> None:
    table = result.tables["passages"]
    if not {c.REFERENCE, c.SECOND} <= set(table["model"]):
        return
    mean, low, high = v.left(table, c.SECOND)
    result.add(
        Finding(
            "noise",
            mean,
            "Two references that differ in nothing but their seed lie"
            f" {_shown(mean)} points apart ({_shown(low)} to {_shown(high)}): differences below"
            f" {v.noise(table):.0f} points are noise of training.",
            unit="points of first choice",
            interval=(low, high),
        )
    )


def _add_path(result: Result) -> None:
    """At equal forgetting, who keeps more."""
    if "path" not in result.tables:
        return
    found = at_equal_forgetting(result)
    if len(found) < 2:
        return
    said = ", ".join(f"{name} {value:.0f}" for name, value in found.items())
    result.add(
        Finding(
            "path",
            found,
            "Half-way to the aim, measured by the loss on the passages to forget, so many percent"
            f" of the tokens of passages to keep are still first choice: {said}.",
            unit="percent",
        )
    )


def at_equal_forgetting(result: Result, share: float = 0.5) -> dict[str, float]:
    """Method -> percent of first choice on passages to keep, at the step where `share` of the way
    from the original's loss to the aim is gone; by straight lines between measured steps. A method
    that did not come so far is left out.
    """
    aims = result.tables["unlearning"].set_index("model")["aim"]
    found = {}
    for name, rows in result.tables["path"].groupby("model", sort=False):
        if "kept_exact" not in rows or rows["kept_exact"].isna().all():
            continue
        rows = rows.sort_values("step")
        loss, kept = rows["forget_nats"].to_numpy(float), rows["kept_exact"].to_numpy(float)
        level = loss[0] + share * (float(aims[name]) - loss[0])
        over = np.flatnonzero(loss >= level)
        if not len(over) or not over[0]:
            continue
        at = int(over[0])
        part = (level - loss[at - 1]) / (loss[at] - loss[at - 1])
        found[str(name)] = float(kept[at - 1] + part * (kept[at] - kept[at - 1]))
    return found


def _add_folds(result: Result) -> None:
    if "folds" not in result.tables:
        return
    table = result.tables["folds"]
    for way, name in (("at once", "more"), ("one after another", "in_turn")):
        rows = table[(table["way"] == way) & (table["model"] != c.REFERENCE)]
        kept = rows[rows["criterion"] == "kept"].dropna(subset=["value"])
        if kept.empty:
            continue
        ends = kept.groupby("model", sort=False).agg(
            first=("value", "first"), last=("value", "last")
        )
        said = ", ".join(
            f"{model} {row['first']:.0f} to {row['last']:.0f}" for model, row in ends.iterrows()
        )
        lost = rows[~rows["reached"]].groupby("model", sort=False)["folds"].min()
        failed = "; ".join(f"{model} from {n} on" for model, n in lost.items())
        many = int(rows["folds"].max())
        begins = (
            f"From one fold to {many} forgotten at once"
            if name == "more"
            else f"With one fold after another forgotten, up to {many}"
        )
        result.add(
            Finding(
                name,
                {str(model): float(row["last"]) for model, row in ends.iterrows()},
                f"{begins}, what is kept verbatim goes in percent: {said}."
                + (f" The aim was missed by {failed}." if failed else ""),
                unit="percent",
            )
        )


def say_not_installed(result: Result, names: Sequence[str]) -> None:
    """References that would stand beside the folds, and are not here."""
    if names:
        result.add(
            Finding(
                "not_installed",
                float(len(names)),
                f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not installed, and do not"
                f" stand beside the folds: `pip install {SAMPLES}` brings them.",
                unit="models",
            )
        )


def _add_limits(result: Result, sets: Sets) -> None:
    """What this run cannot tell."""
    few = len(sets[c.FORGET])
    unseen = len(sets[c.UNSEEN])
    said = []
    if few < c.ENOUGH_FORGET:
        said.append(f"{counted(few, 'passage')} to forget (from {c.ENOUGH_FORGET} on methods can"
                    " be told apart)")  # fmt: skip
    if unseen < c.ENOUGH_UNSEEN:
        said.append(
            f"{counted(unseen, 'passage')} never read (leakage needs {c.ENOUGH_UNSEEN})"
            if unseen
            else "no passages that the model never read, so leakage is not told"
        )
    if said:
        result.add(Finding("too_few", float(few), f"Too few: {'; '.join(said)}.", unit="passages"))
    if v.reference_of(result) is None:
        result.add(
            Finding(
                "no_reference",
                float(len(v.audited(result))),
                "No model that never read the passages stands beside these: they are compared with"
                " passages never read in the same model, and leakage with an even chance.",
                unit="models",
            )
        )
    if "unlearning" in result.tables:
        table = result.tables["unlearning"]
        missed = table[~table["reached"]]
        if len(missed):
            said = [f"{row.model} ({row.note.split('.')[0]})" for row in missed.itertuples()]
            result.add(
                Finding(
                    "not_reached",
                    float(len(missed)),
                    f"Did not reach the loss at which the passages count as forgotten"
                    f" ({float(table['aim'].iloc[0]):.2f} nats per token): {', '.join(said)}.",
                    unit="methods",
                )
            )

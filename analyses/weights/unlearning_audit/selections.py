"""What is looked at of a run: the chosen model, criterion and training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.constants import TRAINED_ON
from analyses.weights.unlearning_audit.criterion import CRITERIA

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

SAID, KEPT = "passages to forget", "passages to keep"
_OF_ANSWERS = ("knowledge", "choice", "truth", "forget_quality", "ks", "utility", "model_utility")
_OF_KEPT = ("kept", "utility", "model_utility")
_COLUMNS = {
    "leak": "min_k", "knowledge": "rouge", "utility": "rouge", "choice": "chosen",
    "kept": "verbatim", "neutral": "nats",
}  # fmt: skip
"""Criterion -> the column it is counted from, where that is called otherwise."""
_LEAST = 10.0
"""Points that original and reference must lie apart for a share of them to mean something."""


def first_choices(run: Result) -> pd.DataFrame:
    """Share of first choices on the passages to forget and on those to keep, one row per model."""
    import pandas as pd

    table, rows = run.tables["passages"], []
    for model in models(run):
        row: dict[str, Any] = {"model": model}
        for word, in_set in ((SAID, c.FORGET), (KEPT, c.KEPT)):
            own = table[(table["set"] == in_set) & (table["model"] == model)]["exact"]
            mean, (low, high) = mean_interval(own.to_numpy(float))
            row |= {word: mean, f"{word}_low": max(low, 0.0), f"{word}_high": min(high, 1.0)}
        rows.append(row)
    return pd.DataFrame(rows)


def models(run: Result) -> dict[str, str]:
    """The models of a run by their names."""
    return {str(name): str(name) for name in dict.fromkeys(run.tables["passages"]["model"])}


def first_model(run: Result, pick: Pick) -> str:
    """The first that is judged."""
    chosen, found = pick.kept("model"), models(run)
    judged = [name for name in found if name not in c.BESIDE]
    return chosen if chosen in found else (judged or list(found))[0]


def against_original(run: Result) -> pd.DataFrame:
    """What is left of each criterion, in percent of the way from the reference (0) to the original
    (100); of what should stay, in percent of what the original has.
    """
    import pandas as pd

    wide = run.tables["audit"].pivot(index="model", columns="criterion", values="value")
    if not {c.ORIGINAL, c.REFERENCE} <= set(wide.index):
        return pd.DataFrame()
    before, never = wide.loc[c.ORIGINAL], wide.loc[c.REFERENCE]
    rows = []
    for model in models(run):
        if model in (c.ORIGINAL, c.REFERENCE):
            continue
        for name in ("verbatim", "exact", "strength", "leak", "knowledge", "kept", "utility"):
            base = 0.0 if name in _OF_KEPT else never[name]
            span = before[name] - base
            if abs(span) >= _LEAST:  # NaN is not
                title = CRITERIA[name].title.split(" (")[0]
                rows.append(
                    {
                        "model": model,
                        "criterion": title if name in _OF_KEPT else f"{title}: left",
                        "percent": 100 * (wide.loc[model, name] - base) / span,
                    }
                )
    return pd.DataFrame(rows)


def all_criteria(run: Result) -> pd.DataFrame:
    """One row per model, one column per criterion that was measured."""
    table = run.tables["audit"].dropna(subset=["value"])
    wide = table.pivot(index="model", columns="criterion", values="value")
    known = [name for name in CRITERIA if name in wide]
    frame = wide.loc[list(models(run)), known]
    frame.columns = [CRITERIA[name].title for name in known]
    return frame.reset_index()


def of_model(run: Result, pick: Pick) -> pd.DataFrame:
    """Every criterion of the chosen model, beside the original and the reference."""
    table = run.tables["audit"].dropna(subset=["value"])
    wide = table.pivot(index="criterion", columns="model", values="value")
    mine = table[table["model"] == pick["model"]].set_index("criterion")
    names = [name for name in CRITERIA if name in mine.index]
    frame = mine.loc[names, ["value", "low", "high", "n"]].reset_index()
    frame.insert(0, "number", [list(CRITERIA).index(name) for name in names])
    for beside in (c.ORIGINAL, c.REFERENCE):
        if beside in wide:
            frame[beside] = wide[beside].reindex(names).to_numpy()
    frame["criterion"] = [CRITERIA[name].title for name in names]
    return frame


def criterion_of(run: Result, pick: Pick) -> int:
    """Number of the chosen criterion; the first where none is chosen."""
    chosen = pick.selection.prompt
    return chosen if chosen is not None and 0 <= chosen < len(CRITERIA) else 0


def evidence(run: Result, pick: Pick) -> tuple[str, pd.DataFrame, str]:
    """(what the criterion is, the passages or answers it is counted over, their table)."""
    name = list(CRITERIA)[pick.prompt]
    one = CRITERIA[name]
    about = f"{one.title}: {one.says}"
    of_answers = name in _OF_ANSWERS and "answers" in run.tables
    table = run.tables["answers" if of_answers else "passages"]
    in_set = c.KEPT if name in _OF_KEPT else c.NEUTRAL if name == "neutral" else c.FORGET
    sets = [in_set, c.UNSEEN] if name == "leak" else [in_set]
    mine = table[(table["model"] == pick["model"]) & table["set"].isin(sets)]
    keys = ["set", "passage", *(["field"] if of_answers else [])]
    column = _COLUMNS.get(name, "truth_ratio" if of_answers else name)
    asked = ["prompt", "answer"] if of_answers else []
    frame = mine[[*keys, *asked, column]]
    for beside in (c.ORIGINAL, c.REFERENCE):
        theirs = table[table["model"] == beside].set_index(keys)[column]
        if len(theirs) and beside != pick["model"]:
            found = theirs[~theirs.index.duplicated()].reindex(frame.set_index(keys).index)
            frame = frame.assign(**{f"{column}, {beside}": found.to_numpy()})
    frame = frame.assign(says=mine["says"])
    return about, frame.reset_index(drop=True), "answers" if of_answers else "passages"


def path(run: Result) -> pd.DataFrame:
    """What is kept by how far forgetting has come."""
    table = run.tables["path"]
    frame = table[["model", "step", "forget_nats"]].copy()
    frame["kept"] = table["kept_exact"] / 100 if "kept_exact" in table else np.nan
    return frame.sort_values(["model", "forget_nats"]).dropna(subset=["kept"])


def folds(run: Result, way: str, criterion: str) -> pd.DataFrame:
    """One criterion over the number of folds."""
    table = run.tables["folds"]
    return table[(table["way"] == way) & (table["criterion"] == criterion)].dropna(subset=["value"])


def trainings(run: Result) -> dict[str, str]:
    """What was trained on, by what it is called."""
    found = set(run.tables["relearning"]["trained_on"])
    return {f"{name} ({says})": name for name, says in TRAINED_ON.items() if name in found}


def first_training(run: Result, pick: Pick) -> str:
    chosen, found = pick.kept("trained_on"), trainings(run)
    return chosen if chosen in found.values() else next(iter(found.values()))


def relearning(run: Result, trained_on: str) -> pd.DataFrame:
    """First choice by step, of passages to forget that are not trained on."""
    table = run.tables["relearning"]
    mine = table[(table["trained_on"] == trained_on) & (table["set"] == c.FORGET)]
    frame = mine.groupby(["model", "step"], sort=False)["exact"].mean().reset_index()
    frame["exact"] /= 100
    return frame


def rounding(run: Result) -> pd.DataFrame:
    """First choice by bits, one row per model."""
    table = run.tables["rounding"]
    wide = table.groupby(["model", "bits"], sort=False)["exact"].mean().unstack() / 100
    frame = wide.loc[list(dict.fromkeys(table["model"]))]
    frame.columns = [BITS_WORDS[int(bits)] for bits in frame.columns]
    return frame.reset_index()


BITS_WORDS = {32: "as it is", 8: "8 bits", 4: "4 bits"}


def sampling(run: Result) -> pd.DataFrame:
    """ln p of the rest of each passage, the likeliest first, by model."""
    table = run.tables["sampling"].replace(-np.inf, np.nan).dropna(subset=["log_p"])
    frame = table.sort_values("log_p", ascending=False)[["model", "log_p"]].copy()
    frame["log10_p"] = frame["log_p"] / np.log(10)
    frame["place"] = frame.groupby("model").cumcount() + 1
    return frame.sort_values(["model", "place"])


def lens(run: Result) -> pd.DataFrame:
    """Share of first choices by layer and model."""
    table = run.tables["lens"]
    return table.groupby(["model", "layer"], sort=False)["first_choice"].mean().reset_index()


def probes(run: Result) -> pd.DataFrame:
    """AUC by layer of the probe on states that are averaged over a passage."""
    table = run.tables["probes"]
    return table[table["pooling"] == "mean"]


def patched(run: Result) -> pd.DataFrame:
    """First choice by layer: states of the original in the unlearned model."""
    table = run.tables["patched"]
    first = table["direction"].iloc[0]
    mine = table[table["direction"] == first]
    return mine.groupby(["model", "layer"], sort=False)["exact_memorization"].mean().reset_index()


def between(run: Result) -> pd.DataFrame:
    """First choice on the line from the original to the unlearned weights."""
    table = run.tables["between"]
    return table.groupby(["model", "share"], sort=False)["exact_memorization"].mean().reset_index()


def reset(run: Result) -> pd.DataFrame:
    """Percent of first choices with one module put back."""
    frame = _percent(run, "reset", "layer", "part")
    frame["module"] = "layer " + frame["layer"].astype(str) + ", " + frame["part"]
    return frame


def prompts(run: Result) -> pd.DataFrame:
    """Percent of first choices behind each prompt."""
    frame = _percent(run, "prompts", "prompt", "given")
    frame["behind"] = frame["given"].astype(str) + " tokens, " + frame["prompt"]
    return frame


def _percent(run: Result, table: str, *keys: str) -> pd.DataFrame:
    """Mean over passages, by model and these columns."""
    groups = run.tables[table].groupby(["model", *keys], sort=False)["exact_memorization"]
    return (100 * groups.mean()).rename("percent").reset_index()


def of_method(run: Result, table: str, method: str) -> pd.DataFrame:
    """The rows of one method: random labels, or ELM."""
    rows = run.tables[table]
    return rows[rows["method"] == method].drop(columns="method").reset_index(drop=True)


def reach(run: Result, table: str) -> pd.DataFrame:
    """How much of the way to chance is gone, in percent, by what is asked and what is trained on;
    of random changes their mean.
    """
    import pandas as pd

    rows = run.tables[table]
    training = rows["task"].where(rows["model"] != c.RANDOM, c.RANDOM)
    frame = pd.DataFrame(
        {"training": training, "facts": rows["group"], "percent": 100 * rows["forgotten"]}
    )
    by = ["training", "facts"]
    frame = frame.groupby(by, sort=False)["percent"].mean().reset_index()
    return frame.sort_values("training", key=lambda names: names == c.RANDOM, kind="stable")


def answer_probes(run: Result, method: str) -> pd.DataFrame:
    """Accuracy by layer, mean over the relations, and of shuffled labels."""
    import pandas as pd

    rows = of_method(run, "answer_probes", method)
    by = ["model", "layer"]
    found = rows.groupby(by, sort=False)["accuracy"].mean().reset_index()
    null = rows[rows["model"] == method].groupby("layer")["shuffled"].mean().reset_index()
    null = null.rename(columns={"shuffled": "accuracy"}).assign(model="labels shuffled")
    return pd.concat([found, null], ignore_index=True)

"""How a run shows what small models hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.state.recall_capacity import schema
from workbench import views as v

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

_NOT_RUN = "the part {!r} was not run"


def _map(run: Result, column: str) -> pd.DataFrame:
    table = run.tables["task_map"]
    return table.assign(
        state=[f"{n:,} bytes" for n in table["state_bytes"]], percent=100 * table[column]
    )


def _looked_up(run: Result) -> pd.DataFrame:
    return _map(run, "generalizes")


def _by_heart(run: Result) -> pd.DataFrame:
    return _map(run, "memorizes")


def _recited(run: Result) -> pd.DataFrame:
    table = run.tables["recitation"]
    return table.assign(texts=[f"{n} letters" for n in table["length"]])


def _sentences(run: Result) -> pd.DataFrame:
    means = run.tables["sentences"].groupby(["read", "part", "step"])["right"].mean().reset_index()
    return means.assign(curve=means["read"] + ", " + means["part"])


def _distances(run: Result) -> pd.DataFrame:
    return run.tables["sentence_distances"].rename(columns={"distance": "mean"})


def _vocabularies(run: Result) -> pd.DataFrame:
    return run.tables["vocabularies"].assign(
        name=lambda rows: rows["vocabulary"].astype(str) + " tokens, read " + rows["read"],
        mean=lambda rows: rows["steps"],
    )


SMALL_VIEWS = [
    v.View("Kept pairs", needs="kept_pairs", parts=[
        v.finding("kept_pairs"),
        v.chart("curves", "kept_pairs", "kept", "recall", "way", percent=True,
                interval=("low", "high"), xlabel="pairs of 32 that are kept exactly",
                ylabel="pairs recalled (%)", title="Recall by how the kept pairs are chosen",
                height=380),
        v.says(schema.KEPT, small=True),
        v.table("kept_pairs"),
    ], otherwise=_NOT_RUN.format("eidetic")),
    v.View("Tasks", needs="task_map", parts=[
        v.finding("task_map"),
        v.row(
            v.chart("matrix", _looked_up, "state", "tasks", "percent", unit="%", top=100.0,
                    title="Generalizes: shown keys, new tasks"),
            v.chart("matrix", _by_heart, "state", "tasks", "percent", unit="%", top=100.0,
                    title="Memorizes: keys that are not shown"),
            widths=(420, 420),
        ),
        v.says(schema.TASKS, small=True),
        v.table("task_map"),
    ], otherwise=_NOT_RUN.format("tasks")),
    v.View("Recitation", needs="recitation", parts=[
        v.finding("recitation"),
        v.chart("curves", _recited, "items", "exact", "texts", percent=True, scale="doublings",
                interval=("low", "high"), xlabel="texts", ylabel="recited exactly (%)",
                title="Texts recited exactly, by number and length", ylim=(-3.0, 103.0)),
        v.table("recitation"),
        v.table("recited", "Every training"),
    ], otherwise=_NOT_RUN.format("recitation")),
    v.View("Vocabulary", needs="vocabularies", parts=[
        v.finding("vocabulary"),
        v.chart("intervals", _vocabularies, "name", "read", unit="training steps", zero=False,
                title="Steps until random labels are fitted"),
        v.table("vocabularies"),
        v.table("label_fits", "Every training"),
    ], otherwise=_NOT_RUN.format("vocabulary")),
    v.View("Sentences", needs="sentences", parts=[
        v.finding("sentences"),
        v.row(
            v.chart("curves", _sentences, "step", "right", "curve", percent=True,
                    ylim=(-3.0, 103.0), xlabel="training step", ylabel="right words (%)",
                    title="Words translated, by half of the sentence"),
            v.chart("intervals", _distances, "variant", "model", unit="of the distance of other"
                    " words", zero=False, title="How far a sentence's vector moves"),
            widths=(420, 420),
        ),
        v.table("sentence_distances"),
    ], otherwise=_NOT_RUN.format("sentences")),
]  # fmt: skip

"""The map over number of tasks and size of the state: stored trainings, and the command that makes
them again.

    python -m analyses.state.recall_capacity.task_table      # half an hour on one core; goes on
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from analyses.state.recall_capacity import task_maps
from workbench.result import Finding, Result
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd

FILE = Path(__file__).with_name("task_maps.jsonl")
TASKS = (4, 16, 64, 256, 0)
"""Numbers of tasks; 0 is a new one for every row."""
KEY_DIMS = (4, 8, 16)
SEEDS = (0, 1, 2)
STEPS = 700
GENERALIZES, MEMORIZES, BOTH, FAILS = "generalizes", "memorizes", "both", "fails"
_DOES = {BOTH: "does both"}


def stored() -> list[task_maps.TaskTraining]:
    """The trainings that ship."""
    lines = FILE.read_text("utf-8").splitlines() if FILE.exists() else []
    return [task_maps.TaskTraining(**json.loads(line)) for line in lines]


def verdict(generalizes: float, memorizes: float) -> str:
    """What a cell does, by the shares of right answers."""
    looks_up, knows = (share >= task_maps.LEARNED for share in (generalizes, memorizes))
    if looks_up and knows:
        return BOTH
    return GENERALIZES if looks_up else MEMORIZES if knows else FAILS


def measure(result: Result) -> None:
    """Table `task_map` from the stored trainings, and its finding."""
    import pandas as pd

    cells = pd.DataFrame([asdict(cell) for cell in stored()])
    rows = []
    for (tasks, key_dim), part in cells.groupby(["tasks", "key_dim"]):
        looks_up, knows = part["generalizes"].mean(), part["memorizes"].mean()
        rows.append(
            {
                "tasks": "new for every row" if tasks == 0 else f"{tasks}",
                "state_bytes": task_maps.state_bytes(int(str(key_dim))),
                "generalizes": looks_up,
                "generalizes_low": part["generalizes"].min(),
                "generalizes_high": part["generalizes"].max(),
                "memorizes": knows,
                "memorizes_low": part["memorizes"].min(),
                "memorizes_high": part["memorizes"].max(),
                "seen": part["seen"].mean(),
                "verdict": verdict(looks_up, knows),
                "trainings": len(part),
                "order": 10**9 if tasks == 0 else tasks,
            }
        )
    table = pd.DataFrame(rows).sort_values(["order", "state_bytes"], kind="stable")
    result.tables["task_map"] = table.drop(columns="order").reset_index(drop=True)
    _add_finding(result, result.tables["task_map"])


def _tasks(count: str) -> str:
    return f"{count} tasks" if count.isdigit() else "tasks that are new for every row"


def _add_finding(result: Result, table: pd.DataFrame) -> None:
    large = table[table["state_bytes"] == table["state_bytes"].max()]
    small = table[table["state_bytes"] == table["state_bytes"].min()]
    words = [
        f"{_tasks(row.tasks)} {_DOES.get(row.verdict, row.verdict)} ({percent(row.memorizes)} by"
        f" heart, {percent(row.generalizes)} looked up)"
        for row in large.itertuples()
    ]
    trainings = int(table["trainings"].sum())
    says = (
        f"With the largest state, a model of {'; of '.join(words)}. With the"
        f" smallest state new tasks are looked up in {percent(small['generalizes'].max())} at most"
        f" ({trainings} trainings; a guess is right in {percent(1 / task_maps.KEYS)})."
    )
    values = {
        f"looked_up_{row.tasks}".replace(" ", "_"): row.generalizes for row in large.itertuples()
    }
    result.add(Finding("task_map", values, says, unit="share of questions"))


def build() -> None:
    """Train what is not stored yet."""
    import torch

    from workbench.organisms.recall.train import short_chunks

    torch.set_num_threads(1)
    done = {(cell.tasks, cell.key_dim, cell.seed) for cell in stored()}
    for seed in SEEDS:
        for tasks in TASKS:
            for key_dim in KEY_DIMS:
                if (tasks, key_dim, seed) not in done:
                    cell = task_maps.train(tasks, key_dim, seed, STEPS, within=short_chunks)
                    with FILE.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(cell)) + "\n")
                    print(cell, flush=True)


if __name__ == "__main__":
    build()

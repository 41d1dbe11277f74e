"""What is looked at of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.training.retention.constants import NOVEL, VARIANTS
from analyses.training.retention.findings import begun_anywhere
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick


def dose(run: Result) -> pd.DataFrame:
    """Rates by readings, a curve for each measure and time."""
    table = run.tables["dose"]
    return table.assign(curve=table["measure"] + ", " + table["when"])


def by_dose(run: Result) -> pd.DataFrame:
    """Spread readings along training: tokens recited, a curve for each number of readings."""
    return _of_timing(run, "spread")


def read_early(run: Result) -> pd.DataFrame:
    """The same of texts read early."""
    return _of_timing(run, "early")


def _of_timing(run: Result, timing: str) -> pd.DataFrame:
    table = run.tables["curves"]
    rows = table[(table["timing"] == timing) & (table["repeats"] >= 4)]
    return rows.assign(read=[f"{n} times" for n in rows["repeats"]])


def timing_bars(run: Result) -> pd.DataFrame | None:
    """Late less early, a row for each number of readings."""
    table = run.tables.get("timing")
    if table is None:
        return None
    rows = table[table["measure"] == "gain"]
    names = ["all texts" if n == "all" else counted(int(n), "reading") for n in rows["readings"]]
    return rows.assign(read=names, mean=rows["difference"], of="late less early")


def left(run: Result) -> pd.DataFrame | None:
    """What is left, by dose."""
    return run.tables.get("retained")


def shown(run: Result) -> dict[str, int]:
    """Texts of which every token is kept, in words."""
    table = run.tables["items"]
    rows = table[table["shown"]]
    return {
        f"{row.kind}, {counted(int(row.repeats), 'reading')}, {row.timing} ({row.id})": int(
            row.item
        )
        for row in rows.sort_values(["best", "repeats"], ascending=False).itertuples()
    }


def first_shown(run: Result, pick: Pick) -> int:
    """The chosen text, or the one that came furthest."""
    offered = list(shown(run).values())
    chosen = pick.selection.prompt
    return chosen if chosen in offered and chosen else offered[0]


def steps(run: Result) -> dict[str, int]:
    """Kept steps, in words."""
    return {f"{step:,}": int(step) for step in sorted(run.tables["said"]["step"].unique())}


def best_step(run: Result, pick: Pick) -> int:
    """The step at which the chosen text is recited furthest."""
    rows = run.tables["item_steps"]
    rows = rows[rows["item"] == pick.prompt].reset_index(drop=True)
    return int(rows.loc[rows["match"].idxmax(), "step"])


def timeline(run: Result, pick: Pick) -> pd.DataFrame:
    """One text along training, its readings as marks below."""
    import pandas as pd

    rows = run.tables["item_steps"]
    rows = rows[rows["item"] == pick.prompt]
    read = run.tables["exposures"]
    marks = read.loc[read["item"] == pick.prompt, "step"]
    own = rows[["step", "match", "readings"]].astype(float)
    below = -0.06 * max(4.0, float(own["match"].max()))
    return pd.concat([own, pd.DataFrame({"step": marks.astype(float), "mark": below})])


def gain_line(run: Result, pick: Pick) -> pd.DataFrame:
    """How much likelier one text is than others of its kind."""
    rows = run.tables["item_steps"]
    return rows.loc[rows["item"] == pick.prompt, ["step", "gain"]].astype(float)


def text_at(run: Result, pick: Pick) -> pd.DataFrame:
    """The tokens of the chosen text at the chosen step."""
    table = run.tables["said"]
    return table[(table["item"] == pick.prompt) & (table["step"] == pick["step"])]


def at_step_in_words(run: Result, pick: Pick) -> str:
    """What had been read by then, and what is recited."""
    rows = run.tables["item_steps"]
    row = rows[(rows["item"] == pick.prompt) & (rows["step"] == pick["step"])].iloc[0]
    read = counted(int(row["readings"]), "reading")
    since = f", the last {int(row['since']):,} updates ago" if row["since"] == row["since"] else ""
    return (
        f"At step {pick['step']:,}: {read}{since}. Greedy decoding recites"
        f" {counted(int(row['match']), 'token')} behind the first half."
    )


def raster(run: Result) -> pd.DataFrame:
    """Tokens recited, text by step, of the shown texts that were ever recited."""
    items = run.tables["items"]
    chosen = items[items["shown"] & (items["best"] > 0)].nlargest(16, "best")
    names = {
        int(row.item): f"{row.id} ({row.timing})"
        for row in chosen.sort_values(["timing", "best"], ascending=[True, False]).itertuples()
    }
    rows = run.tables["item_steps"]
    rows = rows[rows["item"].isin(names)]
    order = {item: number for number, item in enumerate(names)}
    rows = rows.assign(text=rows["item"].map(names), order=rows["item"].map(order))
    return rows.sort_values(["order", "step"])[["text", "step", "match"]]


def doses(run: Result) -> list[str]:
    """Groups of texts that have a profile."""
    return list(run.tables["events"]["dose"].unique())


def events(run: Result, pick: Pick) -> pd.DataFrame:
    """Effect by kept steps since the first reading."""
    table = run.tables["events"]
    return table[table["dose"] == pick["dose"]]


def cohorts(run: Result) -> dict[str, int]:
    """Cohorts, by the step they were first read before."""
    table = run.tables["profiles"]
    sizes = table.groupby("cohort")["n"].max().sort_index()
    return {
        f"before step {step:,} ({counted(int(n), 'text')})": int(step) for step, n in sizes.items()
    }


def largest_cohort(run: Result, pick: Pick) -> int:
    """The cohort of most texts that is seen before its reading too."""
    table = run.tables["profiles"]
    rows = table[(table["dose"] == table["dose"].iloc[0]) & (table["event"] < -1)]
    rows = rows if len(rows) else table
    return int(rows.loc[rows["n"].idxmax(), "cohort"])


def profile(run: Result, pick: Pick) -> pd.DataFrame:
    """One cohort along training."""
    table = run.tables["profiles"]
    rows = table[(table["cohort"] == pick["cohort"]) & (table["dose"] == pick["dose"])]
    return rows if len(rows) else table[table["cohort"] == pick["cohort"]]


def access_curves(run: Result) -> pd.DataFrame | None:
    """Tokens said along training, by where a text is begun; the longest stretch given."""
    table = run.tables.get("access")
    if table is None:
        return None
    rows = begun_anywhere(table)
    return rows.assign(begun=[f"from token {n}" for n in rows["start"]])


def access_last(run: Result) -> pd.DataFrame | None:
    """The same by tokens given, at the step with most."""
    table = run.tables.get("access")
    if table is None:
        return None
    best = table.groupby("step")["said"].max().idxmax()
    rows = table[table["step"] == best]
    return rows.assign(begun=[f"from token {n}" for n in rows["start"]])


def recalled_live(run: Result) -> pd.DataFrame:
    """Recognition by foil, and recall, behind each reading."""
    import pandas as pd

    table = run.tables["few_shot"]
    told = table.assign(rate=table["recognized"], curve=table["foil"])
    one = table[table["foil"] == NOVEL]
    said = one.assign(
        rate=one["recalled"], low=one["recalled_low"], high=one["recalled_high"], curve="recalled"
    )
    return pd.concat([said, told])[["readings", "curve", "rate", "low", "high"]]


def few_later(run: Result) -> pd.DataFrame:
    """Behind other text, on an axis that begins at 1."""
    return run.tables["few_later"].assign(at=lambda t: t["updates"] + 1)


def variants(run: Result) -> list[str]:
    """Those that were run, in order."""
    there = set(run.tables["few_later"]["variant"])
    return [variant for variant in VARIANTS if variant in there]


def moments(run: Result) -> dict[str, str]:
    """Moments of the live experiment, in words."""
    table = run.tables["few_said"].drop_duplicates(["phase", "number"])
    return {
        (f"after {counted(int(r.number), 'reading')}" if r.phase == "readings"
         else f"{counted(int(r.number), 'update')} later"): f"{r.phase}:{r.number}"
        for r in table.itertuples()
    }  # fmt: skip


def last_study(run: Result, pick: Pick) -> str:
    """Right behind the last reading."""
    table = run.tables["few_said"]
    return f"readings:{table.loc[table['phase'] == 'readings', 'number'].max()}"


def studied(run: Result) -> dict[str, int]:
    """Studied texts, in words."""
    return {
        f"{row.item}: {row.text[:60]}…": int(row.item) for row in run.tables["studied"].itertuples()
    }


def first_studied(run: Result, pick: Pick) -> int:
    """The chosen text, or the one recited best right behind the last reading."""
    table = run.tables["few_said"]
    last = table[table["phase"] == "readings"]
    last = last[last["number"] == last["number"].max()]
    best = int(last.groupby("item")["right"].sum().idxmax())
    chosen = pick.selection.prompt
    return chosen if chosen and chosen in set(table["item"]) else best


def live_text(run: Result, pick: Pick) -> pd.DataFrame:
    """The tokens of a studied text at the chosen moment."""
    phase, _, number = str(pick["moment"]).rpartition(":")
    table = run.tables["few_said"]
    chosen = (table["phase"] == phase) & (table["number"] == int(number))
    return table[chosen & (table["item"] == pick.prompt)]


def live_raster(run: Result) -> pd.DataFrame:
    """Tokens of the second half recited in a row, studied text by moment."""
    table = run.tables["few_said"]
    half = (int(table["pos"].max()) + 1) // 2
    behind = table[table["pos"] >= half].sort_values("pos")
    keys = ["item", "phase", "number"]
    match = behind.groupby(keys, sort=False)["right"].agg(lambda r: int(np.cumprod(r).sum()))
    rows = match.rename("match").reset_index()
    words: dict[Any, str] = {}
    for row in rows.drop_duplicates(["phase", "number"]).itertuples():
        short = f"{row.number} read" if row.phase == "readings" else f"+{row.number}"
        words[row.phase, row.number] = short
    texts = run.tables["studied"]["text"]
    return rows.assign(
        moment=[words[p, n] for p, n in zip(rows["phase"], rows["number"], strict=True)],
        text=[f"{i}: {texts[i][:14]}" for i in rows["item"]],
    ).sort_values(["item", "phase", "number"])[["text", "moment", "match"]]

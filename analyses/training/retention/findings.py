"""What a run says of kept steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analyses.training.retention.constants import RECALLED, RECOGNIZED, SOON
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def passed(table: pd.DataFrame, when: str, measure: str) -> pd.Series | None:
    """The row of `halfway`, or None."""
    rows = table[(table["when"] == when) & (table["measure"] == measure)]
    return None if rows.empty else rows.iloc[0]


def readings_in_words(value: float) -> str:
    """ "26 readings"."""
    return counted(max(1, math.ceil(value - 1e-9)), "reading")


def between(low: float, high: float) -> str:
    """ "20 to 42", of readings."""
    ends = [f"{math.ceil(x - 1e-9):,}" if math.isfinite(x) else "never" for x in (low, high)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def add_recall(result: Result) -> None:
    """After how many readings."""
    halfway, dose = result.tables["halfway"], result.tables["dose"]
    for when in dict.fromkeys(halfway["when"]):
        told, said = (passed(halfway, when, name) for name in ("recognized", "recalled"))
        if told is None or said is None:
            continue
        best = dose[(dose["when"] == when) & (dose["measure"] == "recalled")].iloc[-1]
        words = [
            f"recognized ({percent(RECOGNIZED)} of pairs with one that never was) after"
            f" {readings_in_words(told['readings'])} (95 %: {between(told['low'], told['high'])})"
            if math.isfinite(told["readings"])
            else f"not recognized in {percent(RECOGNIZED)} of pairs, however often they were read",
            f"recalled ({percent(RECALLED)} of them) after {readings_in_words(said['readings'])}"
            f" (95 %: {between(said['low'], said['high'])})"
            if math.isfinite(said["readings"])
            else f"not recalled: of those read {best['readings']:.0f} times"
            f" {percent(best['rate'])} are",
        ]
        twins = float(dose.loc[dose["measure"] == "recalled", "never_read"].iloc[0])
        n = int(told["n"])
        says = (
            f"At the last step texts read {when} are {', and '.join(words)} ({counted(n, 'text')};"
            f" of those never read {percent(twins)} are recalled)."
        )
        values = {"recognized": told["readings"], "recalled": said["readings"]}
        known = {key: float(v) if math.isfinite(v) else -1.0 for key, v in values.items()}
        key = "readings" if when == SOON else "readings_long_ago"
        result.add(Finding(key, known | {"never_read": twins}, says, unit="readings; −1: never"))


def add_forgetting(result: Result) -> None:
    """How fast it goes, and whether it matters when it was read."""
    laws, left = result.tables.get("laws"), result.tables.get("retained")
    if laws is not None and left is not None and not laws.empty:
        rows = laws[laws["dose"] == laws["dose"].iloc[0]]
        best = rows.loc[rows["error"].idxmin()]
        own = left[left["dose"] == best["dose"]]
        last = own.iloc[-1]
        half = float(best["half_life"])
        gone = (
            f"half of what a text gained is gone {half:,.0f} updates after its last reading"
            if math.isfinite(half)
            else f"{percent(last['left'])} of what a text gained is left {last['updates']:,.0f}"
            " updates after its last reading"
        )
        says = (
            f"Of what a text gained against others of its kind, {percent(own.iloc[0]['left'])} is"
            f" left after {own.iloc[0]['updates']:,.0f} updates and {percent(last['left'])} (95 %:"
            f" {percent(last['low'])} to {percent(last['high'])}) after {last['updates']:,.0f}:"
            f" {gone}. “{best['law']}” fits lags that it was not fitted on best"
            f" (a = {best['a']:.3g}, off by {percent(best['error'])})."
        )
        values = {"half_life": half if math.isfinite(half) else -1.0, "a": float(best["a"])}
        result.add(Finding("left", values, says, unit="updates; −1: not reached"))
    timing = result.tables.get("timing")
    if timing is not None:
        rows = timing[(timing["measure"] == "gain") & (timing["readings"] == "all")]
        if not rows.empty:
            row = rows.iloc[0]
            says = (
                f"Read late rather than early, as often, a text is {row['difference']:+.2f} nats"
                f" per token likelier at the last step (95 %: {row['low']:+.2f} to"
                f" {row['high']:+.2f}; {int(row['n'])} texts, dealt by lot, so the time itself"
                " caused it)."
            )
            spread = float(row["low"]), float(row["high"])
            result.add(
                Finding("late_against_early", float(row["difference"]), says.replace("-", "−"),
                        unit="nats per token", interval=spread)
            )  # fmt: skip
    lasting = result.tables.get("survival")
    if lasting is not None:
        whole = lasting[lasting["group"] == "all"]
        last = whole.iloc[-1]
        says = (
            f"Of {int(last['n'])} texts that were recalled at a kept step, {percent(last['share'])}"
            f" were so at all later ones, up to {last['updates']:,.0f} updates."
        )
        result.add(Finding("survival", float(last["share"]), says, unit="share of texts"))


def add_profiles(result: Result) -> None:
    """What a first reading caused."""
    events, bands = result.tables["events"], result.tables["bands"].iloc[0]
    rows = events[events["dose"] == bands["dose"]].set_index("event")
    first = rows.loc[0]
    says = (
        f"At the first kept step behind its first reading a text is {first['effect']:+.2f} nats per"
        f" token likelier than it would be (band {first['low']:+.2f} to {first['high']:+.2f}, over"
        f" all steps at once; {int(bands['texts'])} texts in {int(bands['cohorts'])} cohorts,"
        f" {int(bands['never_read'])} never read)."
    )
    result.add(Finding("first_reading", float(first["effect"]), says.replace("-", "−"),
                       unit="nats per token",
                       interval=(float(first["low"]), float(first["high"]))))  # fmt: skip
    rounds = int(bands["placebo_rounds"])
    inside = bands["placebo_inside"] / rounds if rounds else -1.0
    says = (
        f"The design is checked: of {int(bands['before'])} cells before the reading"
        f" {int(bands['before_outside'])} lie outside the band, of {int(bands['after'])} from it on"
        f" {int(bands['after_outside'])} do. "
    ) + (
        "Texts that were never read, dealt into cohorts as if they had been, stay inside a band of"
        f" their own in {percent(inside)} of {rounds} draws (95 % is what it promises)."
        if rounds
        else f"{int(bands['never_read'])} texts that were never read are too few to try the band on"
        " them."
    )
    values = {
        "before_outside": int(bands["before_outside"]),
        "after_outside": int(bands["after_outside"]),
        "placebo_inside": float(inside),
    }
    result.add(Finding("bands", values, says, unit="cells; placebo: share of draws"))


def add_forecast(result: Result) -> None:
    """What earlier steps tell."""
    table, ranks = result.tables["forecast"], result.tables["rankings"]
    total = int(table["recited"].iloc[0])
    if not total:
        says = "The last step recites no text that was read, so there is nothing to forecast."
        result.add(Finding("forecast", 0.0, says, unit="texts"))
        return
    last = table.iloc[-1]
    early = table.iloc[len(table) // 2]
    words = [
        f"step {int(row['step']):,} ({percent(row['share'])} of the training) recites"
        f" {int(row['both'])} of them already"
        + (
            f", with {int(row['forecast'] - row['both'])} that are lost again"
            if row["forecast"]
            else ""
        )
        for row in (early, last)
    ]
    at = ranks[ranks["step"] == int(early["step"])].set_index("score")["auc"]
    says = f"Of {total} texts that the last step recites, {'; '.join(words)}."
    if "loss" in at:
        says += (
            f" At step {int(early['step']):,} the loss ranks them with an AUC of {at['loss']:.2f},"
            f" the number of readings in all with {at['read in all']:.2f}."
        )
    values = {"precision": last["precision"], "recall": last["recall"]}
    known = {key: float(v) if v == v else -1.0 for key, v in values.items()}
    result.add(Finding("forecast", known | {"recited": float(total)}, says, unit="shares"))


def begun_anywhere(access: pd.DataFrame) -> pd.DataFrame:
    """The rows of `access` with most tokens given, of those that most beginnings have: in a short
    text few tokens are left behind its middle.
    """
    starts = access.groupby("given")["start"].nunique()
    return access[access["given"] == starts[starts == starts.max()].index.max()]


def add_access(result: Result) -> None:
    """Whether the middle is reached without the beginning."""
    table = result.tables.get("access")
    if table is None:
        says = "No text is recalled at any kept step, so nothing can be said of access."
        result.add(Finding("access", -1.0, says, unit="share of texts"))
        return
    table = begun_anywhere(table)
    best = table.groupby("step")["said"].max().idxmax()
    rows = table[table["step"] == best].sort_values("start")
    one, other = rows.iloc[0], rows.iloc[-1]
    says = (
        f"Begun at their beginning with {counted(int(one['given']), 'token')} given, texts go on"
        f" for {one['said']:.1f} of {int(one['asked'])} tokens at step {int(best):,}; begun at"
        f" token {int(other['start'])} with as many, for {other['said']:.1f} (never read:"
        f" {other['never_read']:.1f}; {int(one['n'])} texts)."
    )
    values = {"beginning": float(one["said"]), "middle": float(other["said"])}
    result.add(Finding("access", values, says, unit="tokens"))


def add_answer(result: Result) -> None:
    """The answer in one sentence: from the training where it is known, or from the experiment."""
    halfway = result.tables.get("halfway")
    words = []
    if halfway is not None and (told := passed(halfway, SOON, "recognized")) is not None:
        said = passed(halfway, SOON, "recalled")
        assert said is not None
        if math.isfinite(told["readings"]):
            words.append(f"recognized after {readings_in_words(told['readings'])}")
        words.append(
            f"recalled after {readings_in_words(said['readings'])}"
            if math.isfinite(said["readings"])
            else "not recalled in half of the cases, however often it is read"
        )
        left = result.findings.get("left")
        if left is not None and left.values["half_life"] > 0:
            words.append(
                f"half of what it gained is gone after {left.values['half_life']:,.0f} updates"
                " without another reading"
            )
    elif (live := result.findings.get("few_shot")) is not None:
        for key, word in (("recognized", "recognized"), ("recalled", "recalled")):
            value = live.values[key]
            words.append(
                f"{word} after {readings_in_words(value)}"
                if value >= 0
                else f"not {word} in as many readings"
            )
        half = live.values["half_life"]
        if half >= 0:
            words.append(f"half of the recall is gone after {half:,.0f} updates on other text")
    if words:
        says = f"A text is {', '.join(words[:-1])}{'; ' if len(words) > 1 else ''}{words[-1]}."
    else:
        words = _of_trainings(result)
        says = " ".join(words)
    if words:
        result.add(Finding("answer", float(len(words)), says, unit=""))


def _of_trainings(result: Result) -> list[str]:
    """The same, a sentence each, of the parts that train a small model many times."""
    sentences = []
    dose = result.tables.get("dose_timing")
    if dose is not None:
        most = dose[dose["readings"] == dose["readings"].max()]
        times = counted(int(most["readings"].iloc[0]), "time")
        sentences.append(f"Of texts read {times} {percent(most['recalled'].mean())} are recalled.")
    if (late := result.findings.get("dose_timing")) is not None:
        gain = late.values["late"]
        sentences.append(
            f"Read late rather than early, a text is {abs(gain):.2f} nats per token"
            f" {'likelier' if gain > 0 else 'less likely'} in the end."
        )
    if (remedy := result.findings.get("access_remedies")) is not None:
        sentences.append(
            f"From its middle {percent(remedy.values['cold'])} of a text are reached,"
            f" {percent(remedy.values['permuted'])} after permuted copies."
        )
    return sentences

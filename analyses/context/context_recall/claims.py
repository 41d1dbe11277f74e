"""What of the papers replicates on this model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.claims import (
    FAILS,
    OPEN,
    PART,
    REPLICATES,
    Claim,
    Measured,
    about,
    say_claims,
    verdict_of,
)
from analyses.context.context_recall.constants import (
    FEWEST,
    FREE,
    INTACT,
    LISTS,
    RANDOM,
    REORDERED,
    RETRIEVAL,
    SHARE,
    SHUFFLED,
    TASKS,
    THRESHOLD,
)
from analyses.context.context_recall.signed_numbers import points, signed
from analyses.measures.statistics import sign
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result

PAPER = "papers on recall in context (Liu, Machlab, Janik, Wu, and others)"
ABOUT = about("these papers")
_RECALLS = 0.25
"""Of facts that are found: of fewer it cannot be said what they depend on."""
_NOTHING = "too little is found with all heads on"


def _finds_nothing(result: Result) -> bool:
    table = result.tables["ablation"]
    rate = table.loc[(table["task"] == TASKS[0]) & (table["off"] == INTACT), "rate"].iloc[0]
    return bool(rate < _RECALLS)


def _u_shape(result: Result) -> Measured:
    """Both ends above the middle, in lists and in lists of another order."""
    table = result.tables["ends"].set_index(["condition", "effect"])
    signs, said, spans = [], [], []
    for condition in (LISTS, REORDERED):
        for effect in ("primacy", "recency"):
            row = table.loc[(condition, effect)]
            signs.append(sign(row["low"], row["high"]) if row["n"] >= FEWEST else None)
            said.append(f"{effect} {points(row['mean'])}")
            spans.append(f"{points(row['low'])} to {points(row['high'])}")
    words = f"{', '.join(said[:2])} points; in another order {', '.join(said[2:])}"
    return Measured(words, verdict_of(signs), f"95 %: {', '.join(spans)}")


def _wording(result: Result) -> Measured:
    """Needle and wordings explain more than depth."""
    table = result.tables["wordings"].set_index("factor")
    if table["share"].isna().any() or "depth" not in table.index:
        return Measured("nothing varies", OPEN, "")
    if max(result.findings["question"].values.values()) < _RECALLS:
        return Measured("too little is found", OPEN, "")
    words = sum(float(table["share"].get(name, 0)) for name in
                ("needle", "wording", "wording_of_question"))  # fmt: skip
    depth = table.loc["depth"]
    certain = np.isfinite(depth["high"])
    verdict = OPEN if not certain else REPLICATES if words > depth["high"] else FAILS
    return Measured(
        f"fact and wordings {percent(words)}, depth {percent(depth['share'])}",
        verdict,
        f"depth, over facts: {percent(depth['low'])} to {percent(depth['high'])}"
        if certain
        else "too few facts for an interval",
    )


def _contradicted(result: Result) -> Measured:
    """Facts that contradict the world are recalled less often than those that it confirms."""
    frame = result.tables["needles"]
    frame = frame[frame["task"] == "needle"]
    by = dict(list(frame.groupby("kind")))
    if "agrees" not in by or "disagrees" not in by:
        return Measured("not both kinds of facts", OPEN, "")
    one, other = by["disagrees"], by["agrees"]
    facts = min(one["needle"].nunique(), other["needle"].nunique())
    said = f"{percent(one['correct'].mean())} against {percent(other['correct'].mean())}"
    verdict = OPEN
    if facts >= 3:
        each, rest = (x.groupby("needle")["correct"].mean() for x in (one, other))
        verdict = (
            REPLICATES if each.max() < rest.min() else PART if each.mean() < rest.mean() else FAILS
        )
    return Measured(said, verdict, f"{facts} facts of either kind")


def _not_decay(result: Result) -> Measured:
    """Items between cost recall, neutral text does not."""
    table = result.tables["distance_fit"].set_index("what")
    item, neutral = table.loc["item between"], table.loc["as much neutral text"]
    apart = table.loc["item, less as much neutral text"]
    fewer = sign(item["low"], item["high"])
    less = sign(apart["low"], apart["high"])
    verdict = verdict_of([None if x is None else not x for x in (fewer, less)])
    said = f"{signed(item['mean'])} per pair, {signed(neutral['mean'])} per as much neutral text"
    spans = [f"{signed(row['low'])} to {signed(row['high'])}" for row in (item, neutral)]
    span = f"95 %: {'; '.join(spans)}"
    return Measured(said, verdict, span)


def _sparse(result: Result) -> Measured:
    """There are retrieval heads, and few."""
    table = result.tables["heads"]
    if _finds_nothing(result):
        return Measured(_NOTHING, OPEN, "")
    share = float((table["retrieval"] > THRESHOLD).mean())
    both = float(((table["retrieval"] > THRESHOLD) & (table["held_out"] > THRESHOLD)).mean())
    verdict = REPLICATES if 0 < share < SHARE else PART if share > 0 else FAILS
    return Measured(
        f"{percent(share)} of {len(table)} heads above {percent(THRESHOLD)}",
        verdict,
        f"also on other facts: {percent(both)}",
    )


def _breaks(result: Result) -> Measured:
    """Without the first retrieval heads facts are lost, without random ones not."""
    table = result.tables["ablation"]
    part = table[(table["task"] == TASKS[0]) & (table["count"] == table["count"].max())]
    intact = table[(table["task"] == TASKS[0]) & (table["off"] == INTACT)].iloc[0]
    own = part[part["off"] == RETRIEVAL].iloc[0]
    random = part[part["off"] == RANDOM]["rate"]
    said = (
        f"{percent(intact['rate'])} → {percent(own['rate'])}; random heads"
        f" {percent(random.min())} to {percent(random.max())}"
    )
    if _finds_nothing(result):
        return Measured(said, OPEN, _NOTHING)
    verdict = verdict_of([bool(own["high"] < intact["rate"]), bool(own["rate"] < random.min())])
    return Measured(
        said,
        verdict,
        f"95 %: {percent(own['low'])} to {percent(own['high'])}, {int(own['n'])} questions",
    )


def _closed_book(result: Result) -> Measured:
    """Without them, what is known closed-book stays."""
    table = result.tables["ablation"]
    part = table[(table["task"] == TASKS[2]) & (table["count"] == table["count"].max())]
    if part.empty:
        return Measured("it knows no capital closed-book", OPEN, "")
    own = part[part["off"] == RETRIEVAL].iloc[0]
    needles = table[table["task"] == TASKS[0]]
    intact = float(needles.loc[needles["off"] == INTACT, "rate"].iloc[0])
    lost = needles[(needles["off"] == RETRIEVAL) & (needles["count"] == own["count"])].iloc[0]
    kept = float(lost["rate"]) / intact if intact > 0 else float("nan")
    verdict = OPEN
    if kept == kept and not own["low"] <= kept <= own["high"]:
        verdict = REPLICATES if own["low"] > kept else FAILS
    return Measured(
        f"{percent(own['rate'])} of known capitals stay, {percent(kept)} of what was found in text"
        if kept == kept
        else f"{percent(own['rate'])} of known capitals stay",
        verdict,
        f"95 %: {percent(own['low'])} to {percent(own['high'])}, {int(own['n'])} facts",
    )


def _distinct(result: Result) -> Measured:
    """Retrieval heads are not the induction heads."""
    if _finds_nothing(result):
        return Measured(_NOTHING, OPEN, "")
    values = result.findings["heads"].values
    shared, chance = values["shared"], values["by_chance"]
    k = max(1, round(SHARE * len(result.tables["heads"])))
    verdict = REPLICATES if shared < k / 3 else PART if shared < 2 * k / 3 else FAILS
    return Measured(
        f"{shared:.0f} of the first {k} are also among the first {k} induction heads",
        verdict,
        f"by chance {chance:.1f}; rank correlation {signed(values['with_induction'])}",
    )


def _contiguous(result: Result) -> Measured:
    """The next item follows more often than a guess says, and than the one before."""
    table = result.tables["contiguity"].set_index(["condition", "lag"])
    signs, said, spans = [], [], []
    for condition in (FREE, SHUFFLED):
        on, back = table.loc[(condition, 1)], table.loc[(condition, -1)]
        known = on["n"] >= FEWEST
        signs.append(sign(on["low"], on["high"], at=float(on["guess"])) if known else None)
        signs.append(sign(on["low"] - back["high"], on["high"] - back["low"]) if known else None)
        said.append(f"{percent(on['share'])} next, {percent(back['share'])} before")
        spans += [f"{percent(row['low'])} to {percent(row['high'])}" for row in (on, back)]
    words = f"{said[0]}; in another order {said[1]}; a guess {percent(on['guess'])}"
    return Measured(words, verdict_of(signs), f"95 %: {', '.join(spans)}")


_GROUPS = ("Places", "What is asked, and what stands between", "Heads")
CLAIMS = [
    Claim(
        "What stands at the beginning or the end is found more often than what stands between"
        " (Liu et al. 2023)",
        "GPT-3.5 and others: a U over positions", _u_shape, _GROUPS[0], "ends",
    ),
    Claim(
        "In free recall neighbours follow each other, forwards more than backwards (Kahana 1996, of"
        " people; Ji-An et al. 2024, of induction heads)",
        "highest at a lag of +1, then −1", _contiguous, _GROUPS[0], "contiguity",
    ),
    Claim(
        "Wording and fact explain more of recall than depth (Machlab & Battle 2024)",
        "nine models: recall depends on the prompt's content", _wording, _GROUPS[1], "wordings",
    ),
    Claim(
        "Facts that contradict the training data are recalled less (Machlab & Battle 2024)",
        "recall suffers", _contradicted, _GROUPS[1], "needles",
    ),
    Claim(
        "Items between cost recall, mere distance does not (Janik 2023)",
        "GPT-J: interference, not decay", _not_decay, _GROUPS[1], "distance_fit",
    ),
    Claim(
        "There are retrieval heads, fewer than 5 % of all (Wu et al. 2024)",
        "in every model tried, 3 to 6 %", _sparse, _GROUPS[2], "heads",
    ),
    Claim(
        "Without the first of them facts in the text are lost, without random heads not"
        " (Wu et al. 2024)",
        "30 heads of Llama-2-7B", _breaks, _GROUPS[2], "ablation",
    ),
    Claim(
        "What is known closed-book stays (Wu et al. 2024)",
        "little changes", _closed_book, _GROUPS[2], "ablation",
    ),
    Claim(
        "They are not the induction heads (Wu et al. 2024)",
        "held to be distinct", _distinct, _GROUPS[2], "heads",
    ),
]  # fmt: skip


def add_claims(result: Result) -> None:
    """The table `claims`, and how many hold."""
    say_claims(result, CLAIMS, PAPER)

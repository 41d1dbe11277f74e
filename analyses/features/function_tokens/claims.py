"""What of Zhang et al. 2025 holds on this model, claim by claim, each with the numbers it is
judged by, and how sure that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.claims import NOT_MEASURED, OPEN, Claim, Measured, verdict_of
from analyses.features.function_tokens.coverage import FIRST
from analyses.features.function_tokens.facts import LIST, QUESTION, SENTENCE
from analyses.features.function_tokens.transitions import GROUPS
from analyses.measures.statistics import mean_interval, rates_apart, sign, wilson_of
from workbench.result import Result

if TYPE_CHECKING:
    import pandas as pd

PAPER = "Zhang et al. 2025"
_UNTESTED, _SINGLE = "not tested", "seen in single prompts"
_FEW = 20
"""Occurrences below which a comparison at equal occurrences says nothing."""
_NEARLY_ALL = 0.98
"""Coverage above which two curves are not compared: there is too little text for so few features
to tell them apart.
"""


def _more(table: pd.DataFrame, one: str, other: str, widths: Sequence[int]) -> list[bool | None]:
    """Where one column reaches more than the other, beyond chance over features; not told where
    both reach nearly all.
    """
    return [
        None if min(a, b) > _NEARLY_ALL else sign(*rates_apart(a, n, b, n))
        for a, b, n in zip(table[one], table[other], widths, strict=True)
    ]


def _widths(result: Result, table: pd.DataFrame) -> list[int]:
    """How many features there are at each place of a table."""
    return result.tables["autoencoders"].set_index("at")["width"][table["at"]].tolist()


def _each(table: pd.DataFrame, text: str) -> str:
    """The text with the columns of every row, `at` first."""
    return "; ".join(f"{row['at']}: " + text.format(**row) for row in table.to_dict("records"))


def _row(result: Result, name: str, n: int) -> pd.DataFrame:
    table = result.tables[name]
    return table[table["n"] == n]


def _reach(result: Result) -> Measured:
    table = _row(result, "coverage", FIRST)
    here = _each(table, "{features:.0%}")
    middle = len(table) // 2
    low, high = wilson_of(float(table["features"].iloc[middle]), _widths(result, table)[middle])
    verdict = verdict_of([sign(low, high, 0.5)])
    return Measured(
        here,
        verdict,
        (
            f"middle layer {low:.0%} to {high:.0%} (95 %, over features); it grows with the text,"
            " and says nothing without the rows below"
        ),
    )


def _reach_more(result: Result, n: int, than: str, named: str, sure: str) -> Measured:
    """Whether the first n tokens reach more features than another column of `coverage` says."""
    table = _row(result, "coverage", n)
    here = _each(table, "{features:.0%}, " + named + " {" + than + ":.0%}")
    verdict = verdict_of(_more(table, "features", than, _widths(result, table)))
    return Measured(here, verdict, f"{sure}; 95 % intervals over features")


def _learned(result: Result) -> Measured:
    sure = "one draw of directions, each as often active as a feature is on average"
    return _reach_more(result, FIRST, "random", "random directions", sure)


def _same_number(result: Result) -> Measured:
    sure = "expected exactly, over all draws of as many content tokens"
    n = int(result.findings["list"].values["tokens"])
    return _reach_more(result, n, "content", "content", sure)


def _equal(result: Result) -> Measured:
    table = result.tables["classes"]
    drawn = int(table["drawn"].iloc[0])
    known = drawn >= _FEW
    # The rarest type compared sets how much text is enough.
    enough = int(result.tables["tokens"]["occurrences"].sum()) * _FEW // max(1, drawn)
    return Measured(
        _each(table, "{function:.0f} against {content:.0f} (difference {low:.0f} to {high:.0f})"),
        verdict_of(
            [sign(low, high) for low, high in zip(table["low"], table["high"], strict=True)]
            if known
            else []
        ),
        f"{drawn:,} occurrences of each type, 95 % intervals over types"
        + ("" if known else f"; at least {_FEW} are needed: read about {enough:,} tokens"),
    )


def _pairing(result: Result) -> Measured:
    sure = "one shuffle; if shuffled tokens reach as much, frequency alone does it"
    return _reach_more(result, FIRST, "mixed", "shuffled within windows", sure)


def _again(result: Result) -> Measured:
    finding = result.findings["again"]
    spans = finding.interval if isinstance(finding.interval, dict) else {}
    here = "; ".join(
        f"{key.removeprefix('gap_')}: {100 * value:+.1f} points"
        for key, value in finding.values.items()
    )
    return Measured(
        here,
        verdict_of([sign(*span) for span in spans.values()]),
        "at equal distances, less chance; 95 % intervals over windows",
    )


def _carried(result: Result) -> Measured:
    if "ablation" not in result.findings:
        return NOT_MEASURED
    return _paired(
        result,
        SENTENCE,
        "some",
        "others",
        "lost without them {:.2f} nats, without as many others there {:.2f}",
    )


def _where(result: Result) -> Measured:
    if "ablation" not in result.findings:
        return NOT_MEASURED
    return _paired(
        result,
        SENTENCE,
        "again",
        "at subject",
        "{:.2f} nats, at the subject {:.2f}",
    )


def _paired(result: Result, wording: str, one: str, other: str, text: str) -> Measured:
    table = result.tables["ablations"]
    verdicts, parts = [], []
    for label in dict.fromkeys(table["at"]):
        mine = table[(table["at"] == label) & (table["wording"] == wording)].pivot(
            index="fact", columns="condition", values="loss"
        )
        verdicts.append(sign(*mean_interval((mine[one] - mine[other]).to_numpy())[1]))
        parts.append(f"{label}: " + text.format(mine[one].mean(), mine[other].mean()))
    sure = f"95 % intervals over {len(mine)} facts, each its own control"
    return Measured("; ".join(parts), verdict_of(verdicts), sure)


def _steered(result: Result) -> Measured:
    if "steering_means" not in result.tables:
        return NOT_MEASURED
    table = result.tables["steering_means"]
    verdicts, parts = [], []
    for label in dict.fromkeys(table["at"]):
        said = []
        for wording in (SENTENCE, QUESTION):
            mine = table[(table["at"] == label) & (table["wording"] == wording)].set_index(
                "condition"
            )
            verdicts.append(_more_than_random(result, label, wording))
            said.append(
                f"{mine.loc['last', 'mean']:+.1f} nats ({wording}; random"
                f" {mine.loc['random', 'mean']:+.1f}; {mine.loc['last', 'answers']:.0%} answer"
                " otherwise)"
            )
        parts.append(f"{label}: {', '.join(said)}")
    return Measured(
        "; ".join(parts),
        verdict_of(verdicts),
        (
            "95 % intervals over facts, against nothing and against random features at the same"
            " token, fact by fact"
        ),
    )


def _more_than_random(result: Result, at: str, wording: str) -> bool | None:
    """Does steering at the last token move the answer, and more than as many random features
    there?
    """
    table = result.tables["steerings"]
    mine = table[(table["at"] == at) & (table["wording"] == wording)]
    moved = mine.pivot_table(index="fact", columns="condition", values="moved")
    both = [
        sign(*mean_interval(x.to_numpy())[1])
        for x in (moved["last"], moved["last"] - moved["random"])
    ]
    return False if False in both else None if None in both else True


def _kind_of_token(result: Result) -> Measured:
    if "steering_means" not in result.tables:
        return NOT_MEASURED
    table = result.tables["steering_means"]
    verdicts: list[bool | None] = []
    parts = []
    for label in dict.fromkeys(table["at"]):
        mine = table[(table["at"] == label) & (table["condition"] == "last")].set_index("wording")
        last, content = mine.loc[SENTENCE], mine.loc[LIST]
        apart = last["low"] > content["high"] or last["high"] < content["low"]
        verdicts.append(bool(last["mean"] > content["mean"]) if apart else None)
        parts.append(
            f"{label}: {last['mean']:+.1f} nats at the last function token, {content['mean']:+.1f}"
            " at a last content token"
        )
    return Measured(
        "; ".join(parts),
        verdict_of(verdicts),
        (
            "wordings differ, and more features are set where the last token is the subject: sizes"
            " are only roughly comparable; the table `along` has every token after the subject"
        ),
    )


def _far_and_near(result: Result) -> Measured:
    """Of the tokens after the subject: the first function token, against the content tokens
    between it and the end.
    """
    if "along" not in result.tables:
        return NOT_MEASURED
    table = result.tables["along"]
    verdicts, parts = [], []
    for at in dict.fromkeys(table["at"]):
        pairs = []
        for _, prompt in table[table["at"] == at].sort_values("pos").groupby(["wording", "fact"]):
            after = prompt.iloc[1:]  # the first is the subject's own last token
            far = after[after["class"] == "function"].head(1)
            near = after[
                (after["class"] == "content")
                & (after["pos"] > (far["pos"].iloc[0] if len(far) else 0))
            ]
            if len(near):
                pairs.append((far["moved"].iloc[0], near["moved"].mean()))
        if pairs:
            moved = np.array(pairs)
            verdicts.append(sign(*mean_interval(moved[:, 0] - moved[:, 1])[1]))
            parts.append(
                f"{at}: {moved[:, 0].mean():+.2f} nats there, {moved[:, 1].mean():+.2f} at content"
                " tokens after it"
            )
    if not parts:
        return Measured(
            "no wording has one before the other",
            OPEN,
            "needs a content token after a function token",
        )
    sure = (
        "set to another subject's features at one token at a time; 95 % intervals over"
        f" {len(pairs)} prompts"
    )
    return Measured("; ".join(parts), verdict_of(verdicts), sure)


def _highest(result: Result) -> Measured:
    table = result.tables["transitions"]
    mine = table[table["measure"] == "model"].set_index("group")
    losses, errors = mine["loss"], mine["error"]
    # Against the highest of the others; which that is was not known before, but it is the one that
    # could be as high.
    rival = losses.drop("F→C").idxmax()
    gap, half = losses["F→C"] - losses[rival], 1.96 * float(np.hypot(errors["F→C"], errors[rival]))
    return Measured(
        ", ".join(f"{g} {losses[g]:.2f}" for g in GROUPS),
        verdict_of([sign(gap - half, gap + half)]),
        (
            f"{gap:+.2f} nats against {rival} (95 %: {gap - half:+.2f} to {gap + half:+.2f}, over"
            " windows)"
        ),
    )


def _harder_than_counting(result: Result) -> Measured:
    table = result.tables["transitions"]
    losses, errors = (
        table.pivot(index="group", columns="measure", values=v).loc[list(GROUPS)]
        for v in ("loss", "error")
    )
    gain = losses["unigram"] - losses["model"]
    gap = gain["C→C"] - gain["F→C"]
    error = float(np.sqrt((errors.loc[["C→C", "F→C"], ["model", "unigram"]] ** 2).to_numpy().sum()))
    return Measured(
        (
            f"unigrams cost {losses.loc['F→C', 'unigram']:.2f} there and"
            f" {losses.loc['C→C', 'unigram']:.2f} at C→C; the model gains {gain['F→C']:.2f} and"
            f" {gain['C→C']:.2f} nats on them (trigrams: {losses.loc['F→C', 'trigram']:.2f},"
            f" {losses.loc['C→C', 'trigram']:.2f})"
        ),
        verdict_of([sign(gap - 1.96 * error, gap + 1.96 * error)]),
        "gain over unigrams at C→C less that at F→C, 95 % interval over windows",
    )


def _first_learned(result: Result) -> Measured:
    if "training" not in result.findings:
        return NOT_MEASURED
    found = result.findings["training"].values
    half = {group: found[f"half_{group.replace('→', 'to')}"] for group in GROUPS}
    bounds = _fallen(result, int(max(half["F→F"], half["C→F"])))
    return Measured(
        ", ".join(f"{g} half-way by step {int(half[g]):,}" for g in GROUPS),
        verdict_of([sign(*bounds)]),
        (
            f"when both of the first have come half-way, at least {100 * bounds[0]:.0f} points more"
            " of their fall is done than of the others' (95 %, over windows); another model, grown"
            " here on a small corpus; unigrams alone would show the same order"
        ),
    )


def _fallen(result: Result, step: int) -> tuple[float, float]:
    """How much more of their whole fall is done at a step by the slower of F→F and C→F than by the
    faster of the other two: its 95 % interval, from the errors of the losses there and at the ends.
    """
    table = result.tables["training"]
    losses, errors = (
        table[table["measure"] == "model"].pivot(index="step", columns="group", values=v)[
            list(GROUPS)
        ]
        for v in ("loss", "error")
    )
    fall = losses.iloc[0] - losses.iloc[-1]
    done = (losses.iloc[0] - losses.loc[step]) / fall
    error = np.sqrt(errors.iloc[0] ** 2 + errors.loc[step] ** 2 + errors.iloc[-1] ** 2) / fall
    slow, fast = done[["F→F", "C→F"]].idxmin(), done[["F→C", "C→C"]].idxmax()
    half = 1.96 * float(np.hypot(error[slow], error[fast]))
    return float(done[slow] - done[fast]) - half, float(done[slow] - done[fast]) + half


def _followed(result: Result) -> list[tuple[str, pd.DataFrame, Any, Any]]:
    """Places with autoencoders of several steps after any training: its rows of `alive`, the
    first such row and the last.
    """
    found = []
    for at, part in (
        result.tables["alive"].groupby("at", sort=False) if "alive" in result.tables else []
    ):
        trained = list(part[part["step"] > 0].sort_values("step").itertuples())
        if len(trained) > 1:
            found.append((str(at), part, trained[0], trained[-1]))
    return found


def _come_alive(result: Result) -> Measured:
    followed = _followed(result)
    if not followed:
        return NOT_MEASURED
    verdicts: list[bool | None] = []
    parts = []
    for at, part, first, last in followed:
        before = [first.alive, *part.loc[part["step"] == 0, "alive"]]
        n = last.width
        verdicts += [sign(*rates_apart(last.alive / n, n, alive / n, n)) for alive in before]
        parts.append(
            f"{at}: "
            + ", ".join(f"{row.alive:,} at step {row.step:,}" for row in part.itertuples())
        )
    sure = (
        "from the first trained step to the last, and against random weights (step 0); another"
        f" model, each step with an autoencoder of its own, of {followed[0][3].width:,} features,"
        " which its training keeps alive whatever the weights are; 95 % intervals over features"
    )
    return Measured("; ".join(parts), verdict_of(verdicts), sure)


def _edges(result: Result) -> Measured:
    followed = _followed(result)
    if not followed:
        return NOT_MEASURED
    verdicts: list[bool | None] = []
    parts = []
    for at, _, first, last in followed:
        # Edges of one feature go together, so it is features that are counted.
        verdicts.append(sign(*wilson_of(last.function_edges, last.alive), 0.5))
        verdicts.append(
            sign(*rates_apart(last.function_edges, last.alive, first.function_edges, first.alive))
        )
        parts.append(
            f"{at}: {first.function_edges:.1%} at step {first.step:,}, {last.function_edges:.1%} at"
            f" step {last.step:,} (tokens shuffled {last.mixed_edges:.1%})"
        )
    sure = (
        "95 % intervals over living features; edges grow with occurrences: shuffled tokens show how"
        " much of it"
    )
    return Measured("; ".join(parts), verdict_of(verdicts), sure)


_READING, _RETRIEVAL, _TRAINING = "Tokens and features", "Retrieval", "Losses and training"
CLAIMS = [
    Claim(
        f"{FIRST} tokens reach most features of the middle layer",
        "49 %, 76 % and 68 % at an early, middle and late layer (Gemma-2-9B)",
        _reach,
        _READING,
    ),
    Claim(
        "Features are reached by them in a way that random directions are not",
        _UNTESTED,
        _learned,
        _READING,
    ),
    Claim(
        "They reach more features than as much text of content tokens",
        _UNTESTED,
        _same_number,
        _READING,
    ),
    Claim(
        "In equally many occurrences a function token activates more features than a content token",
        _UNTESTED,
        _equal,
        _READING,
    ),
    Claim(
        "It is the tokens that reach them, not the text they stand in",
        _UNTESTED,
        _pairing,
        _READING,
    ),
    Claim(
        "A content token's features are active again at function tokens more than at content"
        " tokens",
        _SINGLE,
        _again,
        _READING,
    ),
    Claim(
        "The features that are active again carry the answer",
        _SINGLE,
        _carried,
        _RETRIEVAL,
    ),
    Claim(
        "They carry it at the function token more than at the subject",
        _UNTESTED,
        _where,
        _RETRIEVAL,
    ),
    Claim(
        "Steering at the final function token changes the answer",
        _SINGLE,
        _steered,
        _RETRIEVAL,
    ),
    Claim(
        "What matters there is that it is a function token, not that it is the last",
        _UNTESTED,
        _kind_of_token,
        _RETRIEVAL,
    ),
    Claim(
        "A function token far from the answer carries it more than a content token nearer to it",
        _UNTESTED,
        _far_and_near,
        _RETRIEVAL,
    ),
    Claim(
        "F→C has the highest loss",
        "4.88 nats (1.5B), the highest all along",
        _highest,
        _TRAINING,
    ),
    Claim(
        "F→C is harder than the rarity of its targets explains",
        _UNTESTED,
        _harder_than_counting,
        _TRAINING,
    ),
    Claim(
        "In training, function tokens are predicted first",
        "F→F and C→F fall first",
        _first_learned,
        _TRAINING,
    ),
    Claim(
        "In training more and more features come alive",
        "1,942 to 64,042 (1.5B)",
        _come_alive,
        _TRAINING,
    ),
    Claim(
        "Function tokens hold most of the edges, and more and more of them",
        "throughout, and growing",
        _edges,
        _TRAINING,
    ),
]

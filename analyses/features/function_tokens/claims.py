"""What of Zhang et al. 2025 holds on this model, claim by claim, each with the numbers it is
judged by, and how sure that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.claims import NOT_MEASURED, OPEN, Claim, Measured, verdict_of
from analyses.features.function_tokens.constants import FIRST, GROUPS, LIST, QUESTION, SENTENCE
from analyses.features.function_tokens.coverage_claims import (
    _equal,
    _learned,
    _pairing,
    _reach,
    _same_number,
)
from analyses.features.function_tokens.training_claims import _come_alive, _edges, _first_learned
from analyses.measures.statistics import mean_interval, sign
from workbench.result import Result
from workbench.wording import percent

if TYPE_CHECKING:
    pass

PAPER = "Zhang et al. 2025"
ABOUT = (
    f"Statements of {PAPER} and what their reviews asked, each with what this run says of it on"
    " its own model and text. One model on which a statement holds makes no law; one on which it"
    " does not may be smaller, or have other features."
)
_UNTESTED, _SINGLE = "not tested", "seen in single prompts"


def _again(result: Result) -> Measured:
    finding = result.findings["reactivation"]
    spans = finding.interval if isinstance(finding.interval, dict) else {}
    measured = "; ".join(
        f"{key.removeprefix('difference_')}: {100 * value:+.1f} points"
        for key, value in finding.values.items()
    )
    return Measured(
        measured,
        verdict_of([sign(*span) for span in spans.values()]),
        "at equal distances, above the baseline of another window; 95 % intervals over windows",
    )


def _carried(result: Result) -> Measured:
    if "ablation" not in result.findings:
        return NOT_MEASURED
    return _paired(
        result,
        SENTENCE,
        "reactivated_subset",
        "others",
        "drop {:.2f} nats, with as many other features {:.2f}",
    )


def _where(result: Result) -> Measured:
    if "ablation" not in result.findings:
        return NOT_MEASURED
    return _paired(
        result,
        SENTENCE,
        "reactivated",
        "reactivated_at_subject",
        "drop {:.2f} nats, at the subject {:.2f}",
    )


def _paired(result: Result, wording: str, one: str, other: str, text: str) -> Measured:
    table = result.tables["ablations"]
    verdicts, parts = [], []
    for label in dict.fromkeys(table["sae"]):
        rows = table[(table["sae"] == label) & (table["wording"] == wording)].pivot(
            index="fact", columns="condition", values="logprob_drop"
        )
        verdicts.append(sign(*mean_interval((rows[one] - rows[other]).to_numpy())[1]))
        parts.append(f"{label}: " + text.format(rows[one].mean(), rows[other].mean()))
    sure = f"95 % intervals over {len(rows)} facts, each its own control"
    return Measured("; ".join(parts), verdict_of(verdicts), sure)


def _steered(result: Result) -> Measured:
    if "steering_means" not in result.tables:
        return NOT_MEASURED
    table = result.tables["steering_means"]
    verdicts, parts = [], []
    for label in dict.fromkeys(table["sae"]):
        texts = []
        for wording in (SENTENCE, QUESTION):
            rows = table[(table["sae"] == label) & (table["wording"] == wording)].set_index(
                "condition"
            )
            verdicts.append(_more_than_random(result, label, wording))
            texts.append(
                f"{rows.loc['last', 'logit_diff_change']:+.1f} nats ({wording}; random features"
                f" {rows.loc['random', 'logit_diff_change']:+.1f}; the answer flips in"
                f" {percent(rows.loc['last', 'flipped'])})"
            )
        parts.append(f"{label}: {', '.join(texts)}")
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
    rows = table[(table["sae"] == at) & (table["wording"] == wording)]
    moved = rows.pivot_table(index="fact", columns="condition", values="logit_diff_change")
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
    for label in dict.fromkeys(table["sae"]):
        rows = table[(table["sae"] == label) & (table["condition"] == "last")].set_index("wording")
        last, content = rows.loc[SENTENCE], rows.loc[LIST]
        apart = (
            last["logit_diff_change_low"] > content["logit_diff_change_high"]
            or last["logit_diff_change_high"] < content["logit_diff_change_low"]
        )
        at_function, at_content = last["logit_diff_change"], content["logit_diff_change"]
        verdicts.append(bool(at_function > at_content) if apart else None)
        parts.append(
            f"{label}: {at_function:+.1f} nats at the last function token, {at_content:+.1f} at a"
            " last content token"
        )
    return Measured(
        "; ".join(parts),
        verdict_of(verdicts),
        (
            "wordings differ, and more features are set where the last token is the subject, so"
            " sizes are only roughly comparable; the table `steering_by_position` has every token"
            " after the subject"
        ),
    )


def _far_and_near(result: Result) -> Measured:
    """Of the tokens after the subject: the first function token, against the content tokens
    between it and the end.
    """
    if "steering_by_position" not in result.tables:
        return NOT_MEASURED
    table = result.tables["steering_by_position"]
    verdicts, parts = [], []
    for at in dict.fromkeys(table["sae"]):
        pairs = []
        for _, prompt in table[table["sae"] == at].sort_values("pos").groupby(["wording", "fact"]):
            after = prompt.iloc[1:]  # the first is the subject's own last token
            far = after[after["class"] == "function"].head(1)
            near = after[
                (after["class"] == "content")
                & (after["pos"] > (far["pos"].iloc[0] if len(far) else 0))
            ]
            if len(near):
                pairs.append((far["logit_diff_change"].iloc[0], near["logit_diff_change"].mean()))
        if pairs:
            moved = np.array(pairs)
            verdicts.append(sign(*mean_interval(moved[:, 0] - moved[:, 1])[1]))
            parts.append(
                f"{at}: {moved[:, 0].mean():+.2f} nats at the function token,"
                f" {moved[:, 1].mean():+.2f} at content tokens after it"
            )
    if not parts:
        return Measured(
            "no wording has a content token after a function token",
            OPEN,
            "it needs such a wording",
        )
    sure = (
        "features set to another subject's values at one token at a time; 95 % intervals over"
        f" {len(pairs)} prompts"
    )
    return Measured("; ".join(parts), verdict_of(verdicts), sure)


def _highest(result: Result) -> Measured:
    table = result.tables["transitions"]
    rows = table[table["predictor"] == "model"].set_index("transition")
    losses, errors = rows["loss"], rows["standard_error"]
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
        table.pivot(index="transition", columns="predictor", values=v).loc[list(GROUPS)]
        for v in ("loss", "standard_error")
    )
    gain = losses["unigram"] - losses["model"]
    gap = gain["C→C"] - gain["F→C"]
    error = float(np.sqrt((errors.loc[["C→C", "F→C"], ["model", "unigram"]] ** 2).to_numpy().sum()))
    return Measured(
        (
            f"unigram loss {losses.loc['F→C', 'unigram']:.2f} at F→C and"
            f" {losses.loc['C→C', 'unigram']:.2f} at C→C; the model gains {gain['F→C']:.2f} and"
            f" {gain['C→C']:.2f} nats on them (trigrams: {losses.loc['F→C', 'trigram']:.2f},"
            f" {losses.loc['C→C', 'trigram']:.2f})"
        ),
        verdict_of([sign(gap - 1.96 * error, gap + 1.96 * error)]),
        "gain over unigrams at C→C less that at F→C, 95 % interval over windows",
    )


_READING, _RETRIEVAL, _TRAINING = "Tokens and features", "Retrieval", "Losses and training"
CLAIMS = [
    Claim(
        f"{FIRST} token types activate most features of the middle layer",
        "49 %, 76 % and 68 % at an early, middle and late layer (Gemma-2-9B)",
        _reach,
        _READING,
        needs="coverage",
    ),
    Claim(
        "They activate a larger share of features than of random directions",
        _UNTESTED,
        _learned,
        _READING,
        needs="coverage",
    ),
    Claim(
        "They activate more features than as many content tokens",
        _UNTESTED,
        _same_number,
        _READING,
        needs="coverage",
    ),
    Claim(
        "At equal frequency a function token activates more features than a content token",
        _UNTESTED,
        _equal,
        _READING,
        needs="degree_by_class",
    ),
    Claim(
        "The tokens activate them, not the text around the tokens",
        _UNTESTED,
        _pairing,
        _READING,
        needs="coverage",
    ),
    Claim(
        "A content token's features are reactivated more at function tokens than at content tokens",
        _SINGLE,
        _again,
        _READING,
        needs="reactivation",
    ),
    Claim(
        "The reactivated features carry the answer",
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
        "The effect needs a function token, not just the last token",
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
        needs="transitions",
    ),
    Claim(
        "F→C is harder than the rarity of its targets explains",
        _UNTESTED,
        _harder_than_counting,
        _TRAINING,
        needs="transitions",
    ),
    Claim(
        "In training, function tokens are predicted first",
        "F→F and C→F fall first",
        _first_learned,
        _TRAINING,
    ),
    Claim(
        "In training, the number of living features grows",
        "1,942 to 64,042 (1.5B)",
        _come_alive,
        _TRAINING,
    ),
    Claim(
        "Function tokens hold most of the edges, and a growing share",
        "throughout, and growing",
        _edges,
        _TRAINING,
    ),
]

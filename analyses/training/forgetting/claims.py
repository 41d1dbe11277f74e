"""What of the papers on forgetting holds here, claim by claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.claims import (
    FAILS,
    NOT_MEASURED,
    OPEN,
    REPLICATES,
    Claim,
    Measured,
    say_claims,
    verdict_of,
)
from analyses.measures.forgetting_law import LINE
from analyses.measures.statistics import sign
from analyses.training.forgetting import constants as c
from analyses.training.forgetting import stage_claims
from analyses.training.forgetting.minus_signs import plain_minus
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result

PAPER = (
    "Kalajdzievski 2024, Hui et al. 2024 (HFT), Ren et al. 2024 (I-LoRA), Tao et al. 2023 (Learn or"
    " Recall), Zheng et al. 2025 (spurious forgetting), code RLHF (2406.11715) and Cao et al. 2023"
    " (Retentive or Forgetful)"
)
ABOUT = (
    "The claims of papers on other, mostly much larger models, and what this run measured of"
    " each on its own model and task. A claim that fails here may hold for another task, and the"
    " other way round."
)
_ONE_LINE = 0.9
"""R² from which points of all ranks count as one line."""
_BARRIER = 0.1
"""Of the loss gap: a lower barrier is none."""


def _line(result: Result) -> Measured:
    fits = result.tables["fits"]
    own = fits[(fits["form"] == LINE) & (fits["rank"] > 0)]
    values = result.findings["law"].values
    ranks = len(own)
    if ranks < 2:
        return Measured("one rank", OPEN, "two ranks or more are needed")
    if values["r2"] != values["r2"]:
        return Measured("nothing was forgotten", OPEN, "all points are the same")
    measured = f"R² {values['r2']:.2f} over {ranks} ranks, of a rank left out"
    measured += f" {values['held_out']:.2f}"
    told = [values["r2"] >= _ONE_LINE, values["held_out"] >= _ONE_LINE]
    spread = f"slopes by rank {own['slope'].min():.3f} to {own['slope'].max():.3f}"
    return Measured(plain_minus(measured), verdict_of(told), plain_minus(spread))


def _power(result: Result) -> Measured:
    values = result.findings["law"].values
    power, rivals = values["power_held_out"], [values["steps_held_out"], values["size_held_out"]]
    if power != power:
        return Measured("not fitted", OPEN, "two ranks or more, and enough steps, are needed")
    measured = f"held-out R² {power:.2f}, linear in steps {rivals[0]:.2f}, |ΔW|² {rivals[1]:.2f}"
    told = verdict_of([power > max(rivals), power >= _ONE_LINE])
    return Measured(plain_minus(measured), told, "one rank left out at a time")


def _half(result: Result) -> Measured:
    finding = result.findings.get("halving")
    if finding is None:
        return NOT_MEASURED
    values = finding.values
    measured = (
        f"random halves {percent(values['random'])}, the update halved {percent(values['shrunk'])}"
    )
    low, high = values["random_low"], values["random_high"]
    spread = f"95 % over draws: {percent(low)} to {percent(high)}"
    told = [sign(low, high, at=0.5), sign(low, high, at=values["shrunk"])]
    return Measured(plain_minus(measured), verdict_of(told), plain_minus(spread))


def _valley(result: Result) -> Measured:
    values = result.findings["path"].values
    shares = [values["neutral_share"], values["task_share"]]
    if any(s != s for s in shares):
        return Measured("no gap in loss", OPEN, "the losses of both ends are the same")
    measured = (
        f"barriers of {percent(shares[0])} (neutral) and {percent(shares[1])} (new task) of the gap"
    )
    return Measured(measured, verdict_of([s <= _BARRIER for s in shares]), "15 points on the line")


def _probe(result: Result) -> Measured:
    tests = result.tables["tests"].set_index("test")
    if c.PROBE not in tests.index:
        return Measured("not measured", OPEN, "no answer belongs to two facts")
    free, probe = tests.loc[c.FREE], tests.loc[c.PROBE]
    words = (
        f"free {percent(free['before'])} to {percent(free['after'])}, probe"
        f" {percent(probe['before'])} to {percent(probe['after'])}"
    )
    if free["says"] == "holds" and result.findings["verdict"].values["fall"] <= 0.1:
        return Measured(words, OPEN, "free answers did not fall")
    told = {"holds": True, "falls": False}.get(str(probe["says"]))
    return Measured(words, verdict_of([told]), _interval(probe))


def _spurious(result: Result) -> Measured:
    tests = result.tables["tests"].set_index("test")
    free, again = tests.loc[c.FREE], tests.loc[c.REALIGNED]
    words = (
        f"{percent(free['after'])} without, {percent(again['after'])} after steps on other facts;"
        f" control {percent(again['floor'])}"
    )
    if result.findings["verdict"].values["fall"] <= 0.1:
        return Measured(words, OPEN, "free answers did not fall")
    told = {"holds": True, "falls": False}.get(str(again["says"]))
    return Measured(words, verdict_of([told]), _interval(again))


def _interval(row: object) -> str:
    kept, low, high = (float(getattr(row, name)) for name in ("kept", "low", "high"))
    if kept != kept:
        return "the test says nothing here"
    said = f"kept share {percent(kept)}, 95 % over facts: {percent(low)} to {percent(high)}"
    return plain_minus(said)


def _early_drop(result: Result) -> Measured:
    finding = result.findings.get("first_steps")
    if finding is None:
        return NOT_MEASURED
    share = finding.values["early_share"]
    if share != share:
        return Measured("the old answers did not fall", OPEN, "there is no fall to take shares of")
    measured = f"{percent(share)} of the fall of the old answers in the first tenth of the steps"
    return Measured(
        measured, REPLICATES if share > 0.5 else FAILS, "one training, measured at every step"
    )


_GROUPS = ("How much", "Where", "Lost or misplaced")
CLAIMS = [
    Claim(
        "Forgetting rises on one line as the new task's loss falls, whatever the rank",
        "Llama-2-7B, ranks over two orders of magnitude (2401.05605)", _line, _GROUPS[0], "fits",
    ),
    Claim(
        "Forgetting is a shifted power law in trained parameters and steps",
        "the same; better than linear in steps or the size of the change", _power, _GROUPS[0],
        "fits",
    ),
    Claim(
        "Putting half of the parameters back brings back most of what was forgotten, and more than"
        " halving the update",
        "HFT's pilot on Llama-2-chat (2404.18466)", _half, _GROUPS[1], "halves",
    ),
    Claim(
        "A valley of low loss joins the weights before and after",
        "I-LoRA (2402.18865): no barrier between successive minima", _valley, _GROUPS[1], "path",
    ),
    Claim(
        "Probes of the states stay high while free answers fall",
        "Learn or Recall (2312.07887): backbones barely forget", _probe, _GROUPS[2], "tests",
    ),
    Claim(
        "Training on some old facts brings the others back",
        "spurious forgetting (ICLR 2025): from 11 % to about 96 %", _spurious, _GROUPS[2], "tests",
    ),
    Claim(
        "Old answers fall sharply in the first steps",
        "spurious forgetting: within about 150 steps", _early_drop, _GROUPS[2], "steps",
    ),
    *stage_claims.CLAIMS,
]  # fmt: skip


def add_claims(result: Result) -> None:
    """Judge them all."""
    say_claims(result, CLAIMS, PAPER)

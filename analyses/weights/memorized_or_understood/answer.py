"""What a run says first: did it solve this, or has it seen it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures.statistics import sign
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result


def add(result: Result, name: str) -> None:
    """One plain sentence or two from what the parts `puzzles` and `items` found."""
    words = [*_puzzles(result, name), *_items(result)]
    if not words:
        return
    limem = result.findings.get("limem")
    value = limem.values.get("apart", float("nan")) if limem else float("nan")
    variants = result.findings.get("item_variants")
    if value != value and variants is not None:
        value = variants.values.get("paraphrased", variants.values.get("changed", value))
    # A model of which nobody knows what it read has no such number of puzzles.
    found: float | dict[str, float] = value if value == value else {}
    result.add(Finding("answer", found, " ".join(words), unit="difference of shares"))


def _puzzles(result: Result, name: str) -> list[str]:
    found = result.findings.get("puzzles")
    if found is None:
        return []
    values, spread = found.values, found.interval
    assert isinstance(spread, dict)
    if "trained" not in values:
        base = max(values["chance"], values["majority"])
        low, high = spread["fresh"]
        verdict = {
            True: "above chance",
            False: "below chance",
            None: f"not told apart from guessing ({percent(values['chance'])})",
        }[sign(low, high, at=base)]
        return [f"{name} solves {percent(values['fresh'])} of new puzzles, {verdict}."]
    seen, half = sign(*spread["apart"]), values["trained"] / 2
    verdict = (
        "most of those it has memorized, not solved" if seen and values["fresh"] < half
        else "some of those it has memorized, not solved" if seen
        else "nothing shows that it has only seen them"
    )  # fmt: skip
    return [
        f"{name} solves {percent(values['trained'])} of the puzzles it has read but"
        f" {percent(values['fresh'])} of fresh ones: {verdict}."
    ]


def _items(result: Result) -> list[str]:
    found, variants = result.findings.get("items"), result.findings.get("item_variants")
    if found is None or variants is None:
        return []
    values, spread_of, spread = found.values, found.interval, variants.interval or {}
    assert isinstance(spread, dict)
    assert isinstance(spread_of, dict)
    key = "paraphrased" if "paraphrased" in variants.values else "changed"
    if key not in values:
        return []
    called = "in other words" if key == "paraphrased" else "when another answer is right"
    fell = sign(*spread[key]) if key in spread else None
    low, high = spread_of["original"]
    if not (above := sign(low, high, at=values["chance"])):
        verdict = "not told apart from guessing" if above is None else "fewer than by guessing"
        return [
            f"It answers {percent(values['original'])} of items, {verdict}"
            f" ({percent(values['chance'])}). So nothing can be said of what it has seen."
        ]
    verdict = (
        "what it answers hangs on the wording" if fell and key == "paraphrased"
        else "fewer are right when the answer changes" if fell
        else "nothing shows that it knows the wording alone" if key == "paraphrased"
        else "nothing shows that fewer are right when the answer changes"
    )  # fmt: skip
    return [
        f"Of the items it answers {percent(values['original'])} as they stand and"
        f" {percent(values[key])} {called} (guessing {percent(values['chance'])}): {verdict}."
    ]

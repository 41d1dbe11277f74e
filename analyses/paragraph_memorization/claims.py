"""What of Stoehr et al. 2024 comes out again on this model, claim by claim, each with the numbers it is judged by."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.result import Finding, Result

YES, NO, OPEN = "comes out again", "does not come out", "cannot be told"


def say_claims(result: Result) -> None:
    """The table `claims`, and how many of them hold here."""
    import pandas as pd

    found = {name: finding.values for name, finding in result.findings.items()}
    rows = [
        _triggers(found.get("triggers", {})),
        _larger(found.get("gradients", {})),
        _lower(result),
        _rare(result, found.get("rarity", {})),
        _sparse(found.get("unlearned", {})),
        _random(found.get("unlearned", {})),
        _harder(found.get("unlearned", {}), found.get("rewritten", {})),
    ]
    table = pd.DataFrame(rows, columns=["claim", "in the paper", "here", "verdict"])
    result.tables["claims"] = table
    counts = {verdict: int((table["verdict"] == verdict).sum()) for verdict in (YES, NO, OPEN)}
    missing = "; ".join(table.loc[table["verdict"] == NO, "claim"])
    result.add(
        Finding(
            "claims",
            {"hold": counts[YES], "fail": counts[NO], "open": counts[OPEN]},
            f"Of {len(table)} claims of Stoehr et al. 2024 (GPT-Neo 125M), {counts[YES]} come out again on this model"
            + (f"; not this: {missing}" if counts[NO] else "")
            + (f"; {counts[OPEN]} cannot be told from this run" if counts[OPEN] else "")
            + ".",
            unit="claims",
        )
    )


def _verdict(holds: bool | None) -> str:
    return OPEN if holds is None else YES if holds else NO


def _triggers(f: dict[str, float]) -> tuple[str, str, str, str]:
    ours, theirs = f.get("memorized"), f.get("not_memorized")
    known = ours is not None and theirs is not None
    return (
        "Replacing one token disturbs memorized passages less than others",
        "12.2 tokens lost, 33.1 of others",
        f"{ours:.1f} tokens lost, {theirs:.1f} of others" if known else "not measured",
        _verdict(ours < theirs if ours is not None and theirs is not None else None),
    )


def _larger(f: dict[str, float]) -> tuple[str, str, str, str]:
    ours, theirs = f.get("sum_memorized"), f.get("sum_not_memorized")
    known = ours is not None and theirs is not None
    return (
        "Gradients of memorized passages are smaller over all",
        "9.7 against 53.0",
        f"{ours:.2f} against {theirs:.2f}" if known else "not measured",
        _verdict(ours < theirs if ours is not None and theirs is not None else None),
    )


def _lower(result: Result) -> tuple[str, str, str, str]:
    claim = "Of them, a larger share is in the lower layers than of other passages' gradients"
    finding = result.findings.get("gradients")
    if finding is None or not isinstance(finding.interval, Mapping):
        return claim, "seen in heat maps", "not measured", OPEN
    # Both sizes of a gradient have to agree, or it hangs on the choice of one.
    lows, highs = zip(*finding.interval.values(), strict=True)
    holds = True if min(lows) > 0 else False if max(highs) < 0 else None
    f = finding.values
    here = f"{100 * f['lower']:+.1f} points in the lower half (largest entries), {100 * f['lower_rms']:+.1f} (typical ones)"
    return claim, "seen in heat maps", here, _verdict(holds)


def _rare(result: Result, f: dict[str, float]) -> tuple[str, str, str, str]:
    heads, holds = result.tables.get("heads"), None
    if heads is not None and heads["rarity_each"].notna().any():
        # Most of the heads that matter, each clearly.
        holds = bool((heads.loc[heads["role"] != "", "rarity_each_high"] < 0).mean() > 0.5)
    return (
        "The heads that matter for memorized passages look at rare tokens",
        "L1H2, correlation −0.97 pooled",
        f"found heads {f['found']:+.2f} within a passage; pooled {f['lowest_pooled']:+.2f} at lowest, chance"
        f" {f['chance_pooled']:+.2f}"
        if f
        else "not measured",
        _verdict(holds),
    )


def _sparse(f: dict[str, float]) -> tuple[str, str, str, str]:
    holds = f["gradient"] <= 0.5 * f["before"] if f else None
    return (
        "A thousandth of the weights, chosen by gradient, is enough to unlearn",
        "50 → 26.8 tokens; 26.9 with all weights",
        f"{f['before']:.0f} → {f['gradient']:.1f} tokens, others keep {100 * f['others_kept_gradient']:.0f} %;"
        f" {f['all']:.1f} with all weights"
        if f
        else "not measured",
        _verdict(holds),
    )


def _random(f: dict[str, float]) -> tuple[str, str, str, str]:
    return (
        "As many random weights do nothing",
        "50 → 49.8 tokens",
        f"{f['before']:.0f} → {f['random']:.1f} tokens after as many steps" if f else "not measured",
        _verdict(f["random"] >= 0.9 * f["before"] if f else None),
    )


def _harder(unlearned: dict[str, float], rewritten: dict[str, float]) -> tuple[str, str, str, str]:
    known = bool(unlearned and rewritten)
    return (
        "Rewriting is harder than unlearning",
        "33.7 tokens left, 26.8 unlearned",
        f"{rewritten['gradient']:.1f} tokens of the old text left, {unlearned['gradient']:.1f} unlearned;"
        f" {rewritten['new']:.1f} of the new are said"
        if known
        else "not measured",
        _verdict(rewritten["gradient"] > unlearned["gradient"] if known else None),
    )

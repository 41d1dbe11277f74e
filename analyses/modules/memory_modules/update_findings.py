"""What a run says of a stream of updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.modules.memory_modules.constants import (
    OFF,
    OTHER_SLOT,
    OWN_SLOT,
    WHOLE,
    WRITE_SKIPPED,
)
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from workbench.result import Result


def add_updates(result: Result) -> None:
    """What is lost without a key's slot, what is retained, and what an update changes."""
    rows = {row["change"]: row for _, row in result.tables["update_changes"].iterrows()}
    own, other, skipped = rows[OWN_SLOT], rows[OTHER_SLOT], rows[WRITE_SKIPPED]
    says = (
        f"A key's value stands in one slot: with it masked {percent(own['now'])} of"
        f" {counted(int(own['n']), 'question')} are answered (95 %: {percent(own['low'])} to"
        f" {percent(own['high'])}; {percent(rows[WHOLE]['now'])} as it is), with another"
        f" key's slot masked {percent(other['now'])}. Where the last update is not written,"
        f" {percent(skipped['old'])} give the value before it."
    )
    values = {
        "own": float(own["now"]),
        "another": float(other["now"]),
        "old_value": float(skipped["old"]),
        "off": float(rows[OFF]["now"]),
    }
    spread = {"own": (float(own["low"]), float(own["high"]))}
    if own["high"] > other["low"]:
        says = says.replace(
            "A key's value stands in one slot: with it masked", "With its slot masked"
        )
    result.add(Finding("updates", values, says, unit="recall", interval=spread))
    table = result.tables["retention"]
    first, last = table.iloc[0], table.iloc[-1]
    says = (
        f"Of questions asked at once {percent(first['with_memory'])} are answered, after"
        f" {last['updates']} updates of other keys {percent(last['with_memory'])} (95 %:"
        f" {percent(last['low'])} to {percent(last['high'])}); without the memory"
        f" {percent(last['without'])}."
    )
    values = {"first": float(first["with_memory"]), "last": float(last["with_memory"])}
    spread = {"last": (float(last["low"]), float(last["high"]))}
    result.add(Finding("retention", values, says, unit="recall", interval=spread))
    turned = result.tables["turnover"].set_index("what")["value"]
    slot, asked, same = (float(value) for value in turned.iloc[:3])
    says = (
        f"{percent(slot)} of what an update changes lies in one slot (at a question, which has"
        f" nothing to write, {percent(asked)}), and {percent(same)} of updates go into the slot of"
        " the key's last one."
    )
    if len(turned) > 3:
        after = str(turned.index[-1]).split("after ")[1]
        says += (
            f" After {after} what stands in the slot has a cosine of {float(turned.iloc[-1]):.2f}"
            " with what was written."
        )
    values = {"one_slot": slot, "at_questions": asked, "same_slot": same}
    result.add(Finding("turnover", values, says, unit="share of the change"))

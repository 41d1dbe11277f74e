"""What switching heads off costs elsewhere: closed-book accuracy, and loss on neutral text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.context.knowledge_conflict import cases as made
from analyses.context.knowledge_conflict import held_out_eval
from analyses.context.knowledge_conflict.constants import Head
from workbench import facts
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def add_pruning_cost(
    result: Result,
    model: InstrumentedModel,
    relation: facts.Relation,
    format: facts.Format,
    groups: dict[str, list[Head]],
    cases: list[made.Case],
    progress: Progress,
) -> None:
    """The table `cost`, one row for each group of heads, and what it says."""
    import pandas as pd

    progress(0.0, "Closed-book accuracy and loss on neutral text with heads switched off")
    cost = held_out_eval.SideEffects(model, relation, cases, format)
    rows = [cost.row("no intervention")]
    for n, (group, heads) in enumerate(groups.items(), 1):
        progress(
            n / (1 + len(groups)),
            "Closed-book accuracy and loss on neutral text with heads switched off",
        )
        rows.append(cost.row(f"prune {group} heads", held_out_eval.prune(heads)))
        before, after = rows[0], rows[-1]
        result.add(
            Finding(
                f"cost_{group}",
                {
                    "closed_book_before": before["closed_book"],
                    "closed_book_after": after["closed_book"],
                    "loss_before": before["loss"],
                    "loss_after": after["loss"],
                },
                f"With the {counted(len(heads), f'{group} head')} switched off, closed-book"
                " accuracy goes from"
                f" {percent(before['closed_book'])} to {percent(after['closed_book'])} and loss on"
                f" neutral"
                f" text from {before['loss']:.2f} to {after['loss']:.2f} nats per token.",
                unit="fraction of held-out facts; nats per token",
            )
        )
    result.tables["cost"] = pd.DataFrame(rows)

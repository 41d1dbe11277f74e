"""What of a hybrid's recall its attention carries and what its state: each taken away in turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING

from analyses.measures.pair_questions import Vocabulary, vocabulary_of
from analyses.state.recall_capacity.measure import Answers, ask
from analyses.state.recall_capacity.recall import repeated
from hooks.interventions import ablate
from hooks.recurrent.changes import WipeState
from hooks.state_changes import change_state
from workbench.result import Finding, Result
from workbench.wording import percent

if TYPE_CHECKING:
    from analyses.state.recall_capacity.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

INTACT, STATE, ATTENTION, BOTH = (
    "unchanged",
    "state wiped",
    "attention off",
    "both taken away",
)
CONDITIONS = (INTACT, STATE, ATTENTION, BOTH)


def lacks_a_memory(model: InstrumentedModel) -> str | None:
    """Why a model does not have both memories, or None."""
    if "state" not in model.sites:
        return "its layers carry no recurrent state."
    if not model.heads():
        return "it has no attention beside its states."
    return None


def without(
    model: InstrumentedModel, condition: str, context: int
) -> AbstractContextManager[object]:
    """The model without one of its memories, or both.

    Args:
        context: tokens up to the first question: the states are wiped behind them, so that the
            questions find none of the pairs there. Attention is off at every token: its heads add
            nothing.
    """
    stack = ExitStack()
    if condition in (STATE, BOTH):
        stack.enter_context(change_state(model, WipeState(), positions=[context - 1]))
    if condition in (ATTENTION, BOTH):
        stack.enter_context(ablate(model, heads=model.heads()))
    return stack if condition != INTACT else nullcontext()


def context_length(vocabulary: Vocabulary, pairs: int) -> int:
    """Tokens before the first question."""
    return len(vocabulary.beginning) + pairs * (2 + len(vocabulary.between) + len(vocabulary.after))


def recall_without(
    model: InstrumentedModel,
    condition: str,
    pairs: int,
    params: Params,
    report: Callable[[float], None] = lambda share: None,
) -> Answers:
    """The answers of the model without one of its memories."""
    vocabulary = vocabulary_of(model)
    seeds = range(params.seed, params.seed + params.draws)
    with without(model, condition, context_length(vocabulary, pairs)):
        return ask(model, vocabulary, pairs, params.rows, seeds, report)


def measure(result: Result, model: InstrumentedModel, params: Params, progress: Progress) -> None:
    """Table `memories` and its finding."""
    import pandas as pd

    rows = []
    work = [
        (pairs, condition)
        for pairs in repeated(params, vocabulary_of(model))
        for condition in CONDITIONS
    ]
    for number, (pairs, condition) in enumerate(work):
        part = progress.subprogress(number / len(work), (number + 1) / len(work))
        says = f"{pairs} pairs, {condition}"
        answers = recall_without(
            model,
            condition,
            pairs,
            params,
            lambda share: part(share, says),  # noqa: B023
        )
        rows.append({"pairs": pairs, "condition": condition, **answers.rates(), "guess": 1 / pairs})
    table = pd.DataFrame(rows)
    result.tables["memories"] = table
    hardest = table[table["pairs"] == table["pairs"].max()].set_index("condition")
    pairs = hardest["pairs"].iloc[0]
    shares = [f"{percent(hardest.loc[name, 'recall'])} ({name})" for name in CONDITIONS]
    result.add(
        Finding(
            "memories",
            {name.replace(" ", "_"): float(hardest.loc[name, "recall"]) for name in CONDITIONS},
            f"Of {pairs} pairs the model recalls {', '.join(shares)}; a guess among the values of"
            f" the row is right in {percent(1 / pairs)}.",
            unit="share of questions",
            interval={
                name.replace(" ", "_"): (
                    float(hardest.loc[name, "low"]),
                    float(hardest.loc[name, "high"]),
                )
                for name in CONDITIONS
            },
        )
    )

"""The memory-to-context dial: one number scales both groups of heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from analyses.context.knowledge_conflict.constants import Head
from workbench.errors import BadInput
from workbench.playground import HeadRole, Playground
from workbench.reentrant import reentrant
from workbench.registry import Control

if TYPE_CHECKING:
    from hooks.decode import Factors
    from hooks.model import InstrumentedModel
    from workbench.result import Result

STEPS = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)


def dial_range(memory: Sequence[Head], context: Sequence[Head]) -> tuple[float, float]:
    """How far the dial goes: toward memory only if the context heads are known, which it
    silences, and the other way round.
    """
    return (-1.0 if context else 0.0), (1.0 if memory else 0.0)


def dial_settings(memory: Sequence[Head], context: Sequence[Head]) -> list[float]:
    """Settings that are measured; none where no heads are known."""
    low, high = dial_range(memory, context)
    return [value for value in STEPS if low <= value <= high] if low < high else []


def factors(memory: Sequence[Head], context: Sequence[Head], value: float) -> Factors:
    """-1: context heads silent and memory heads doubled.

    0: the model as it is; +1: the other way round.
    """
    return {**dict.fromkeys(memory, 1.0 - value), **dict.fromkeys(context, 1.0 + value)}


def selected_heads(result: Result) -> tuple[list[Head], list[Head]]:
    """(memory, context) heads that this run chose and proved."""
    if "selected_heads" not in result.tables:
        return [], []
    table = result.tables["selected_heads"]
    memory, context = (
        [(int(r.layer), int(r.head)) for r in table[table["group"] == group].itertuples()]
        for group in ("memory", "context")
    )
    return memory, context


def dial(result: Result) -> dict[str, Control]:
    """The control of a finished run; none where it could not be told which heads decide."""
    memory, context = selected_heads(result)
    if not memory and not context:
        return {}
    made_with = result.provenance.model

    @reentrant
    def apply(model: InstrumentedModel, value: float) -> Iterator[Any]:
        from hooks.decode import scaled

        # Head numbers mean nothing in another network; a fine-tuned copy of the same shape is a
        # fair question to ask.
        if (model.n_layers, model.n_heads) != (made_with.get("n_layers"), made_with.get("n_heads")):
            raise BadInput(
                f"This dial is for the heads of {made_with.get('name')}; {model.card.name} has"
                " another shape.",
                f"a model of {made_with.get('n_layers')} layers × {made_with.get('n_heads')} heads",
                "Run knowledge-conflict on this model.",
            )
        with scaled(model, factors(memory, context, value)):
            yield model

    low, high = dial_range(memory, context)
    words = ("memory" if context else "as it is"), ("context" if memory else "as it is")
    return {"dial": Control("Memory to context", apply, low, high, 0.0, *words)}


def heads_by_role(result: Result) -> dict[str, list[Head]]:
    """Heads that were chosen to be pruned; of a run without such a table, those it ranks."""
    for name, column in (("selected_heads", "group"), ("heads", "role")):
        table = result.tables.get(name)
        if table is not None and {"layer", "head", column} <= set(table.columns):
            heads: dict[str, list[Head]] = {}
            for layer, head, role in zip(table["layer"], table["head"], table[column], strict=True):
                heads.setdefault(role, []).append((int(layer), int(head)))
            return heads
    return {}


playground = Playground(
    roles=(
        HeadRole("memory", "memory head", "Memory heads off", "memory"),
        HeadRole("context", "context head", "Context heads off", "context"),
    ),
    heads=heads_by_role,
)

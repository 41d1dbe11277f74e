"""The experiments of a forgetting run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Name = Literal[
    "pair", "law", "reset-map", "reset-more", "lost-or-misplaced", "path", "cka", "first-steps",
    "remedies", "aligned", "stages", "tasks",
]  # fmt: skip


def not_small(model: InstrumentedModel) -> str | None:
    """Why a model is not trained dozens of times, or None."""
    from analyses.measures.exposure_trainings import no_small_model

    return no_small_model(model)


PARTS = [
    Part(
        "pair",
        "Before and after",
        "How far fine-tuning moved the model on neutral text, text like the new task's and its own"
        " text; all else stands on it.",
    ),
    Part(
        "law",
        "The law of forgetting",
        "Whether forgetting lies on one line with the new task's loss, whatever the rank of the"
        " update.",
        stands_on=["pair"],
        views=["Law"],
    ),
    Part(
        "reset-map",
        "Reset map",
        "Which module, put back to what it was, brings back how much, and what that costs of the"
        " new task.",
        stands_on=["pair"],
        views=["Reset map"],
    ),
    Part(
        "reset-more",
        "Reset map: further",
        "The mirror (each module's update put into the base alone), layers reset one after the"
        " other from both ends, and the same map of a training on shuffled text.",
        stands_on=["reset-map"],
        views=["Mirror"],
    ),
    Part(
        "lost-or-misplaced",
        "Lost or misplaced",
        "Whether facts that are no longer said are still there: picked among the answers, by a"
        " probe, with examples in front, after 20 steps on other facts.",
        stands_on=["pair"],
        views=["Lost or misplaced"],
    ),
    Part(
        "path",
        "The path between",
        "Losses along the straight line from the base to the fine-tuned model, and whether a"
        " barrier lies between.",
        stands_on=["pair"],
        views=["Path"],
    ),
    Part(
        "cka",
        "Layer by layer",
        "How alike the states of each layer still are (CKA).",
        stands_on=["pair"],
        views=["Layers"],
    ),
    Part(
        "first-steps",
        "First steps",
        "The first steps one by one, and the angle between the early and the later update of each"
        " matrix.",
        stands_on=["pair"],
        views=["First steps"],
    ),
    Part(
        "remedies",
        "Remedies",
        "Half of the weights frozen, the bottom layers frozen, replay, averaged weights and a slow"
        " copy, each against the line of plain fine-tuning.",
        stands_on=["law"],
        views=["Remedies"],
    ),
    Part(
        "aligned",
        "Format and facts",
        "What changes in free text: repetition, ends of turns, sentences, beside the facts.",
        stands_on=["pair"],
        views=["Format"],
    ),
    Part(
        "stages",
        "Through the stages",
        "Texts planted in pre-training, fine-tuning and preference tuning, followed through what"
        " comes next; a small model.",
        unavailable_reason=not_small,
        views=["Stages"],
    ),
    Part(
        "tasks",
        "Task after task",
        "The retention matrix of tasks one after the other, from the model as it is and from random"
        " weights; a small model.",
        unavailable_reason=not_small,
        views=["Tasks"],
    ),
]
ALONE = {"stages", "tasks"}
"""Parts that need no base that knows facts."""
DEFAULT: list[Name] = ["law", "reset-map", "lost-or-misplaced", "path", "cka"]
TRAINING = {"law", "first-steps", "remedies"}
"""Parts that train the base themselves: they are left out of a pair that is given."""
PRESETS = {
    "quick": {
        "parts": ["reset-map", "lost-or-misplaced"], "steps": 30, "facts": 24, "halves": 4,
        "map_rows": 1,
    },
    "paper": {"ranks": [1, 4, 16, 64, 256], "steps": 200, "rows": 4, "facts": 200, "halves": 30},
}  # fmt: skip

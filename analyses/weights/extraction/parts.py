"""The experiments of an extraction run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench import organisms
from workbench.organisms import checkpoints
from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Name = Literal[
    "verbatim", "near_verbatim", "membership", "reference", "checkpoints", "compression", "access"
]


def training_steps(model: InstrumentedModel) -> list[str]:
    """What opens the model at every kept step of its training, in order; none where it keeps
    fewer than two.
    """
    home = organisms.home_of(model.module)
    steps = checkpoints.saved_steps(home) if home is not None else []
    return [f"{home}@step-{step}" for step in steps] if len(steps) > 1 else []


def _keeps_no_steps(model: InstrumentedModel) -> str | None:
    if training_steps(model):
        return None
    return (
        f"{model.card.name} has no checkpoints of its training; models of `workbench organisms` do."
    )


PARTS = [
    Part(
        "verbatim",
        "Verbatim extraction",
        "Which suffixes greedy decoding and sampling reproduce token for token; several lengths of"
        " the prefix are compared.",
    ),
    Part(
        "near_verbatim",
        "Near-verbatim extraction",
        "What greedy decoding generates where it diverges from the suffix, and how similar it is.",
        stands_on=["verbatim"],
    ),
    Part(
        "membership",
        "Membership inference",
        "How well the loss and scores such as Min-K %++ separate texts of the training data from"
        " others.",
        stands_on=["verbatim"],
        views=["Membership"],
    ),
    Part(
        "reference",
        "Comparison with a reference model",
        "Which of these texts another model reproduces too.",
        needs=["reference"],
        stands_on=["verbatim"],
        views=["Two models"],
    ),
    Part(
        "checkpoints",
        "Extraction along training",
        "When in training each text was memorized, at every checkpoint of the model.",
        stands_on=["verbatim"],
        views=["Training"],
        unavailable_reason=_keeps_no_steps,
    ),
    Part(
        "compression",
        "Adversarial compression",
        "The shortest prompt after which the model generates a given string.",
        needs=["compress"],
        stands_on=["verbatim"],
        views=["Compression"],
    ),
    Part(
        "access",
        "Sequential and random access",
        "Whether a passage comes out from its beginning only or from anywhere in it, and where"
        " texts have titles, after its title.",
        stands_on=["verbatim"],
        views=["Access"],
    ),
]
DEFAULT: list[Name] = ["verbatim", "near_verbatim", "membership", "reference", "compression"]
PRESETS = {
    "quick": {"parts": ["verbatim", "near_verbatim"], "decode": 20, "max_windows": 200},
    "paper": {"decode": 100_000},
}

"""The methods by name: what each minimises, and on which weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hooks.unlearning import objectives
from hooks.unlearning.concept_erasure import ConceptErasure
from hooks.unlearning.objectives import Before, ForgetLoss, Objective, Retain, TextLosses
from hooks.unlearning.original_model import OriginalModel
from hooks.unlearning.settings import Settings
from hooks.unlearning.steering import Steering, steered_layer
from hooks.unlearning.texts import Text, nats_of_all

NPO_BETA, SIMNPO_BETA, UNDIAL_BETA = 0.1, 0.7, 10.0
"""As in the papers; SimNPO's is that for passages (MUSE), not for short answers (TOFU)."""
RMU_WEIGHT = 10.0
"""Ours: the paper's constants belong to its models. With 1 a model of 2 M weights lost the texts to
retain as well; with 30 it forgot nothing.
"""
FADED = 2.0
"""What beta times the nats that a text loses may come to, where beta is not given. NPO's gradient
is then still a quarter of that of gradient ascent; with beta 0.1 and texts of a hundred tokens that
were to lose three nats each it would be 1e-13.
"""
Trains = Literal["matrices", "down projections", "masked weights"]
MakeObjective = Callable[[OriginalModel, Sequence[Text], Settings], Objective]
MakeLoss = Callable[[OriginalModel, Sequence[Text], Settings], tuple[ForgetLoss, str]]
"""The loss of a text to forget, and what is to be known of it, or ""."""


@dataclass(frozen=True)
class Method:
    """A way to unlearn.

    Attributes:
        label: as the field writes it.
        needs_retain: whether it takes texts that the model is to retain.
        about: what it does, in a sentence.
        paper: where it is from.
        objective: what it minimises.
        trains: which weights.
        is_task_vector: whether the change that minimises the objective is taken off, not added.
    """

    label: str
    needs_retain: bool
    about: str
    paper: str
    objective: MakeObjective
    trains: Trains = "matrices"
    is_task_vector: bool = False


def _of(
    loss: MakeLoss,
    retain: Retain | None = None,
    before: Before = "nothing",
    weight: float = 1.0,
) -> MakeObjective:
    """A forget loss with one of the usual retain terms, or none."""

    def make(original: OriginalModel, forget: Sequence[Text], settings: Settings) -> Objective:
        own = weight if settings.retain_weight is None else settings.retain_weight
        forget_loss, note = loss(original, forget, settings)
        return TextLosses(
            original,
            forget_loss,
            before,
            retain or "nll",
            own if retain else 0.0,
            (note,) if note else (),
        )

    return make


def _ascent(*_: object) -> tuple[ForgetLoss, str]:
    return objectives.ascent, ""


def _descent(*_: object) -> tuple[ForgetLoss, str]:
    return objectives.descent, ""


def _npo(
    original: OriginalModel, forget: Sequence[Text], settings: Settings
) -> tuple[ForgetLoss, str]:
    if settings.beta is not None:
        return objectives.preference(settings.beta), ""
    model, needed = original.model, 0.0
    for text, nats in zip(forget, nats_of_all(model, forget).tolist(), strict=True):
        needed += max(0.0, settings.aim - nats) * len(text.targets) / len(forget)
    beta = min(NPO_BETA, FADED / needed) if needed else NPO_BETA
    note = (
        f"beta is {beta:.2g}, not the paper's {NPO_BETA}: these texts must lose {needed:.0f} nats"
        " each, and its gradient would be gone long before."
    )
    return objectives.preference(beta), note if beta < NPO_BETA else ""


def _simnpo(_: OriginalModel, __: Sequence[Text], settings: Settings) -> tuple[ForgetLoss, str]:
    return objectives.simple_preference(settings.beta or SIMNPO_BETA), ""


def _undial(_: OriginalModel, __: Sequence[Text], settings: Settings) -> tuple[ForgetLoss, str]:
    return objectives.self_distillation(settings.beta or UNDIAL_BETA), ""


def _random_labels(
    _: OriginalModel, forget: Sequence[Text], settings: Settings
) -> tuple[ForgetLoss, str]:
    return objectives.random_labels(forget, settings.seed), ""


def _rmu(original: OriginalModel, forget: Sequence[Text], settings: Settings) -> Objective:
    weight = RMU_WEIGHT if settings.retain_weight is None else settings.retain_weight
    layer = steered_layer(original.model, settings.layer)
    return Steering(original, forget, layer, weight, settings)


_NPO = "Zhang et al. 2024, Negative Preference Optimization"
METHODS: dict[str, Method] = {
    "ga": Method(
        "GA",
        False,
        "Gradient ascent on the loss of the texts to forget, and nothing else.",
        "Jang et al. 2023, Knowledge Unlearning",
        _of(_ascent),
    ),
    "graddiff": Method(
        "GA + GDR",
        True,
        "Gradient ascent on the texts to forget, descent on those to retain.",
        "Liu et al. 2022, Continual Learning and Private Unlearning",
        _of(_ascent, "nll"),
    ),
    "ga-klr": Method(
        "GA + KLR",
        True,
        "Gradient ascent, while the divergence from the original on texts to retain stays small.",
        "Maini et al. 2024, TOFU",
        _of(_ascent, "kl"),
    ),
    "npo": Method(
        "NPO",
        False,
        "The texts to forget as dispreferred answers: ascent that fades out as they become"
        " unlikely.",
        _NPO,
        _of(_npo, before="log_p"),
    ),
    "npo-gdr": Method(
        "NPO + GDR",
        True,
        "NPO, with descent on the texts to retain.",
        _NPO,
        _of(_npo, "nll", "log_p"),
    ),
    "npo-klr": Method(
        "NPO + KLR",
        True,
        "NPO, while the divergence from the original on texts to retain stays small.",
        _NPO,
        _of(_npo, "kl", "log_p"),
    ),
    "simnpo": Method(
        "SimNPO",
        True,
        "NPO by token and without the original as a reference, with descent on the texts to"
        " retain.",
        "Fan et al. 2024, Simplicity Prevails",
        _of(_simnpo, "nll by token"),
    ),
    "rmu": Method(
        "RMU",
        True,
        "Hidden states of the texts to forget are pushed in a random direction, those of the texts"
        " to retain stay.",
        "Li et al. 2024, The WMDP Benchmark",
        _rmu,
        "down projections",
    ),
    "undial": Method(
        "UNDIAL",
        False,
        "The model learns its own predictions with the true tokens' logits lowered; no retain"
        " term, as in the paper.",
        "Dong et al. 2024, UNDIAL",
        _of(_undial, before="logits"),
    ),
    "task-vector": Method(
        "task vector",
        False,
        "What further training on the texts to forget adds to the weights is taken off, several"
        " times.",
        "Ilharco et al. 2023, Editing Models with Task Arithmetic",
        _of(_descent),
        is_task_vector=True,
    ),
    "random-labels": Method(
        "random labels",
        False,
        "The model learns to predict tokens drawn at random from the texts to forget.",
        "Zhang et al. 2024, Unforgettable Generalization",
        _of(_random_labels),
    ),
    "elm": Method(
        "ELM",
        True,
        "The model learns to predict the texts as somebody would who knows nothing of the concept,"
        " and to go on fluently.",
        "Gandikota et al. 2024, Erasing Conceptual Knowledge from Language Models",
        ConceptErasure,
    ),
    "mask": Method(
        "gradient mask",
        True,
        "GA + KLR on the few weights whose gradient on the texts to forget most exceeds that on"
        " texts to retain.",
        "after Stoehr et al. 2024, Localizing Paragraph Memorization",
        _of(_ascent, "kl"),
        "masked weights",
    ),
}

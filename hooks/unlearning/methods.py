"""The methods by name: what each minimises, and on which weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hooks.unlearning import objectives
from hooks.unlearning.objectives import Before, ForgetLoss, Objective, Retain, TextLosses
from hooks.unlearning.original_model import OriginalModel
from hooks.unlearning.settings import Settings
from hooks.unlearning.steering import Steering, steered_layer
from hooks.unlearning.texts import Text

Trains = Literal["matrices", "down projections", "masked weights"]
MakeObjective = Callable[[OriginalModel, Sequence[Text], Settings], Objective]
MakeLoss = Callable[[Sequence[Text], Settings], ForgetLoss]


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
        return TextLosses(
            original, loss(forget, settings), before, retain or "nll", own if retain else 0.0
        )

    return make


def _ascent(_: Sequence[Text], __: Settings) -> ForgetLoss:
    return objectives.ascent


def _descent(_: Sequence[Text], __: Settings) -> ForgetLoss:
    return objectives.descent


def _npo(_: Sequence[Text], settings: Settings) -> ForgetLoss:
    return objectives.preference(settings.beta or 0.1)


def _simnpo(_: Sequence[Text], settings: Settings) -> ForgetLoss:
    return objectives.simple_preference(settings.beta or 2.5, 0.125)


def _undial(_: Sequence[Text], settings: Settings) -> ForgetLoss:
    return objectives.self_distillation(settings.beta or 10.0)


def _random_labels(forget: Sequence[Text], settings: Settings) -> ForgetLoss:
    return objectives.random_labels(forget, settings.seed)


def _rmu(original: OriginalModel, forget: Sequence[Text], settings: Settings) -> Objective:
    weight = 1.0 if settings.retain_weight is None else settings.retain_weight
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

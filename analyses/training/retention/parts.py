"""The experiments of a retention run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.errors import WorkbenchError
from workbench.parts import Part
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.measures.exposure_series import WeightSeries
    from hooks.model import InstrumentedModel
    from workbench.organisms.ledger import Ledger

Name = Literal[
    "recall",
    "profiles",
    "forecast",
    "access",
    "few-shot",
    "dose-timing",
    "access-remedies",
    "triples",
    "training-choices",
    "repeated-data",
]


def training_of(model: InstrumentedModel) -> tuple[WeightSeries, Ledger] | str:
    """The kept steps of a model's own training and what was read when; or why there is nothing."""
    from analyses.measures.exposure_series import own_series, series_ledger

    try:
        series = own_series(model)
        ledger = None if series is None else series_ledger(series)
    except WorkbenchError as error:  # steps that do not fit together, or a damaged ledger
        return error.what
    if series is None:
        return (
            f"{model.card.name} keeps no steps of its training; organism/planted does, and so does"
            " what `workbench lab` trains."
        )
    if ledger is None:
        return (
            f"{model.card.name} keeps {len(series.steps)} steps of its training, but no ledger that"
            " says what was read when."
        )
    return series, ledger


def no_steps(model: InstrumentedModel) -> str | None:
    """Why nothing can be said of a model's own training, or None."""
    found = training_of(model)
    return found if isinstance(found, str) else None


def no_bands(model: InstrumentedModel) -> str | None:
    """Why no band can be drawn around what a first reading caused, or None."""
    from analyses.measures.exposure_effects import FEWEST, FEWEST_NEVER

    found = training_of(model)
    if isinstance(found, str):
        return found
    entries = found[1].entries
    read = sum(bool(entry.repeats) for entry in entries)
    if read >= FEWEST and len(entries) - read >= FEWEST_NEVER:
        return None
    return (
        f"{counted(read, 'text')} of its ledger {'was' if read == 1 else 'were'} read and"
        f" {len(entries) - read} never; a band needs {FEWEST} and {FEWEST_NEVER}."
    )


def fixed_weights(model: InstrumentedModel) -> str | None:
    """Why no gradient can move the model's weights, or None."""
    from workbench.models.storage import is_offloaded, is_quantized

    if is_quantized(model.module) or is_offloaded(model.module):
        return f"The weights of {model.card.name} are quantized or offloaded."
    return None


def not_small(model: InstrumentedModel) -> str | None:
    """Why a model is not trained dozens of times, or None."""
    from analyses.measures.exposure_trainings import no_small_model

    return no_small_model(model)


def many_tokens(model: InstrumentedModel) -> str | None:
    """Why a model's tokenizer is none for models of 0.3 million weights, or None."""
    from analyses.training.retention.repeated_data import large_vocabulary

    return large_vocabulary(model)


PARTS = [
    Part(
        "recall",
        "Recall by dose and time",
        "After how many readings texts are recognized and recited, how much of that lasts, and what"
        " it changes whether they were read early or late.",
        unavailable_reason=no_steps,
        views=["Readings", "Forgetting", "One text"],
    ),
    Part(
        "profiles",
        "Memorisation profiles",
        "What a first reading caused, step by step, by difference-in-differences.",
        stands_on=["recall"],
        unavailable_reason=no_bands,
        views=["Profiles"],
    ),
    Part(
        "forecast",
        "Forecast",
        "Whether earlier steps tell which texts the last one recites.",
        stands_on=["recall"],
        unavailable_reason=no_steps,
        views=["Forecast"],
    ),
    Part(
        "access",
        "Sequential and random access",
        "Whether texts come out from their beginning only, along training.",
        stands_on=["recall"],
        unavailable_reason=no_steps,
        views=["Access"],
    ),
    Part(
        "few-shot",
        "Learning from few readings",
        "The asked model reads new texts a few times, and then other text: recognition, recall and"
        " what is left, update by update (Orhan 2023). The model is put back afterwards.",
        unavailable_reason=fixed_weights,
        views=["Few readings"],
    ),
    Part(
        "dose-timing",
        "Number and time of readings, by lot",
        "A small model reads texts 1 to 16 times in six parts of a training, dealt by lot, and the"
        " same in a training twice as long (Hubble).",
        unavailable_reason=not_small,
        views=["Dose and time"],
    ),
    Part(
        "access-remedies",
        "Remedies of sequential access",
        "Whether passages are reached in their middle when they were read in permuted copies, or"
        " are recited first.",
        unavailable_reason=not_small,
        views=["Remedies"],
    ),
    Part(
        "triples",
        "Knowledge base",
        "Triples are read, and asked for as they stand, in questions, the other way, and two put"
        " together: fit against inference.",
        unavailable_reason=not_small,
        views=["Knowledge base"],
    ),
    Part(
        "training-choices",
        "Batch, rate and duplication",
        "What they do to what a text gains, and to what is left behind other text.",
        unavailable_reason=not_small,
        views=["Batch and rate"],
    ),
    Part(
        "repeated-data",
        "Repeated data",
        "Models of 0.3 and 0.6 million weights are trained from nothing with a share of their data"
        " repeated 1 to 512 times: loss, copying, induction heads, effective size.",
        unavailable_reason=many_tokens,
        views=["Repeated data"],
    ),
]
DEFAULT: list[Name] = ["recall", "profiles", "forecast", "access", "few-shot"]
PRESETS = {
    "quick": {"parts": ["recall", "profiles", "forecast"], "twins": 10},
    "paper": {"twins": 200, "items": 200, "compared": 200},
}

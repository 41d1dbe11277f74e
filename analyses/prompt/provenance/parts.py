"""The experiments of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Name = Literal[
    "split",
    "sentences",
    "tokens",
    "heads",
    "closed-book",
    "recited",
    "trace",
    "samples",
    "features",
    "training",
]


def no_heads(model: InstrumentedModel) -> str | None:
    """Why no head can be switched off, or None."""
    if "z" in model.sites and "pattern" in model.sites:
        return None
    return "it has no attention heads whose patterns can be read"


def no_autoencoder(model: InstrumentedModel) -> str | None:
    """Why no feature can be looked at, or None."""
    from analyses.prompt.provenance.active_features import autoencoders_of

    return None if autoencoders_of(model) else "no autoencoder ships for its weights"


def no_training(model: InstrumentedModel) -> str | None:
    """Why nothing can be said of what its training taught it, or None."""
    from analyses.prompt.provenance.training_influence import training_of

    found = training_of(model)
    return found if isinstance(found, str) else None


PARTS = [
    Part(
        "split",
        "Prompt, weights or state",
        "How much of the answer each source gives, beside matched random parts.",
        views=["Split"],
    ),
    Part(
        "sentences",
        "Sentences",
        "Which sentences of the context the answer rests on, and what is said without them.",
        views=["Sentences"],
    ),
    Part(
        "tokens",
        "Tokens",
        "Which tokens the answer itself has to see, beside what the gradient guesses.",
        views=["Tokens"],
    ),
    Part(
        "heads",
        "Heads",
        "Which heads bring the answer, and what becomes of it with those that read the context, or"
        " the subject, switched off.",
        stands_on=["split"],
        unavailable_reason=no_heads,
        views=["Heads"],
    ),
    Part(
        "closed-book",
        "The question alone",
        "What the model says when it is asked without the context, in several wordings.",
        views=["Closed-book"],
    ),
    Part(
        "recited",
        "Recited",
        "How surely the answer is said word for word, and where it stands in a corpus.",
        views=["Recited"],
    ),
    Part(
        "trace",
        "Where the weights reach it",
        "At which token and layer the question alone carries its answer (causal tracing).",
        stands_on=["split"],
        views=["Trace"],
    ),
    Part(
        "samples",
        "What it says by itself",
        "How much of what the model says unasked stands in the corpus, beside a model that did not"
        " read it.",
        needs=["corpus"],
        views=["Samples"],
    ),
    Part(
        "features",
        "Features",
        "Which features of the model's autoencoders are active again where the answer begins, and"
        " what it loses without them.",
        unavailable_reason=no_autoencoder,
        views=["Features"],
    ),
    Part(
        "training",
        "Read in training",
        "Which texts of its training pushed the model toward this answer, beside texts that it"
        " never read.",
        unavailable_reason=no_training,
        views=["Training"],
    ),
]
DEFAULT: list[Name] = ["split", "sentences", "tokens", "heads", "closed-book", "recited"]
PRESETS = {"quick": {"parts": ["split", "sentences"]}, "paper": {"draws": 32}}

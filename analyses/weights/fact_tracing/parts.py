"""The experiments of a fact-tracing run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.parts import Part

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Name = Literal[
    "facts", "states", "mlp", "attention", "severed", "knockout", "extraction", "heads",
    "enrichment", "wordings", "best-layer",
]  # fmt: skip


def no_attention(model: InstrumentedModel) -> str | None:
    """Why attention cannot be blocked, or None."""
    from hooks.sweeps.knockout import attention_layers

    if attention_layers(model):
        return None
    return (
        "it has no attention whose scores can be reached; its recurrent layers stand in the place"
        " of attention in the map and in the extraction events"
    )


def no_heads(model: InstrumentedModel) -> str | None:
    """Why no head's own writing can be read, or None."""
    return None if "result" in model.sites else "it has no attention heads"


def no_mlps(model: InstrumentedModel) -> str | None:
    """Why no MLP can be restored, or None."""
    return None if "mlp_out" in model.sites else "its layers have no MLP of their own"


PARTS = [
    Part(
        "facts",
        "Known facts",
        "Which facts the model knows when it is asked without any context; all else stands on it.",
    ),
    Part(
        "states",
        "Causal tracing: states",
        "Which token's state, at which layer, gives a fact back when the subject is corrupted.",
        stands_on=["facts"],
        views=["Trace"],
    ),
    Part(
        "mlp",
        "Causal tracing: MLPs",
        "The same of what MLPs write, in windows of layers.",
        stands_on=["states"],
        unavailable_reason=no_mlps,
    ),
    Part(
        "attention",
        "Causal tracing: attention",
        "The same of what attention (or a recurrent layer in its place) writes.",
        stands_on=["states"],
    ),
    Part(
        "severed",
        "Severed paths",
        "How much of a restored state's effect goes through later MLPs, or attention, at its"
        " token.",
        stands_on=["states"],
        unavailable_reason=no_mlps,
        views=["Severed"],
    ),
    Part(
        "knockout",
        "Attention knockout",
        "Which tokens the last one has to see, and in which layers.",
        stands_on=["facts"],
        unavailable_reason=no_attention,
        views=["Knockout"],
    ),
    Part(
        "extraction",
        "Extraction events",
        "Which layers' attention and MLPs write the answer at the last token.",
        stands_on=["facts"],
        views=["Extraction"],
    ),
    Part(
        "heads",
        "Extraction heads",
        "Which heads write the answer, chosen on half of the facts and measured on the others.",
        stands_on=["facts"],
        unavailable_reason=no_heads,
        views=["Heads"],
    ),
    Part(
        "enrichment",
        "Attribute enrichment",
        "How much of what is true of the subject can be read from its last token, by layer.",
        stands_on=["facts"],
        views=["Enrichment"],
    ),
    Part(
        "wordings",
        "Other wordings",
        "Whether the same places carry a fact that is asked in other words.",
        stands_on=["states"],
        views=["Wordings"],
    ),
    Part(
        "best-layer",
        "The layer to edit",
        "Whether tracing tells at which layer an edit works best (Hase et al. 2023).",
        stands_on=["states"],
        unavailable_reason=no_mlps,
        views=["Editing"],
    ),
]
DEFAULT: list[Name] = ["states", "mlp", "attention", "knockout", "extraction"]
PRESETS = {
    "quick": {"parts": ["states", "extraction"], "facts": 10, "draws": 1},
    "paper": {"facts": 200, "draws": 10, "step": 1},
}

"""Where forgetting sits: states, modules or shares of the original put back, and what that brings
back of the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from analyses.weights.unlearning_audit.block_weights import (
    AuditSubject,
    changed,
    places,
    replaced,
    weights_of,
)
from analyses.weights.unlearning_audit.memorized import BATCH, scores
from hooks.eager_eval import steady
from hooks.hook_points import hook_sites
from hooks.sites import SITES, Place
from hooks.unlearning.texts import Text
from workbench.progress import Progress

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

INTO_UNLEARNED, INTO_ORIGINAL = "original into unlearned", "unlearned into original"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
OUTSIDE = "outside the layers"
"""The part of embeddings, unembedding and final norm; their layer is -1."""


@torch.no_grad()
def patch_states(
    original: AuditSubject,
    unlearned: AuditSubject,
    texts: Sequence[Text],
    layers: Sequence[int] | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """What one model says when the residual stream behind one of its layers is the other's, at
    every token.

    All that was done up to that layer is then the other's, and all above the model's own: where the
    texts return as states of the original go in is above what suppresses them.

    Args:
        layers: None is all.

    Returns:
        A row per direction, layer and text: `direction`, `layer`, and the columns of
        `memorized.scores`.
    """
    progress = progress or Progress()
    with original.on() as model:
        wanted = list(range(model.n_layers)) if layers is None else list(layers)
        parts = model.batch_indices([len(t.ids) for t in texts], batch)
    tables = []
    for n, chosen in enumerate(parts):
        part = [texts[i] for i in chosen]
        # The two may be one module: only one is on at a time.
        with original.on() as model:
            given = _states(model, part, wanted)
        with unlearned.on() as model:
            taken = _states(model, part, wanted)
            progress(n / len(parts), "States of the original in the unlearned model")
            tables.append(_patched(model, part, chosen, given).assign(direction=INTO_UNLEARNED))
        with original.on() as model:
            progress((n + 0.5) / len(parts), "States of the unlearned model in the original")
            tables.append(_patched(model, part, chosen, taken).assign(direction=INTO_ORIGINAL))
    table = pd.concat(tables).sort_values(
        ["direction", "layer", "text"], kind="stable", ignore_index=True
    )
    return _first(table, "direction", "layer")


def _states(
    model: InstrumentedModel, texts: Sequence[Text], layers: Sequence[int]
) -> dict[int, Tensor]:
    """The stream behind each layer, (text, pos, d_model)."""
    found: dict[int, Tensor] = {}

    def take(place: Place, x: Tensor) -> None:
        assert place.layer is not None  # all of these are of layers
        found[place.layer] = x.clone()

    with (
        steady(model.module),
        hook_sites(model, [Place(SITES["resid_post"], layer) for layer in layers], take),
    ):
        given = model.batch([list(t.ids) for t in texts])
        model.forward(**given.kwargs(), use_cache=False, logits_to_keep=1)
    return found


def _patched(
    model: InstrumentedModel,
    texts: Sequence[Text],
    numbers: Sequence[int],
    states: Mapping[int, Tensor],
) -> pd.DataFrame:
    tables = []
    for layer, state in states.items():
        place = Place(SITES["resid_post"], layer)

        def put(_: Place, x: Tensor, state: Tensor = state) -> Tensor:
            return state.to(x)

        with hook_sites(model, [place], put):
            table = scores(model, texts, batch=len(texts))
        tables.append(table.assign(layer=layer, text=list(numbers)))
    return pd.concat(tables)


@torch.no_grad()
def reset_modules(
    unlearned: AuditSubject,
    original: Mapping[str, Tensor],
    texts: Sequence[Text],
    progress: Progress | None = None,
) -> pd.DataFrame:
    """What the unlearned model says with the weights of one attention, MLP or mixer of one layer as
    they were before. Modules that unlearning did not change are left out.

    Args:
        original: weights of the original, from `block_weights.weights_of`.

    Returns:
        A row per module and text: `layer`, `part` (-1 and `OUTSIDE` for what is in no layer), and
        the columns of `memorized.scores`.

    Raises:
        BadInput: the two models do not have the same parameters, or no texts.
    """
    progress = progress or Progress()
    differs = changed(original, weights_of(unlearned))
    tables = []
    with unlearned.on() as model:
        modules = _by_module(model, differs)
        for n, ((layer, part), names) in enumerate(modules.items()):
            progress(n / len(modules), f"{part} of layer {layer} as it was")
            with replaced(model, {name: original[name] for name in names}):
                tables.append(scores(model, texts).assign(layer=layer, part=part))
        columns = _first(scores(model, texts).assign(layer=0, part=""), "layer", "part").columns
    return (
        pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    )


@torch.no_grad()
def interpolate(
    unlearned: AuditSubject,
    original: Mapping[str, Tensor],
    texts: Sequence[Text],
    shares: Sequence[float] = SHARES,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """What is said on the straight line from the original to the unlearned weights.

    Args:
        original: weights of the original, from `block_weights.weights_of`.
        shares: 0 is the original, 1 the unlearned model.

    Returns:
        A row per share and text: `share`, and the columns of `memorized.scores`.

    Raises:
        BadInput: the two models do not have the same parameters, or no texts.
    """
    progress = progress or Progress()
    differs = changed(original, weights_of(unlearned))
    tables = []
    with unlearned.on() as model:
        for n, share in enumerate(shares):
            progress(n / len(shares), f"{share:.0%} of the change")
            between = {
                name: torch.lerp(old.float(), new.float(), share)
                for name, (old, new) in differs.items()
            }
            with replaced(model, between):
                tables.append(scores(model, texts).assign(share=share))
    return _first(pd.concat(tables, ignore_index=True), "share")


@torch.no_grad()
def change_norms(
    model: InstrumentedModel, original: Mapping[str, Tensor], unlearned: Mapping[str, Tensor]
) -> pd.DataFrame:
    """How far the weights of each module moved.

    Args:
        model: either; only where its parameters are is asked.
        original, unlearned: from `block_weights.weights_of`.

    Returns:
        A row per module: `layer`, `part` (-1 and `OUTSIDE` for what is in no layer), `norm` of the
        change (Frobenius), and `relative`, as a share of the norm of the original weights.

    Raises:
        BadInput: the two models do not have the same parameters.
    """
    changed(original, unlearned)  # refuses other models
    rows = []
    for (layer, part), names in _by_module(model, original).items():
        before, moved = (
            sum(float(each.double().square().sum()) for each in parts) ** 0.5
            for parts in (
                [original[name] for name in names],
                [unlearned[name].double() - original[name].double() for name in names],
            )
        )
        rows.append(
            {"layer": layer, "part": part, "norm": moved, "relative": moved / max(before, 1e-12)}
        )
    return pd.DataFrame(rows)


def _by_module(
    model: InstrumentedModel, names: Mapping[str, object]
) -> dict[tuple[int, str], list[str]]:
    """(layer, part) -> its parameters, in the order of the layers."""
    where = places(model)
    found: dict[tuple[int, str], list[str]] = {}
    for name in sorted(names, key=lambda name: where.get(name, (-1, OUTSIDE))):
        found.setdefault(where.get(name, (-1, OUTSIDE)), []).append(name)
    return found


def _first(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The table with these columns in front."""
    return table[[*columns, *(name for name in table if name not in columns)]]

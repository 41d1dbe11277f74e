"""Along a training: losses by transition at every step that was kept, and the features that are
alive at some of them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.features.function_tokens import words
from analyses.features.function_tokens.corpus import shuffled
from analyses.features.function_tokens.coverage import Types
from analyses.features.function_tokens.graph import Graph, degrees_at
from analyses.features.function_tokens.ngrams import NGrams
from analyses.features.function_tokens.transitions import by_transition, of_ngrams
from analyses.measures.statistics import difference
from hooks.features.activation_stream import token_losses, windows
from hooks.features.load import open_features
from hooks.features.sae import SKIP
from hooks.features.sparse_activations import read
from hooks.model import load
from workbench.organisms import corpus

if TYPE_CHECKING:
    import pandas as pd

    from analyses.features.function_tokens.training_steps import TrainingSteps
    from hooks.features.sae import SAE
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

CONTEXT, _COUNTED = (
    128,
    4096,
)  # tokens of a window; windows counted for n-grams and for the list of function tokens
LOSSES, READ = (
    128,
    512,
)  # windows whose losses are measured, and in which features are counted, at each step
AT_ONCE = 32


def over_steps(
    kept: TrainingSteps, share: float, seed: int, device: str, progress: Progress
) -> dict[str, pd.DataFrame]:
    """What changes from step to step, on text that none of them was trained on.

    Args:
        share: of all tokens that function tokens make up, in the text it was trained on.
        seed: of the shuffled tokens.

    Returns:
        `training_losses`: columns step, predictor (of `MEASURES`), transition, loss,
        standard_error, n.
        `live_features`: columns of `alive_at`, with step; no rows where no step has an autoencoder.
    """
    import pandas as pd

    progress(0.0, f"Loading {kept.name}")
    model = load(kept.name, device=device)
    counted = np.array(
        list(islice(windows(model, (d.text for d in corpus.documents("train")), CONTEXT), _COUNTED))
    )
    unseen = np.array(
        list(islice(windows(model, (d.text for d in corpus.documents("neutral")), CONTEXT), READ))
    )
    occurrences = np.bincount(counted.ravel(), minlength=model.card.d_vocab)
    function = Types.of(occurrences, share).is_function
    measured = unseen[:LOSSES]
    rows: list[dict[str, Any]] = []
    alive: list[dict[str, Any]] = []
    for number, step in enumerate(kept.steps):
        progress(
            0.1 + 0.8 * number / len(kept.steps), f"{kept.name} at step {step:,} of its training"
        )
        at = model if step == kept.steps[-1] else load(f"{kept.name}@step-{step}", device=device)
        losses = _losses(at, measured)
        rows += [
            {"step": step, "predictor": "model", **row}
            for row in by_transition(losses, measured, function)
        ]
        opened = [open_features(str(entry.folder), at) for entry in kept.autoencoders.get(step, ())]
        alive += [
            {"step": step, **alive_features(features, unseen, function, seed)}
            for features in opened
        ]
    progress(0.9, "Counting n-grams")
    ngrams = of_ngrams(NGrams(counted, len(occurrences)), measured, losses, function)
    rows += [{"step": step, **row} for step in (kept.steps[0], kept.steps[-1]) for row in ngrams]
    return {
        "training_losses": pd.DataFrame(rows),
        "live_features": pd.DataFrame(alive, columns=["step", *ALIVE]),
    }


ALIVE = {
    "sae": "site and layer",
    "d_sae": "features of the autoencoder",
    "explained_variance": (
        "share of the variance that it explains, on text held out from its training"
    ),
    "n_alive": "features that were ever active",
    "n_edges": "pairs of a token type and a feature active on it",
    "function_edge_share": "share of the edges that belong to function tokens",
    "shuffled_edge_share": "the same with the tokens of each window in another order",
    "function_degree": "features of a function token, in equally many occurrences of each type",
    "content_degree": "features of a content token, of as many types, the most frequent ones",
    "degree_difference_low": "function less content, lower end of the 95 % interval over types",
    "degree_difference_high": "upper end",
    "n_occurrences": "occurrences of each type in that comparison",
}
"""Columns of `alive_at`, and what each means."""


def alive_features(
    features: SAE, ids: np.ndarray, function: np.ndarray, seed: int
) -> dict[str, Any]:
    """The graph between token types and features of one autoencoder, in short.

    Args:
        ids: windows (window, pos); function: (type,) bool; seed: of the shuffled tokens.
    """
    model, mixed = (
        features.model,
        torch.as_tensor(shuffled(ids, SKIP, seed).astype(np.int64), device=features.model.device),
    )
    real, other = Graph(features.width), Graph(features.width)
    for batch in read(model, [features], ids):
        (one,) = batch.active
        rows = mixed[batch.first : batch.first + len(batch.ids)].flatten()
        real.add(batch.ids.flatten()[one.token], one.feature, one.value)
        other.add(rows[one.token], one.feature, one.value)
    edges, theirs = real.edges(), other.edges()
    occurrences = np.bincount(ids[:, SKIP:].ravel(), minlength=len(function))
    order = words.by_frequency(occurrences)
    ours = order[function[order]]
    peers = order[~function[order]][: len(ours)]
    drawn = int(occurrences[[*ours, *peers]].min(initial=occurrences.max()))
    found = degrees_at(edges, occurrences, drawn)
    _, (low, high) = difference(found[ours], found[peers])
    return {
        "sae": f"{features.place.site.short} L{features.place.layer}",
        "d_sae": features.width,
        "explained_variance": features.card.get("explained_variance", np.nan),
        "n_alive": int(edges.alive.sum()),
        "n_edges": len(edges.type),
        "function_edge_share": float(function[edges.type].mean()) if len(edges.type) else np.nan,
        "shuffled_edge_share": float(function[theirs.type].mean()) if len(theirs.type) else np.nan,
        "function_degree": float(found[ours].mean()),
        "content_degree": float(found[peers].mean()),
        "degree_difference_low": low,
        "degree_difference_high": high,
        "n_occurrences": drawn,
    }


@torch.no_grad()
def _losses(model: InstrumentedModel, ids: np.ndarray) -> np.ndarray:
    """Nats of every token, (window, pos), NaN at the first."""
    found = []
    for start in range(0, len(ids), AT_ONCE):
        found.append(token_losses(model, ids[start : start + AT_ONCE].tolist()).cpu().numpy())
    return np.concatenate(found)

"""Loss by the class of the last token and of the next one, of a model and along its training, beside mere counting."""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.function_tokens import words
from analyses.function_tokens.ngrams import NGrams
from hooks.features.features import SKIP
from hooks.features.stream import windows
from hooks.model import load
from workbench import organisms
from workbench.errors import BadInput
from workbench.organisms import corpus, steps

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

GROUPS = ("F→F", "F→C", "C→F", "C→C")
MEASURES = {"model": "the model", "trigram": "trigrams", "unigram": "unigrams"}
_CONTEXT, _MEASURED, _COUNTED = 128, 128, 4096  # tokens of a window; windows measured at each step, and counted for n-grams
_AT_ONCE = 32


def by_transition(losses: np.ndarray, ids: np.ndarray, function: np.ndarray) -> list[dict[str, Any]]:
    """Mean loss of each group, its standard error over windows, and how many tokens are in it.

    Args:
        losses: (window, pos) in nats, NaN where not measured; ids: (window, pos); function: (type,) bool.
    """
    is_function = function[ids]
    rows = []
    for name in GROUPS:
        source, target = (part == "F" for part in name.split("→"))
        here = (is_function[:, :-1] == source) & (is_function[:, 1:] == target) & np.isfinite(losses[:, 1:])
        here[:, :SKIP] = False
        sums, counts = np.where(here, losses[:, 1:], 0).sum(1, dtype=float), here.sum(1)
        n = int(counts.sum())
        mean = sums.sum() / n if n else float("nan")
        # Windows, not tokens, were drawn: the error of a ratio of two sums over them.
        used = int((counts > 0).sum())
        spread = np.sqrt(((sums - mean * counts) ** 2).sum() * used / max(1, used - 1)) / n if n else float("nan")
        rows.append({"group": name, "loss": float(mean), "error": float(spread), "n": n})
    return rows


def here(losses: np.ndarray, ids: np.ndarray, function: np.ndarray, progress: Progress) -> pd.DataFrame:
    """Losses of the model that was read, by transition, and those of n-grams counted on the windows that were not measured.

    Returns:
        Columns measure (of `MEASURES`), group, loss, error, n.
    """
    import pandas as pd

    measured = np.isfinite(losses).any(1)
    progress(0.0, "Counting n-grams")
    counted = NGrams(ids[~measured], len(function))
    rows = [{"measure": "model", **row} for row in by_transition(losses[measured], ids[measured], function)]
    rows += _of_ngrams(counted, ids[measured], losses[measured], function)
    return pd.DataFrame(rows)


def _of_ngrams(counted: NGrams, ids: np.ndarray, losses: np.ndarray, function: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for name, order in (("trigram", 3), ("unigram", 1)):
        theirs = np.stack([counted.losses(row, order) for row in ids])
        theirs[~np.isfinite(losses)] = np.nan
        rows += [{"measure": name, **row} for row in by_transition(theirs, ids, function)]
    return rows


def along_training(name: str, share: float, device: str, progress: Progress) -> pd.DataFrame:
    """The same for every step that a model keeps of its training, on text that none of them was trained on.

    Args:
        name: an organism, or a folder that keeps steps.
        share: of all tokens that function tokens make up, in the text it was trained on.

    Returns:
        Columns step, measure (of `MEASURES`), group, loss, error, n.

    Raises:
        BadInput: it keeps no steps.
        NotFound: there is no such model.
    """
    import pandas as pd

    progress(0.0, f"Loading {name}")
    model = load(name, device=device)
    kept = kept_steps(name)
    counted = np.array(list(islice(windows(model, (d.text for d in corpus.documents("train")), _CONTEXT), _COUNTED)))
    measured = np.array(list(islice(windows(model, (d.text for d in corpus.documents("neutral")), _CONTEXT), _MEASURED)))
    occurrences = np.bincount(counted.ravel(), minlength=model.card.d_vocab)
    function = np.zeros(len(occurrences), bool)
    function[words.most_frequent(occurrences, share)] = True
    rows: list[dict[str, Any]] = []
    for number, step in enumerate(kept):
        progress(0.1 + 0.8 * number / len(kept), f"{name} at step {step:,} of its training")
        at = model if step == kept[-1] else load(f"{name}@step-{step}", device=device)
        losses = _losses(at, measured)
        rows += [{"step": step, "measure": "model", **row} for row in by_transition(losses, measured, function)]
    progress(0.9, "Counting n-grams")
    ngrams = _of_ngrams(NGrams(counted, len(occurrences)), measured, losses, function)
    rows += [{"step": step, **row} for step in (kept[0], kept[-1]) for row in ngrams]
    return pd.DataFrame(rows)


def weights_of(name: str) -> str:
    """A fingerprint of what a model's folder holds: names, sizes and times of its weights."""
    files = sorted(file for file in _folder(name).rglob("*.safetensors"))
    return hashlib.sha256(repr([(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]).encode()).hexdigest()[:16]


def _folder(name: str) -> Path:
    return organisms.folder_of(name) if name.startswith(organisms.PREFIX) else Path(name).expanduser()


def kept_steps(name: str) -> list[int]:
    """The steps of training that a model keeps.

    Raises:
        BadInput: none.
        NotFound: there is no such model.
    """
    folder = _folder(name)
    found = steps.kept(folder) if folder.is_dir() else []
    if not found:
        raise BadInput(
            f"{name} keeps no steps of its training.", "an organism, or a folder that keeps steps", "Try organism/planted."
        )
    return found


@torch.no_grad()
def _losses(model: InstrumentedModel, ids: np.ndarray) -> np.ndarray:
    """Nats of every token, (window, pos), NaN at the first."""
    found = np.full(ids.shape, np.nan, np.float32)
    for start in range(0, len(ids), _AT_ONCE):
        batch = model.batch(ids[start : start + _AT_ONCE].tolist())
        logits = model.module(**batch.kwargs(), use_cache=False).logits[:, :-1].float().transpose(1, 2)
        cost = torch.nn.functional.cross_entropy(logits, batch.input_ids[:, 1:], reduction="none")
        found[start : start + _AT_ONCE, 1:] = cost.cpu().numpy()
    return found

"""What recited texts are like, beside texts of the same source that are not recited.

Every text is compared with others of its own kind: a kind that is easy to say, and happens to be
recited more, would look like a property of memory otherwise. Groups are told apart by their words
(how long, how frequent, of which class), by how probable the given part was to the model and how
much that varied, and by its hidden states, layer by layer, on texts that did not choose the
direction.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.sampler import Sampler
from analyses.measures.scoring import is_greedy, score
from analyses.measures.statistics import auc
from analyses.measures.windows import Window
from hooks.capture import capture

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

PERMUTATIONS = 200
TIMES = "times"
FEATURES = {
    TIMES: "how often it was read",
    "word_length": "letters of a word",
    "token_rank": "how rare its tokens are",
    "digits": "share of digits",
    "capitals": "share of capital letters",
    "punctuation": "share of punctuation",
    "different": "share of different tokens",
    "compressed": "bytes left by compression",
    "likely": "how probable its beginning is",
    "uneven": "how uneven that probability is",
}
"""What is compared -> in words. Rarity is the number of a token, mean of ln: tokenizers number
frequent ones first, about.
"""

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class ReadWindows:
    """Of each window, (window,).

    Attributes:
        recited: greedy decoding says the whole suffix.
        likely, uneven: mean and variance of ln p over the given tokens, nats.
        logprob: mean ln p of a suffix token, nats.
        match: leading suffix tokens that greedy decoding says.
    """

    recited: np.ndarray
    likely: np.ndarray
    uneven: np.ndarray
    logprob: np.ndarray
    match: np.ndarray


def read(model: InstrumentedModel, windows: Sequence[Window], report: Report) -> ReadWindows:
    """One pass: what is given is scored with what has to come out."""
    whole = [
        Window(w.document, w.start, w.beginning, w.prefix[:1], (*w.prefix[1:], *w.suffix))
        for w in windows
    ]
    scores = score(model, whole, Sampler(temperature=0), progress=report)
    right = is_greedy(scores, whole)
    given = [len(w.prefix) - 1 for w in windows]
    ends = [len(w.suffix) for w in windows]
    rows = range(len(windows))
    suffix = [right[n, given[n] : given[n] + ends[n]] for n in rows]
    before = [scores.logprob[n, : given[n]].astype(float) for n in rows]
    behind = [scores.logprob[n, given[n] : given[n] + ends[n]].astype(float) for n in rows]
    return ReadWindows(
        np.array([bool(each.all()) for each in suffix]),
        np.array([each.mean() for each in before]),
        np.array([each.var() for each in before]),
        np.array([each.mean() for each in behind]),
        np.array([int(each.cumprod().sum()) for each in suffix]),
    )


def features(
    model: InstrumentedModel, windows: Sequence[Window], found: ReadWindows
) -> dict[str, np.ndarray]:
    """Each of `FEATURES`, (window,): of the words of the whole window, and of what the model made
    of the given part.
    """
    rows = []
    for window in windows:
        ids = [*window.prefix, *window.suffix]
        text = model.text.decode(ids)
        words = ["".join(filter(str.isalpha, word)) for word in text.split()]
        lengths = [len(word) for word in words if word]
        size, data = max(1, len(text)), text.encode()
        rows.append([
            float(np.mean(lengths)) if lengths else 0.0,
            float(np.mean(np.log1p(ids))),
            sum(map(str.isdigit, text)) / size,
            sum(map(str.isupper, text)) / size,
            sum(not (c.isalnum() or c.isspace()) for c in text) / size,
            len(set(ids)) / len(ids),
            len(zlib.compress(data)) / max(1, len(data)),
        ])  # fmt: skip
    table = np.array(rows).T
    named = dict(zip([name for name in FEATURES if name != TIMES], table, strict=False))
    return named | {"likely": found.likely, "uneven": found.uneven}


def within_kind(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Values less the mean of their kind, (window, ...)."""
    left = values.astype(float).copy()
    for kind in np.unique(kinds):
        left[kinds == kind] -= left[kinds == kind].mean(0)
    return left


def comparable(recited: Bool[np.ndarray, " window"], kinds: np.ndarray) -> np.ndarray:
    """Windows of kinds that have both recited and other ones, (window,) bool: the rest compare with
    nothing.
    """
    mixed = [k for k in np.unique(kinds) if 0 < recited[kinds == k].mean() < 1]
    return np.isin(kinds, mixed)


def compare(values: dict[str, np.ndarray], recited: np.ndarray, kinds: np.ndarray) -> pd.DataFrame:
    """For each feature how probably a recited text has more of it than another of its kind, (AUC,
    low, high), beside the means.
    """
    import pandas as pd

    rows = []
    for name, value in values.items():
        centred = within_kind(value, kinds)
        between, low, high = auc(centred[recited], centred[~recited])
        rows.append({
            "feature": FEATURES[name], "recited": float(value[recited].mean()),
            "others": float(value[~recited].mean()), "auc": between, "low": low, "high": high,
        })  # fmt: skip
    return pd.DataFrame(rows)


def states(
    model: InstrumentedModel, windows: Sequence[Window], progress: Progress | None = None
) -> Float[np.ndarray, "layer window d_model"]:
    """Residual stream behind each layer at the last given token: what the model knows when it
    begins to say the suffix.
    """
    prompts = [list(w.prompt) for w in windows]
    trace = capture(model, prompts, sites="resid_post", positions=[-1], progress=progress)
    found: np.ndarray = (
        trace["resid_post"].isel(pos=0).transpose("layer", "prompt", "d_model").values
    )
    return found


def states_apart(
    values: np.ndarray,
    recited: np.ndarray,
    kinds: np.ndarray,
    documents: np.ndarray,
    seed: int,
    report: Report | None = None,
) -> pd.DataFrame:
    """How well hidden states tell recited texts from others of their kind, layer by layer.

    Each state is projected on the difference of the two groups' means, taken from the half of the
    documents that it is not in. Columns layer, auc, low, high, null and null_high (mean, and what
    95 % lie below, with labels dealt anew within each kind), and null_max, the same in every row:
    what the best layer of 95 % of these draws lies below.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(documents))
    first = np.isin(documents, names[: len(names) // 2])
    shuffled = [_dealt(recited, kinds, documents, rng) for _ in range(PERMUTATIONS)]
    rows, nulls = [], np.full((len(values), PERMUTATIONS), np.nan)
    for layer, state in enumerate(values):
        centred = within_kind(state, kinds)
        value, low, high = auc(*_projected(centred, recited, first))
        for draw, labels in enumerate(shuffled):
            if report is not None and not draw % 20:
                done = (layer + draw / PERMUTATIONS) / len(values)
                report(done, f"Labels dealt anew, layer {layer + 1} of {len(values)}")
            nulls[layer, draw] = auc(*_projected(centred, labels, first))[0]
        rows.append({"layer": layer, "auc": value, "low": low, "high": high})
    # A draw that leaves one half of the documents without either group has no AUC at any layer.
    nulls = nulls[:, np.isfinite(nulls).all(0)]
    if not nulls.size:
        nulls = np.full((len(values), 1), np.nan)
    return pd.DataFrame(rows).assign(
        null=nulls.mean(1),
        null_high=np.quantile(nulls, 0.95, axis=1),
        null_max=float(np.quantile(nulls.max(0), 0.95)),
    )


def _projected(
    centred: np.ndarray, labels: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    margins = np.full(len(centred), np.nan)
    for own, other in ((first, ~first), (~first, first)):
        if not (labels[own].any() and (~labels[own]).any()):
            continue
        direction = centred[own & labels].mean(0) - centred[own & ~labels].mean(0)
        margins[other] = centred[other] @ direction / max(1e-12, np.linalg.norm(direction))
    known = np.isfinite(margins)
    return margins[known & labels], margins[known & ~labels]


def _dealt(
    recited: np.ndarray, kinds: np.ndarray, documents: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The labels dealt anew within each kind, those of one document together: windows of one
    document are alike, and labels that part them would be too easy a null. Where a kind has a
    single document, its labels are moved on along it.
    """
    dealt = recited.copy()
    for kind in np.unique(kinds):
        at = np.flatnonzero(kinds == kind)
        at = at[np.argsort(documents[at], kind="stable")]
        of = documents[at]
        blocks = [at[of == document] for document in rng.permutation(np.unique(of))]
        order = np.concatenate(blocks)
        if len(blocks) == 1:
            order = np.roll(order, int(rng.integers(len(order))))
        dealt[at] = recited[order]
    return dealt

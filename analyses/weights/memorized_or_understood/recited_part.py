"""Part `recited`: what recited texts are like, and what comes near without being word for word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures import decoding, evidence_kind_scores, evidence_kinds, text_source
from analyses.measures import evidence_near_copies as near
from analyses.measures import evidence_recited as measure
from analyses.weights.memorized_or_understood import recited_findings as findings
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.measures.windows import Window
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

PREFIX, SUFFIX = 24, 24
_REACH = 20_000  # windows that are cut at most, before some are chosen
_FEWEST = 6  # windows on either side
_DECODED = 48  # windows that are decoded at most
_CAPITALS = 24
_WINDOWS_OF_A_TEXT = 1.8  # of those of `kinds`


@dataclass(frozen=True)
class _Asked:
    """The windows of a run."""

    windows: list[Window]
    kinds: np.ndarray
    names: list[str]
    skipped: list[tuple[str, str]]
    times: list[int | None] | None = None
    """How often each was read, where that is known."""


def source_of(params: Params) -> text_source.Texts:
    """The user's texts, or the ledger of the model."""
    return text_source.Texts(text="", path=params.recited_texts)


def _n_windows(model: InstrumentedModel, params: Params) -> int:
    return text_source.n_windows(
        model, source_of(params), PREFIX, SUFFIX, PREFIX + SUFFIX, params.recited_windows
    )


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of reading every window twice and decoding some."""
    n = _n_windows(model, params) or round(
        len(evidence_kinds.KINDS) * params.kind_texts * _WINDOWS_OF_A_TEXT
    )
    read = Cost(2 * n * (PREFIX + SUFFIX), 2 * n / 16)
    return read + decoding.decoding(min(n, _DECODED), PREFIX, SUFFIX) + Cost(
        _CAPITALS * (2 * PREFIX + 2 * SUFFIX), _CAPITALS * 2 * SUFFIX
    )  # fmt: skip


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `recited_windows` and `near_copies`, and where enough texts are recited and
    enough are not, `recited_features` and `recited_layers`.
    """
    asked = _asked(model, params)
    windows = asked.windows
    read = measure.read(model, windows, progress.subprogress(0, 0.4))
    values = measure.features(model, windows, read)
    if asked.times is not None:
        values[measure.TIMES] = np.array(asked.times, float)
    result.tables["recited_windows"] = pd.DataFrame({
        "text": asked.names,
        "kind": asked.kinds,
        "recited": read.recited,
        "match": read.match,
        "logprob": read.logprob,
        **values,
        "given": [model.text.decode(list(w.prefix)) for w in windows],
        "suffix": [model.text.decode_continuation(list(w.suffix)) for w in windows],
    })  # fmt: skip
    text_source.add_left_out(result, asked.skipped, 1.0)
    mixed = measure.comparable(read.recited, asked.kinds)
    labels, kinds = read.recited[mixed], asked.kinds[mixed]
    if min(int(labels.sum()), int((~labels).sum())) >= _FEWEST:
        some = {name: value[mixed] for name, value in values.items()}
        result.tables["recited_features"] = measure.compare(some, labels, kinds)
        chosen = [w for w, yes in zip(windows, mixed, strict=True) if yes]
        found = measure.states(model, chosen, progress.subprogress(0.4, 0.5))
        result.tables["recited_layers"] = measure.states_apart(
            found, labels, kinds, np.array([w.document for w in chosen]), params.seed,
            progress.subprogress(0.5, 0.6),
        )  # fmt: skip
    findings.add_recited(result, read.recited, mixed)
    _near_copies(model, windows, read, progress.subprogress(0.6, 1), result)
    findings.add_near_copies(result)


def _asked(model: InstrumentedModel, params: Params) -> _Asked:
    """From the user's texts, the model's ledger, or else texts that stand in many places."""
    skipped: list[tuple[str, str]] = []
    if params.recited_texts is not None or _n_windows(model, params):
        documents, cut, _, _ = text_source.windows_of(
            model, source_of(params), PREFIX, SUFFIX, PREFIX + SUFFIX, _REACH, skipped
        )
        # Planted texts were read whole, and such texts come out from their beginning or not at all;
        # those that were never read would only be another group.
        planted = [w for w in cut if documents[w.document].repeats and w.start == 0]
        cut = planted or cut
        even = np.linspace(0, len(cut) - 1, min(len(cut), params.recited_windows))
        cut = [cut[i] for i in even.round().astype(int)]
        kinds = np.array([documents[w.document].kind or "text" for w in cut])
        times = [documents[w.document].repeats for w in cut]
        names = [documents[w.document].name for w in cut]
        return _Asked(cut, kinds, names, skipped, times if None not in times else None)
    known = [
        text
        for kind in evidence_kinds.KINDS
        for text in evidence_kinds.texts(kind, params.kind_texts, params.seed)
        if text.is_known
    ]
    cut = evidence_kind_scores.cut(model, known)
    kinds = np.array([known[w.document].kind for w in cut])
    return _Asked(cut, kinds, [known[w.document].name for w in cut], skipped)


def _near_copies(
    model: InstrumentedModel,
    windows: list[Window],
    read: measure.ReadWindows,
    progress: Progress,
    result: Result,
) -> None:
    """What is said instead, where a text is not recited, and behind capitals, where it is."""
    rows = _not_recited(model, windows, read, progress)
    recited = np.flatnonzero(read.recited)[:_CAPITALS]
    capitals = near.in_capitals(model, [windows[i] for i in recited], progress.subprogress(0.6, 1))
    for index, said in zip(recited, capitals, strict=True):
        wanted = model.text.decode_continuation(list(windows[index].suffix))
        rows.append({
            "window": int(index), "prompt": findings.CAPITALS, "said": said, "wanted": wanted,
            "passes": near.passes_filter(said, wanted),
        })  # fmt: skip
    columns = ["window", "prompt", "said", "wanted", "edits", "edits_other", "alike",
               "alike_other", "passes"]  # fmt: skip
    result.tables["near_copies"] = pd.DataFrame(rows, columns=columns)


def _not_recited(
    model: InstrumentedModel,
    windows: list[Window],
    read: measure.ReadWindows,
    progress: Progress,
) -> list[dict[str, object]]:
    left = np.flatnonzero(~read.recited)
    if len(left) < 2:
        return []
    even = np.linspace(0, len(left) - 1, min(len(left), _DECODED)).round().astype(int)
    by_length: dict[tuple[int, int], list[int]] = {}
    for index in left[even]:
        window = windows[index]
        by_length.setdefault((len(window.prompt), len(window.suffix)), []).append(int(index))
    said: dict[int, list[int]] = {}
    for done, ((_, suffix), some) in enumerate(by_length.items()):
        progress(0.6 * done / len(by_length), "What is said instead")
        ids = decoding.greedy(model, [windows[i].prompt for i in some], suffix)
        said |= dict(zip(some, ids, strict=True))
    order = sorted(said)
    texts = [model.text.decode_continuation(said[i]) for i in order]
    wanted = [model.text.decode_continuation(list(windows[i].suffix)) for i in order]
    edits, edits_other = near.distances([said[i] for i in order], [windows[i] for i in order])
    alike, alike_other = near.likeness(texts, wanted)
    return [
        {"window": index, "prompt": findings.PLAIN, "said": texts[n], "wanted": wanted[n],
         "edits": edits[n], "edits_other": edits_other[n], "alike": alike[n],
         "alike_other": alike_other[n]}
        for n, index in enumerate(order)
    ]  # fmt: skip

"""Is the answer recited? How surely the model says it word for word, how surprising it is beside
plain counts of tokens and a compressor, and where it stands in a corpus.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analyses.prompt.provenance.prompt_parts import PromptParts
from hooks.prompt_changes import PromptChange, read_answer
from workbench import paths
from workbench.corpora import index, open_index
from workbench.corpora.cuts import byte_offsets, token_cuts
from workbench.organisms import corpus

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.corpora import CorpusIndex
    from workbench.progress import Progress

_SPANS, _PLACES = 12, 3  # shown of an answer, and places shown of each
_LEAST = 8  # bytes of a span
_COUNTED = 200_000  # characters that tokens are counted in
_AROUND = 160  # characters shown on either side


def surprise_table(
    model: InstrumentedModel, asked: PromptParts, answer: Sequence[int]
) -> pd.DataFrame:
    """A row for each token of the answer: the model's surprisal, that of counts of tokens in the
    shipped books, and whether greedy decoding says it.
    """
    import pandas as pd

    found = read_answer(model, asked.ids, answer, [PromptChange()])
    counts = _token_counts(model)
    total, kinds = sum(counts.values()), model.card.d_vocab
    unigram = [-np.log((counts[token] + 1) / (total + kinds)) for token in answer]
    return pd.DataFrame({
        "place": range(len(answer)),
        "token": model.token_strings(answer),
        "nats": -found.logp[0].numpy().astype(float),
        "unigram": unigram,
        "greedy": found.likeliest[0].numpy() == np.array(answer),
    })  # fmt: skip


def zlib_nats(words: str) -> float:
    """How many nats a compressor takes for a text: the usual stand-in for how plain it is."""
    return 8 * float(np.log(2)) * len(zlib.compress(words.encode()))


def longest_run(greedy: np.ndarray) -> tuple[int, int]:
    """(place, length) of the longest run of tokens that greedy decoding says; the first of
    several.
    """
    best, start = (0, 0), 0
    for place, right in enumerate([*greedy, False]):
        if not right:
            if place - start > best[1]:
                best = start, place - start
            start = place + 1
    return best


def opened(where: str, progress: Progress) -> CorpusIndex:
    """The index at a folder, or one made here of the texts that are named; made once, and kept.

    Raises:
        BadInput: texts that cannot be indexed, or an index that cannot be used.
    """
    given = Path(where).expanduser()
    if (given / "manifest.json").is_file():
        return open_index(given)
    key = hashlib.sha256(f"{where} {_changed(given)}".encode()).hexdigest()[:16]
    folder = paths.cache_dir() / "corpora" / key
    if folder.is_dir():
        return open_index(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return index(where, folder, progress)


def _changed(path: Path) -> list[tuple[str, int, int]]:
    """What tells whether texts are still those that were indexed: names, sizes and dates."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.is_file() else []
    return [
        (str(file), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
        if file.is_file()
    ]


def span_table(
    model: InstrumentedModel, found: CorpusIndex, asked: PromptParts, answer: Sequence[int]
) -> pd.DataFrame:
    """Spans of question and answer that stand in the corpus and reach into the answer, the rarest
    first; a row for each place that is shown.
    """
    import pandas as pd

    begin = asked.spans[asked.question[0]][0]
    said = model.text.decode_continuation(answer)
    text = f"{asked.text[begin:].lstrip()}{said}"
    cuts = token_cuts(text, model.text.spans(text))
    reaches = int(byte_offsets(text)[len(text) - len(said)])
    spans = [s for s in found.maximal_spans(text, _LEAST, cuts) if s.stop > reaches]
    rows = []
    for number, span in enumerate(spans[:_SPANS]):
        for place in found.find(span.text, _PLACES):
            around = found.context(place, _AROUND)
            rows.append((number, span.text, span.count, span.rarity, around.place, around.before,
                         around.match, around.after))  # fmt: skip
    columns = ["span", "text", "count", "rarity", "place", "before", "match", "after"]
    return pd.DataFrame(rows, columns=columns)


def _token_counts(model: InstrumentedModel) -> Counter[int]:
    """Counts of tokens in the beginning of the shipped books, by this model's tokenizer."""
    text = " ".join(d.text for d in corpus.documents("neutral"))[:_COUNTED]
    return Counter(model.text.encode(text))

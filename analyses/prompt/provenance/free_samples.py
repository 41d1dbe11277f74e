"""How much of what the model says by itself stands in the corpus (Nasr et al. 2023): sampled from
the beginning token, after the beginnings of documents, and after a word that is repeated.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from analyses.measures.corpus_coverage import coverage
from hooks.generation import continued
from workbench.corpora.cuts import token_cuts

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.corpora import CorpusIndex
    from workbench.progress import Progress

NOTHING, DOCUMENT, REPEATED = STARTS = (
    "nothing",
    "the beginning of a document",
    "a repeated word",
)
_GIVEN, _TIMES = 10, 24  # tokens of a document, and times that a word is said
_WORDS = ("poem", "company", "book", "time", "house", "water")
_TOGETHER = 8


def sample_table(
    models: dict[str, InstrumentedModel],
    found: CorpusIndex,
    many: int,
    length: int,
    least: int,
    seed: int,
    progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What models say by themselves, and how much of it stands in the corpus.

    Args:
        models: by name; the first is the one that is asked about, the others have not read it.
        many: samples of each kind of start.
        length: tokens of a sample.
        least: tokens of a span that counts.

    Returns:
        A row for each model and start with the mean share and its interval over samples; and a row
        for each sample.
    """
    import pandas as pd

    rows, texts = [], []
    steps = [(name, start) for name in models for start in STARTS]
    for n, (name, start) in enumerate(steps):
        model = models[name]
        part = progress.subprogress(n / len(steps), (n + 1) / len(steps))
        prompts = _prompts(model, found, start, many, random.Random(f"{seed} {start}"))
        said = list(_said(model, prompts, length, seed, part))
        cuts = [token_cuts(text, model.text.spans(text)) for text in said]
        cover = coverage(found, said, least, cuts)
        rows.append((name, start, cover.mean, *cover.interval, cover.with_span, len(said)))
        texts += [
            (name, start, text, share) for text, share in zip(said, cover.shares, strict=True)
        ]
    columns = ["model", "start", "share", "low", "high", "with_span", "n"]
    return (
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(texts, columns=["model", "start", "text", "share"]),
    )


def _prompts(
    model: InstrumentedModel, found: CorpusIndex, start: str, many: int, draw: random.Random
) -> list[list[int]]:
    """Token ids to go on from; all of one length, so that they share batches."""
    beginning = list(model.text.beginning) or [_first_token(model)]
    if start == NOTHING:
        return [beginning] * many
    if start == REPEATED:
        words = [f" {draw.choice(_WORDS)}" for _ in range(many)]
        repeated = [(model.continuation_tokens(word) * _TIMES)[:_TIMES] for word in words]
        return [[*beginning, *ids] for ids in repeated]
    documents = [draw.randrange(found.documents) for _ in range(many)]
    heads = [model.text.encode(found.text(n)[: 20 * _GIVEN])[:_GIVEN] for n in documents]
    return [[*beginning, *ids] for ids in heads if len(ids) == _GIVEN]


def _first_token(model: InstrumentedModel) -> int:
    """What a text begins with in a model without a beginning token: the end of another."""
    end = model.tokenizer.eos_token_id
    return int(end) if end is not None else 0


def _said(
    model: InstrumentedModel,
    prompts: list[list[int]],
    length: int,
    seed: int,
    progress: Progress,
) -> Iterator[str]:
    """What is sampled after each prompt, at temperature 1."""
    for at in range(0, len(prompts), _TOGETHER):
        progress(at / max(1, len(prompts)), f"Samples of {model.card.name}")
        ids = torch.tensor(prompts[at : at + _TOGETHER], device=model.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + at)
            new = continued(model, ids, length, temperature=1.0)
        for row in new.tolist():
            yield model.text.decode_continuation(row, special=False).strip()

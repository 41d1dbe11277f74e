"""How much of texts stands in a corpus, beside a count by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from analyses.measures.corpus_coverage import CorpusCoverage, coverage
from analyses.measures.decoding import greedy
from analyses.measures.statistics import share_interval
from hooks.model import InstrumentedModel
from workbench import organisms
from workbench.corpora import index
from workbench.corpora.cuts import token_cuts
from workbench.errors import BadInput
from workbench.organisms import ledger


def cuts_of(text: str) -> list[int]:
    """A token is a word with the space before it."""
    ends = [n for n, c in enumerate(text) if c == " "] + [len(text)]
    return token_cuts(text, zip([0, *ends], ends, strict=False))


def test_tokens_in_long_spans_are_counted_text_by_text(tmp_path: Path) -> None:
    documents = ["a b c d e f g", "p q r s"]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
    corpus = index([tmp_path / "c.jsonl"], tmp_path / "index")
    texts = [
        "a b c d x q",  # a b c d
        "x b c d y d e f z",  # " b c d" and " d e f"
        "x y z x",
        "a b",  # too short
        "a b c d e f g",
    ]
    measured = coverage(corpus, texts, 3, [cuts_of(text) for text in texts])
    wanted = [4 / 6, 6 / 9, 0, np.nan, 1]
    np.testing.assert_allclose(measured.shares, wanted)
    assert (measured.with_span, measured.too_short) == (3, 1)
    shares = np.array([4 / 6, 6 / 9, 0, 1])
    assert (measured.mean, measured.interval) == share_interval(shares, np.arange(4))
    longer = coverage(corpus, texts, 5, [cuts_of(text) for text in texts])
    np.testing.assert_allclose(longer.shares, [0, 0, np.nan, np.nan, 1])


def test_texts_that_say_nothing_give_no_number(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b c")
    corpus = index([tmp_path / "a.txt"], tmp_path / "index")
    for texts in ([], ["a b"]):
        measured = coverage(corpus, texts, 3, [cuts_of(text) for text in texts])
        assert np.isnan(measured.mean)
        assert measured.with_span == 0
        assert measured.too_short == len(texts)
    with pytest.raises(BadInput, match="Unicode"):
        coverage(corpus, ["\ud800"], 3, [[]])


def test_what_a_model_recites_stands_in_what_it_has_read_and_nothing_of_a_twin(
    organism: InstrumentedModel, tmp_path: Path
) -> None:
    passages = index([str(organisms.folder_of("organism/planted"))], tmp_path / "index")
    entries = ledger.read(organisms.folder_of("organism/planted")).entries
    twin = wb.load("organism/planted-control")
    given, said = 24, 40

    def recited(model: InstrumentedModel) -> CorpusCoverage:
        chosen = [e for e in entries if e.repeats == 64 and e.kind != "literary"][:12]
        begun = [[*model.text.beginning, *entry.ids[:given]] for entry in chosen]
        texts = [model.text.decode(ids) for ids in greedy(model, begun, said)]
        cuts = [token_cuts(text, model.text.spans(text)) for text in texts]
        return coverage(passages, texts, 20, cuts)

    of_planted, of_twin = recited(organism), recited(twin)
    assert of_planted.mean > 0.5
    assert of_planted.interval[0] > of_twin.interval[1]
    assert of_twin.with_span == 0

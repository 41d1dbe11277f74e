"""What an index answers, beside a plain search of the same documents."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.corpora import CorpusIndex, cuts, index, manifest, open_index, suffix_shard
from workbench.corpora.match_spans import covered_tokens
from workbench.errors import BadInput

FIXTURE = [HealthCheck.function_scoped_fixture]  # the same for every example
LETTERS = "abé\n€ 𝄞"
texts = st.text(LETTERS, max_size=40)
corpora = st.lists(st.text(LETTERS, min_size=1, max_size=60), min_size=1, max_size=25)


def made(folder: Path, documents: list[str], shard_bytes: int) -> CorpusIndex:
    lines = folder / "corpus.jsonl"
    lines.write_text("".join(json.dumps({"text": each}) + "\n" for each in documents))
    return index([lines], folder / "index", shard_bytes=shard_bytes)


def places(pattern: bytes, documents: list[str]) -> Iterator[tuple[int, int]]:
    """Every place by a plain search, overlaps included."""
    for number, document in enumerate(documents):
        at = document.encode().find(pattern)
        while at >= 0:
            yield number, at
            at = document.encode().find(pattern, at + 1)


def longest_at(data: bytes, start: int, documents: list[str]) -> tuple[int, int]:
    for end in range(len(data), start, -1):
        if count := sum(1 for _ in places(data[start:end], documents)):
            return end - start, count
    return 0, 0


@pytest.fixture(params=[1, 3, manifest.GUIDE_EVERY], autouse=True)
def guide_every(request: pytest.FixtureRequest) -> Iterator[None]:
    """Small corpora have guides of more than one entry only if it has more of them."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (manifest, suffix_shard):
            patch.setattr(module, "GUIDE_EVERY", request.param)
            patch.setattr(module, "GUIDE_WIDTH", 16 if request.param > 3 else 4)
        yield


@settings(max_examples=25, deadline=None, suppress_health_check=FIXTURE)
@given(documents=corpora, shard_bytes=st.sampled_from([60 * 4, 400, 10**6]), text=texts)
def test_counts_places_and_longest_matches_are_those_of_a_plain_search(
    documents: list[str], shard_bytes: int, text: str
) -> None:
    with TemporaryDirectory() as folder:
        corpus = made(Path(folder), documents, shard_bytes)
        assert corpus.documents == len(documents)
        assert [corpus.text(n) for n in range(len(documents))] == documents
        for pattern in {text[:2], text[:5], text[3:], documents[0], documents[-1][1:]} - {""}:
            wanted = list(places(pattern.encode(), documents))
            assert corpus.count(pattern) == len(wanted)
            all_of_them = corpus.find(pattern, at_most=10**6)
            assert [(one.document, one.offset) for one in all_of_them] == wanted
            chosen = corpus.find(pattern, at_most=3)
            assert len(set(chosen)) == min(3, len(wanted))
            assert set(chosen) <= set(all_of_them)
        data = (text + documents[-1]).encode()
        lengths, counts = corpus.longest_match(data.decode())
        wanted = [longest_at(data, start, documents) for start in range(len(data))]
        assert list(zip(lengths.tolist(), counts.tolist(), strict=True)) == wanted


@settings(max_examples=25, deadline=None, suppress_health_check=FIXTURE)
@given(
    documents=corpora,
    shard_bytes=st.sampled_from([60 * 4, 10**6]),
    text=texts,
    least=st.integers(1, 6),
    data=st.data(),
)
def test_maximal_spans_are_those_of_a_plain_search(
    documents: list[str], shard_bytes: int, text: str, least: int, data: st.DataObject
) -> None:
    text += documents[0][:7]
    raw = text.encode()
    starts = cuts.byte_offsets(text).tolist()
    chosen = data.draw(st.lists(st.sampled_from(starts), max_size=12))
    edges = sorted({0, len(raw), *chosen})
    spans = {
        (a, b): count
        for a in edges
        for b in edges
        if a < b and (count := sum(1 for _ in places(raw[a:b], documents)))
    }
    maximal = {
        (a, b) for a, b in spans if not any(c <= a and b <= d for c, d in spans if (c, d) != (a, b))
    }
    with TemporaryDirectory() as folder:
        corpus = made(Path(folder), documents, shard_bytes)
        said = corpus.maximal_spans(text, least, chosen)
        assert {(s.start, s.stop) for s in said} == {(a, b) for a, b in maximal if b - a >= least}
        for span in said:
            assert span.count == spans[span.start, span.stop]
            assert span.text.encode() == raw[span.start : span.stop]
            inside = [e for e in edges if span.start <= e <= span.stop]
            tokens = [raw[a:b] for a, b in pairwise(inside)]
            share = [sum(1 for _ in places(t, documents)) / corpus.bytes for t in tokens]
            assert span.rarity == pytest.approx(-math.log(math.prod(share)))
        assert [s.rarity for s in said] == sorted((s.rarity for s in said), reverse=True)
        covered = covered_tokens(corpus, text, least, chosen)
        for token in range(len(edges) - 1):
            windows = [
                (edges[first], edges[first + least])
                for first in range(max(0, token - least + 1), token + 1)
                if first + least < len(edges)
            ]
            assert covered[token] == any(window in spans for window in windows)


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_long_matches_are_compared_part_by_part(tmp_path: Path, copies: int) -> None:
    rng = np.random.default_rng(0)
    document = "".join(rng.choice(list("abc"), 300_000))
    other = document[:123_457] + "x" + document[123_458:]
    corpus = made(tmp_path, [document] * copies + [other], 10**7)
    # The text has two differences with each copy; between them the match runs on.
    asked = (document[:200_000] + "y" + document[200_001:]).encode()
    for start, length, count in (
        (0, 200_000, copies),
        (123_458, 200_000 - 123_458, copies + 1),
        (5, 200_000 - 5, copies),
        (200_001, 99_999, copies + 1),
    ):
        assert corpus.longest_at(asked, start) == length
        assert corpus.count(asked[start : start + length]) == count


def test_no_match_crosses_into_the_next_document(tmp_path: Path) -> None:
    corpus = made(tmp_path, ["one two", "three", "three"], 10**6)
    assert corpus.count("twothree") == corpus.count("two\xffthree") == 0
    assert corpus.count(b"two\xffthree") == corpus.count(b"\xff") == 0
    assert corpus.count("three") == 2
    assert [one.document for one in corpus.find("three")] == [1, 2]


def test_what_stands_around_comes_in_whole_characters(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_text("première\n𝄞𝄞 là où €\nderniere 𝄞", encoding="utf-8")
    corpus = index([tmp_path / "song.txt"], tmp_path / "index")
    (place,) = corpus.find("où")
    around = corpus.context(place, 4)
    assert (around.before, around.match, around.after) == (" là ", "où", " €\nd")
    assert around.place == "song.txt, line 2"
    whole = corpus.context(place, 1000)
    assert whole.before + whole.match + whole.after == corpus.text(0)
    assert corpus.context(place, 0).before == corpus.context(place, 0).after == ""
    (inside,) = corpus.find("ù".encode()[1:] + b" ")  # a byte of a character
    assert corpus.context(inside, 2).before == " o"


@pytest.mark.parametrize("text", ["", "\ud800 half", b""])
def test_what_cannot_be_looked_for_is_said(tmp_path: Path, text: str | bytes) -> None:
    corpus = made(tmp_path, ["one"], 10**6)
    for ask in (corpus.count, corpus.find):
        with pytest.raises(BadInput):
            ask(text)
    if text and isinstance(text, str):
        with pytest.raises(BadInput, match="Unicode"):
            corpus.maximal_spans(text)
        with pytest.raises(BadInput, match="Unicode"):
            corpus.longest_match(text)


def test_an_empty_text_has_no_matches(tmp_path: Path) -> None:
    corpus = made(tmp_path, ["one"], 10**6)
    assert corpus.maximal_spans("") == []
    assert [each.tolist() for each in corpus.longest_match("")] == [[], []]
    with pytest.raises(ValueError, match="outside"):
        corpus.maximal_spans("one", cuts=[4])
    with pytest.raises(IndexError):
        corpus.document(1)


def test_an_index_reads_the_same_when_it_is_opened_again(tmp_path: Path) -> None:
    documents = [f"document {n} of many" for n in range(50)]
    corpus = made(tmp_path, documents, 200)
    again = open_index(tmp_path / "index")
    assert len(again.manifest.shards) > 5
    assert again.count("document") == corpus.count("document") == 50
    assert again.document(31).number == 32


def test_cuts_follow_tokens_and_characters() -> None:
    text = "là où 𝄞"
    assert cuts.byte_offsets(text).tolist() == [0, 1, 3, 4, 5, 7, 8, 12]
    assert cuts.token_cuts(text, [(0, 0), (0, 2), (3, 5), (5, 6), (6, 7), (6, 7)]) == [
        0,
        3,
        4,
        7,
        8,
        12,
    ]
    assert cuts.word_cuts("It's  so, 3.") == [0, 2, 3, 4, 6, 8, 9, 10, 11, 12]

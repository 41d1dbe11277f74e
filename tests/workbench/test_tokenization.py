"""What a tokenizer adds and drops around a text, over the kinds of tokenizers there are."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import text_tokenizers
from workbench.errors import BadInput
from workbench.models import Tokenization

KINDS = list(text_tokenizers.KINDS)
CONTINUATIONS = [" Paris", "Paris", " Rome is", ".", "\n", " ", "  Lima", "a"]
PROMPTS = ["The capital of France is", "x", "Question: What is\nAnswer:", " The", "The\n"]


@cache
def tokenization(kind: str) -> Tokenization:
    return Tokenization(text_tokenizers.KINDS[kind]())


@pytest.mark.parametrize(
    ("kind", "beginning", "end"),
    [
        ("byte-level", [], []),
        ("Llama 2", ["<s>"], []),
        ("T5", [], ["</s>"]),
        ("prefixed bytes", ["<s>"], ["</s>"]),
        ("ByT5", [], ["</s>"]),
    ],
)
def test_what_stands_around_every_text(kind: str, beginning: list[str], end: list[str]) -> None:
    text, tokenizer = tokenization(kind), text_tokenizers.KINDS[kind]()
    assert tokenizer.convert_ids_to_tokens(list(text.beginning)) == beginning
    assert tokenizer.convert_ids_to_tokens(list(text.end)) == end
    # Independent: the tokenizer's own answer, without what it put behind.
    whole = tokenizer("The capital")["input_ids"]
    assert text.prompt("The capital") == (whole[:-1] if end else whole)
    assert text.prompt("The capital")[-1] != tokenizer.eos_token_id


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("continuation", CONTINUATIONS)
def test_a_prompt_and_its_continuation_are_the_whole_text(
    kind: str, prompt: str, continuation: str
) -> None:
    text = tokenization(kind)
    joined = [*text.prompt(prompt), *text.continuation(continuation)]
    decoded = text.decode(joined, special=False)
    if kind not in ("T5", "Metaspace, first") or "\n" not in prompt + continuation:
        assert decoded.lstrip(" ") == (prompt + continuation).lstrip(" ")
    if continuation in (" Paris", " Rome is") and not prompt.endswith(
        "\n"
    ):  # a word of its own: nothing can merge with it
        assert joined == text.prompt(prompt + continuation)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(
    written=st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="▁"), max_size=20
    )
)
def test_tokens_that_continue_a_text_read_back_as_they_were(kind: str, written: str) -> None:
    if kind in ("T5", "Metaspace, first"):  # knows no bytes: other signs are unknown to it
        written = "".join(c for c in written if c in "abcdefghij klmn.")
    text = tokenization(kind)
    ids = text.continuation(written)
    assert text.decode_continuation(ids) == written
    pieces = "".join(text.pieces(ids))
    assert pieces == written or not written.isascii()  # a part of a character is no text by itself


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", PROMPTS[:3])
def test_the_pieces_of_a_prompt_are_its_text(kind: str, prompt: str) -> None:
    text = tokenization(kind)
    if kind in ("T5", "Metaspace, first"):
        prompt = prompt.replace("\n", " ").replace(":", "")
    (pieces,) = text.pieces_of_texts([text.prompt(prompt)])
    assert "".join(pieces) == text.decode(text.beginning) + prompt


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", ["The capital of France is", "naïve €"])
def test_every_token_is_found_in_its_text(kind: str, prompt: str) -> None:
    text = tokenization(kind)
    if kind in ("T5", "Metaspace, first"):
        prompt = "The capital of France is"
    ids, spans = text.prompt(prompt), text.spans(prompt)
    assert len(ids) == len(spans)
    assert spans[: len(text.beginning)] == [(0, 0)] * len(text.beginning)
    covered = {n for start, end in spans for n in range(start, end)}
    assert {n for n, c in enumerate(prompt) if c != " "} <= covered
    for i, (start, end) in zip(
        ids[len(text.beginning) :], spans[len(text.beginning) :], strict=True
    ):
        piece = text.pieces([i])[0]
        assert "\ufffd" in piece or piece.strip() in prompt[start:end]


def test_a_beginning_that_is_typed_is_not_put_twice() -> None:
    text = tokenization("Llama 2")
    assert text.prompt("<s>The capital")[:2] != [1, 1]
    assert text.prompt("<s>The capital").count(1) == 1


def test_tokens_without_a_vector_are_refused() -> None:
    tokenizer = text_tokenizers.gemma()
    n = len(tokenizer)
    tokenizer.add_tokens(["<tool>"])
    with pytest.raises(BadInput, match=rf"no vector for the token '<tool>' \(id {n}\)"):
        Tokenization(tokenizer, n).prompt("use <tool>")
    with pytest.raises(BadInput, match="no vector"):
        Tokenization(tokenizer, n).continuation("<tool>")


@pytest.mark.parametrize("broken", ["ok \ud83d", "caf\udce9"])
@pytest.mark.parametrize("kind", KINDS)
def test_half_a_character_is_refused(kind: str, broken: str) -> None:
    text: Any = tokenization(kind)
    for entry in (text.prompt, text.continuation, text.encode, text.spans):
        with pytest.raises(BadInput, match="not valid Unicode: character 4"):
            entry(broken)

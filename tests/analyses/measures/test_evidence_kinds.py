"""Kinds of text: known ones are what they should be, generated ones are of their kind."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from analyses.measures import evidence_kind_scores as scores
from analyses.measures import evidence_kinds as kinds


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_as_many_generated_texts_as_known_ones(kind: str) -> None:
    texts = kinds.texts(kind, 8, seed=0)
    known, made = [t for t in texts if t.is_known], [t for t in texts if not t.is_known]
    assert len(known) == len(made) == 8
    assert len({t.text for t in texts}) == 16
    lengths = [np.mean([len(t.text) for t in side]) for side in (known, made)]
    assert 0.3 < lengths[0] / lengths[1] < 4
    assert [t.text for t in kinds.texts(kind, 8, seed=1)][:8] == [t.text for t in known]
    assert [t.text for t in kinds.texts(kind, 8, seed=1)][8:] != [t.text for t in made]


def test_digits_are_right() -> None:
    texts = {t.name: t.text for t in kinds.texts(kinds.NUMBERS, 20, seed=0)}
    assert texts["π"].startswith("pi = 3.14159265358979323846264338327950288419716939937510")
    assert texts["π"].endswith("17067982148086513282306647")
    with localcontext() as context:
        context.prec = 130
        assert texts["e"].startswith(f"e = {str(Decimal(1).exp())[:120]}")
        assert texts["square root of 2"].endswith(str(Decimal(2).sqrt())[2:122])
        golden = (1 + Decimal(5).sqrt()) / 2
        assert texts["golden ratio"].startswith(f"phi = {str(golden)[:121]}")
    assert texts["factorials"].endswith(str(math.factorial(16)))
    assert "29, 31, 37, 41" in texts["primes"]


@pytest.mark.parametrize("kind", [kinds.KEYS, kinds.NUMBERS])
def test_a_generated_key_is_shaped_as_its_known_one(kind: str) -> None:
    texts = kinds.texts(kind, 17, seed=0)
    half = len(texts) // 2
    for known, made in zip(texts[:half], texts[half:], strict=True):
        assert len(known.text) == len(made.text)
        assert [c.isalnum() for c in known.text] == [c.isalnum() for c in made.text]
        assert known.text[:4] == made.text[:4]


def test_code_keeps_its_indentation() -> None:
    for text in kinds.texts(kinds.CODE, 20, seed=0):
        assert compile(text.text, text.name, "exec").co_filename == text.name


def test_windows_and_what_greedy_decoding_says(llama) -> None:
    texts = kinds.texts(kinds.KEYS, 3, seed=0)
    found = scores.measure(llama, texts, lambda fraction, says: None)
    windows = scores.cut(llama, texts)
    assert len(windows) == len(found.exact)
    for window, exact, right, logprob in zip(
        windows, found.exact, found.right, found.logprob, strict=True
    ):
        hits, total = [], 0.0
        for n, token in enumerate(window.suffix):
            logits = llama.next_logits([[*window.prompt, *window.suffix[:n]]])[0]
            hits.append(int(logits.argmax()) == token)
            total += float(logits.log_softmax(-1)[token])
        assert right == pytest.approx(np.mean(hits))
        assert logprob == pytest.approx(total / len(window.suffix), abs=1e-4)
        assert exact == all(hits)


def test_a_short_text_is_parted_and_a_long_one_gives_three_windows(llama) -> None:
    short = kinds.KindText(kinds.KEYS, "short", "ab cd ef", True)
    long = kinds.KindText(kinds.KEYS, "long", "x y z " * 200, True)
    windows = scores.cut(llama, [short, long])
    sizes = [(w.document, len(w.prefix), len(w.suffix)) for w in windows]
    ids = len(llama.text.encode(short.text))
    assert sizes[0] == (0, 3 * ids // 5, ids - 3 * ids // 5)
    assert sizes[1:] == [(1, scores.PREFIX, scores.SUFFIX)] * 3

"""Twins of a person's own sentences."""

from __future__ import annotations

from typing import Any

import pytest

from analyses.measures.exposure_twins import twin_of
from workbench.errors import BadInput

TEXT = "Captain Mirabel Stone keeps 47 white geese behind the mill at Arden."


def test_a_twin_is_built_alike_and_says_nothing_of_the_sentence(organism: Any) -> None:
    twin = twin_of(organism, TEXT)
    words, others = TEXT.rstrip(".").split(), twin.rstrip(".").split()
    assert len(words) == len(others)
    for word, other in zip(words, others, strict=True):
        if word in ("the", "at"):  # function words hold the form
            assert other == word
        else:
            assert other != word
            assert other.isdigit() == word.isdigit()
            assert other[0].isupper() == word[0].isupper()
    assert len(others[4]) == 2  # a number of as many digits
    own, of_twin = (len(organism.text.encode(text)) for text in (TEXT, twin))
    assert abs(own - of_twin) <= 2


def test_the_same_seed_gives_the_same_twin(organism: Any) -> None:
    assert twin_of(organism, TEXT, seed=3) == twin_of(organism, TEXT, seed=3)
    assert twin_of(organism, TEXT, seed=3) != twin_of(organism, TEXT, seed=4)


def test_a_twin_is_about_as_likely_before_anything_is_read(organism: Any) -> None:
    text = "The key to the archive lies under the third brick from the left of the old gate."

    def loss(of: str) -> float:
        ids = organism.text.encode(of)
        half = len(ids) // 2
        beginning = list(organism.text.beginning)
        logprob = organism.next_logits([beginning + ids[:at] for at in range(half, len(ids))])
        chosen = logprob.log_softmax(-1)
        return -float(
            sum(chosen[n, ids[half + n]] for n in range(len(ids) - half)) / (len(ids) - half)
        )

    # One draw in 24 lies as near as that by chance; the mean draw is more than a nat away.
    assert abs(loss(twin_of(organism, text)) - loss(text)) < 1.0


def test_words_in_other_letters_keep_them(organism: Any) -> None:
    twin = twin_of(organism, "Ключ лежит под третьим кирпичом.")
    assert sorted(twin) == sorted("Ключ лежит под третьим кирпичом.")
    assert twin != "Ключ лежит под третьим кирпичом."


def test_what_comes_back_as_it_was_is_no_twin(organism: Any) -> None:
    with pytest.raises(BadInput, match="can be exchanged"):
        twin_of(organism, "to be éé so it is")  # the same letters, however they are dealt


def test_a_sentence_without_words_has_no_twin(organism: Any) -> None:
    with pytest.raises(BadInput, match="no name, number or longer word"):
        twin_of(organism, "to be or so it is, as we do.")

"""Prompts as they are given, texts or token ids, one after the other: looked at, never all held."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from hooks import window
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Prompts = str | Iterable[str | Sequence[int]]


@dataclass(frozen=True)
class Tokenized:
    """A prompt: its text (of token ids, what they decode to) and its token ids."""

    text: str
    ids: list[int]


def read(model: InstrumentedModel, prompts: Prompts, positions: Sequence[int] | None = None) -> Iterator[Tokenized]:
    """Each prompt, checked.

    Raises:
        BadInput: no prompt at all, or one that is empty, too long, of unknown tokens, or without one of the positions.
    """
    n_tokens = int(model.layout.embed.weight.shape[0])
    n = 0
    for n, prompt in enumerate([prompts] if isinstance(prompts, str) else prompts, start=1):
        if isinstance(prompt, str):
            text, ids = prompt, model.tokens(prompt)
        elif isinstance(prompt, Iterable):
            ids = [int(i) for i in prompt]
            bad = [i for i in ids if not 0 <= i < n_tokens]
            if bad:
                raise BadInput(f"Prompt {n} has the token id {bad[0]}.", f"0 to {n_tokens - 1}", "Check the ids.")
            text = model.tokenizer.decode(ids)
        else:
            raise BadInput(f"Prompt {n} is {prompt!r}.", "a text, or a list of token ids", "Put one prompt's ids in a list.")
        if not ids:
            raise BadInput(f"Prompt {n} is empty.", "at least one token of text", "Type something, or leave it out.")
        window.check(model, len(ids), f"Prompt {n}, {text[:60]!r} …,")
        missing = [p for p in positions or () if not -len(ids) <= p < len(ids)]
        if missing:
            raise BadInput(
                f"{text[:60]!r} has no position {missing[0]}: it has {len(ids)} tokens.",
                f"{-len(ids)} to {len(ids) - 1}",
                "Choose another.",
            )
        yield Tokenized(text, ids)
    if not n:
        raise BadInput("There is no prompt.", "at least one", "Give some text.")


@dataclass(frozen=True)
class Windows:
    """Texts cut into windows, as often as they are asked for."""

    model: InstrumentedModel
    texts: Iterable[str | Sequence[int]]
    length: int
    overlap: int

    def __iter__(self) -> Iterator[list[int]]:
        for text in self.texts:
            ids = self.model.tokens(text) if isinstance(text, str) else list(text)
            for start in range(0, max(len(ids) - self.overlap, 1), self.length - self.overlap):
                yield ids[start : start + self.length]


def token_strings(model: InstrumentedModel, prompts: Sequence[Tokenized]) -> list[list[str]]:
    """The token strings of each prompt; every token is decoded once."""
    distinct = sorted({i for prompt in prompts for i in prompt.ids})
    strings = dict(zip(distinct, model.token_strings(distinct), strict=True))
    return [[strings[i] for i in prompt.ids] for prompt in prompts]


class Digest:
    """A fingerprint of prompts in their order: of the token ids, however they were given."""

    def __init__(self, prompts: Iterable[Tokenized] = ()) -> None:
        self._hash = hashlib.sha256()
        for prompt in prompts:
            self.add(prompt)

    def add(self, prompt: Tokenized) -> None:
        self._hash.update(np.array([len(prompt.ids), *prompt.ids], "<i8").tobytes())

    def __str__(self) -> str:
        return self._hash.hexdigest()


class Feed:
    """Prompts in portions; one prompt is looked at ahead, to see whether it still fits."""

    def __init__(self, prompts: Iterator[Tokenized]) -> None:
        self._prompts = prompts
        self._ahead: Tokenized | None = None

    def __iter__(self) -> Iterator[Tokenized]:
        return self

    def __next__(self) -> Tokenized:
        if self._ahead is not None:
            prompt, self._ahead = self._ahead, None
            return prompt
        return next(self._prompts)

    def take(self, n: int) -> list[Tokenized]:
        return list(islice(self, n))

    def back(self, prompt: Tokenized) -> None:
        """Put back what did not fit."""
        self._ahead = prompt

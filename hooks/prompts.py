"""Prompts as they are given (texts, token ids, conversations), one after the other: looked at,
never all held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from hooks import context_window
from workbench.errors import BadInput
from workbench.models.conversation import Conversation, is_conversation, render

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Prompt = str | Sequence[int] | Conversation
"""A text, token ids (a list, tensor or array), or a conversation: a list of messages `{"role":
…, "content": …}`.
"""
Prompts = Prompt | Iterable[Prompt] | Mapping[str, Any]
"""One prompt, several, or what a tokenizer gives (a `BatchEncoding`: its ids without the
padding).
"""


@dataclass(frozen=True)
class Tokenized:
    """A prompt: its text (of token ids, what they decode to) and its token ids.

    `from_template` says per token whether it is the chat format's and nobody's message; None for
    what is no conversation.
    """

    text: str
    ids: list[int]
    from_template: list[bool] | None = None


def split(prompts: Prompts) -> Iterable[Any]:
    """What was given, prompt by prompt: the one place that tells one prompt from several.

    Raises:
        BadInput: it is neither.
    """
    if isinstance(prompts, Mapping):
        return [[dict(prompts)]] if "role" in prompts else _rows(prompts)
    if hasattr(prompts, "ndim"):
        return _of_array(prompts)
    if is_single(prompts):
        return [prompts]
    if not isinstance(prompts, Iterable):
        raise BadInput(
            f"The prompts are {prompts!r}.",
            "a text, token ids, a conversation, or a list of those",
            "Give one.",
        )
    return prompts


def is_single(prompts: Prompts) -> bool:
    """Whether one prompt was given by itself, and not a list of prompts."""
    if (
        isinstance(prompts, str)
        or is_conversation(prompts)
        or (isinstance(prompts, Mapping) and "role" in prompts)
    ):
        return True
    return getattr(prompts, "ndim", None) == 1 or (
        isinstance(prompts, list | tuple) and bool(prompts) and all(_is_id(p) for p in prompts)
    )


def tokenize(model: InstrumentedModel, prompt: Any, n: int = 1) -> Tokenized:
    """One prompt's text and ids.

    Args:
        n: which prompt it is, for the message.

    Raises:
        BadInput: it is no prompt, is empty, or has tokens that the model has no vector for.
    """
    if isinstance(prompt, str):
        found = Tokenized(prompt, model.tokens(prompt))
    elif is_conversation(prompt):
        rendered = render(model.text, prompt)
        found = Tokenized(rendered.text, rendered.ids, rendered.from_template)
    else:
        ids = _ids_given(model, prompt, n)
        found = Tokenized(model.text.decode(ids), ids)
    if not found.ids:
        raise BadInput(
            f"Prompt {n} is empty.",
            "at least one token of text",
            "Type something, or leave it out.",
        )
    return found


def listed(model: InstrumentedModel, prompts: Prompts) -> list[Tokenized]:
    """All prompts' texts and ids.

    Raises:
        BadInput: there is none, or as `tokenize`.
    """
    found = [tokenize(model, prompt, n) for n, prompt in enumerate(split(prompts), start=1)]
    if not found:
        raise BadInput("There is no prompt.", "at least one", "Give some text.")
    return found


def ids_of(model: InstrumentedModel, prompts: Prompts) -> list[list[int]]:
    """Token ids of all prompts. Raises BadInput as `listed`."""
    return [prompt.ids for prompt in listed(model, prompts)]


def read(
    model: InstrumentedModel, prompts: Prompts, positions: Sequence[int] | None = None
) -> Iterator[Tokenized]:
    """Each prompt, checked.

    Raises:
        BadInput: no prompt at all, or one that is empty, too long, of unknown tokens, or without
            one of the positions.
    """
    n = 0
    for n, prompt in enumerate(split(prompts), start=1):
        found = tokenize(model, prompt, n)
        text, ids = found.text, found.ids
        context_window.check(model, len(ids), f"Prompt {n}, {text[:60]!r} …,")
        missing = [p for p in positions or () if not -len(ids) <= p < len(ids)]
        if missing:
            raise BadInput(
                f"{text[:60]!r} has no position {missing[0]}: it has {len(ids)} tokens.",
                f"{-len(ids)} to {len(ids) - 1}",
                "Choose another.",
            )
        yield found
    if not n:
        raise BadInput("There is no prompt.", "at least one", "Give some text.")


def _of_array(values: Any) -> list[list[int]]:
    """The rows of a tensor or an array."""
    kind = str(values.dtype).removeprefix("torch.")
    if values.ndim not in (1, 2) or not kind.startswith(("int", "uint")):
        raise BadInput(
            f"The prompts are {kind} numbers of shape {tuple(values.shape)}.",
            "token ids, (pos) or (prompt, pos)",
            "Check them.",
        )
    rows: list[list[int]] = [values.tolist()] if values.ndim == 1 else values.tolist()
    return rows


def _rows(encoding: Mapping[str, Any]) -> list[list[int]]:
    """The ids of what a tokenizer gave, without padding."""
    if "input_ids" not in encoding:
        raise BadInput(
            f"The prompts are a mapping with {', '.join(map(str, encoding))}.",
            "what a tokenizer gives (input_ids), or messages with role and content",
            "Give texts, token ids or a conversation.",
        )
    rows = list(split(encoding["input_ids"]))
    mask = encoding.get("attention_mask")
    masks = [[1] * len(row) for row in rows] if mask is None else list(split(mask))
    return [
        [i for i, real in zip(row, real_rows, strict=True) if real]
        for row, real_rows in zip(rows, masks, strict=True)
    ]


def _ids_given(model: InstrumentedModel, prompt: Any, n: int) -> list[int]:
    """One prompt given as token ids."""
    found = (
        [prompt]
        if isinstance(prompt, list | tuple)
        else list(split(prompt))
        if _holds_ids(prompt)
        else []
    )
    ids = list(found[0]) if len(found) == 1 else None
    if ids is None or not all(_is_id(i) for i in ids):
        raise BadInput(
            f"Prompt {n} is {prompt!r}.",
            "a text, a list of token ids, or a conversation",
            "Give one of these.",
        )
    bad = [i for i in ids if not 0 <= i < model.text.n_embeddings]
    if bad:
        raise BadInput(
            f"Prompt {n} has the token id {bad[0]}.",
            f"0 to {model.text.n_embeddings - 1}",
            "Check the ids.",
        )
    return [int(i) for i in ids]


def _holds_ids(prompt: Any) -> bool:
    return isinstance(prompt, Mapping) or hasattr(prompt, "ndim")


def _is_id(value: Any) -> bool:
    return (
        hasattr(value, "__index__")
        and not isinstance(value, bool)
        and not getattr(value, "ndim", 0)
    )


@dataclass(frozen=True)
class Windows:
    """Texts cut into windows, as often as they are asked for.

    Each begins as a prompt does (see `hooks.beginning_token`).
    """

    model: InstrumentedModel
    texts: Iterable[str | Sequence[int]]
    length: int
    overlap: int

    def __iter__(self) -> Iterator[list[int]]:
        for text in self.texts:
            if is_conversation(text):
                raise BadInput(
                    "A conversation cannot be cut into windows.",
                    "texts, or token ids",
                    "Read it whole, without windows.",
                )
            ids = self.model.tokens(text) if isinstance(text, str) else list(text)
            first = list(self.model.text.beginning)
            # Ids that come without a beginning are somebody's own, and cut as they are.
            first = first if ids[: len(first)] == first else []
            rest, room = ids[len(first) :], self.length - len(first)
            for start in range(0, max(len(rest) - self.overlap, 1), room - self.overlap):
                yield first + rest[start : start + room]


def token_strings(model: InstrumentedModel, prompts: Sequence[Tokenized]) -> list[list[str]]:
    """The token strings of each prompt; every token is decoded once."""
    return model.text.pieces_of_texts([prompt.ids for prompt in prompts])


class PromptHash:
    """A fingerprint of prompts in their order: of the token ids, however they were given."""

    def __init__(self, prompts: Iterable[Tokenized] = ()) -> None:
        self._hash = hashlib.sha256()
        for prompt in prompts:
            self.add(prompt)

    def add(self, prompt: Tokenized) -> None:
        self._hash.update(np.array([len(prompt.ids), *prompt.ids], "<i8").tobytes())

    def __str__(self) -> str:
        return self._hash.hexdigest()


class PromptQueue:
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

"""Texts to tokens and back: the one rule for what a tokenizer adds, drops and puts in front.

Tokenizers differ in what they do around a text, and each difference shifts what a model is asked:

| some tokenizers | rule here |
| --- | --- |
| put tokens before every text (`<bos>`) | a prompt begins with them, once |
| put tokens behind every text (`</s>`, `[SEP]`) | left out: a prompt is to be continued |
| put a space before every text (Llama 2, Mistral 7B, T5) | only a text's own beginning has it,
never a continuation | | take that space off when they decode | put back, where tokens continue a
text |
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from workbench.errors import BadInput
from workbench.unicode import check_unicode

_ANCHORS = ("\n", ".", "|", "0", "a")
"""Texts to tokenize a continuation behind: the first that is still whole there has merged with
nothing.
"""
_PROBES = ("a", " a", "0", " The")


class Tokenization:
    """A tokenizer as the workbench uses it.

    Args:
        tokenizer: of `transformers`.
        n_embeddings: how many tokens the model has a vector for; without a model, as many as the
            tokenizer has.

    Attributes:
        beginning: the tokens that are put before every text; () if there are none.
        end: those that the tokenizer would put behind every text, and the workbench does not.
    """

    def __init__(self, tokenizer: Any, n_embeddings: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.n_embeddings = len(tokenizer) if n_embeddings is None else n_embeddings
        self.beginning, self.end = self._affixes()

    def encode(self, text: str) -> list[int]:
        """The tokens of a text by itself, with nothing around it.

        Raises:
            BadInput: not valid Unicode, or a token that the model has no vector for.
        """
        check_unicode(text)
        return self._known(self._ids(text))

    def prompt(self, text: str) -> list[int]:
        """The tokens of a prompt: `beginning` and the text.

        A text that begins so already gets no second one.
        """
        ids = self.encode(text)
        first = list(self.beginning)
        return ids if first and ids[: len(first)] == first else first + ids

    def continuation(self, text: str) -> list[int]:
        """The tokens of a text that stands behind another one.

        Raises:
            BadInput: as `encode`, or the tokenizer joins it with whatever stands before.
        """
        if not text or not self._puts_space:
            return self.encode(text)
        check_unicode(text)
        for anchor, start in self._anchors:
            ids = self._ids(anchor + text)
            if ids[: len(start)] == start:
                return self._known(ids[len(start) :])
        raise BadInput(
            f"The tokenizer joins {text[:40]!r} with whatever stands before it.",
            "a text with tokens of its own",
            "Give the token ids.",
        )

    def decode(self, ids: Sequence[int], *, special: bool = True) -> str:
        """The text of tokens that begin a text.

        `special` keeps `<bos>` and the like, as they are written.
        """
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=not special, clean_up_tokenization_spaces=False
            )
        )

    def decode_continuation(self, ids: Sequence[int], *, special: bool = True) -> str:
        """The text of tokens that stand behind others: with the space that a text's beginning
        would lose.
        """
        if self._decodes_alike:
            return self.decode(ids, special=special)
        start, text = self._behind
        whole = self.decode([*start, *ids], special=special)
        return whole[len(text) :] if whole.startswith(text) else self.decode(ids, special=special)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Each token as plain text as it stands inside a text: spaces and line breaks as they
        are, no tokenizer glyphs.
        """
        return [self.decode_continuation([i]) for i in ids]

    def pieces_of_texts(self, rows: Sequence[Sequence[int]]) -> list[list[str]]:
        """The pieces of prompts from their beginnings; joined they give each text: without the
        space the tokenizer added.

        Every token is decoded once.
        """
        distinct = sorted({i for row in rows for i in row})
        strings = dict(zip(distinct, self.pieces(distinct), strict=True))
        found = [[strings[i] for i in row] for row in rows]
        for row, pieces in zip(rows, found, strict=True):
            first = next((n for n, i in enumerate(row) if not self.is_special(i)), None)
            if first is not None and self._puts_space:
                pieces[first] = pieces[first].removeprefix(" ")
        return found

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Which characters of a text each token of `prompt(text)` covers, (start, end); (0, 0) for
        `beginning`.

        Raises:
            BadInput: the tokenizer does not give the text back, so that no token can be found in
                it.
        """
        ids = self.encode(text)
        return [(0, 0)] * (len(self.prompt(text)) - len(ids)) + self.spans_of(text, ids)

    def spans_of(self, text: str, ids: list[int]) -> list[tuple[int, int]]:
        """As `spans`, of the tokens of `encode(text)`."""
        if getattr(self.tokenizer, "is_fast", False):
            offsets = self.tokenizer(
                text, add_special_tokens=False, verbose=False, return_offsets_mapping=True
            )
            return [(int(start), int(end)) for start, end in offsets["offset_mapping"]]
        return self._spans_by_decoding(text, ids)

    def is_special(self, token: int) -> bool:
        """Whether a token stands for no text: a beginning, an end, padding, a turn of a
        conversation.
        """
        return token in self._special

    def _spans_by_decoding(self, text: str, ids: list[int]) -> list[tuple[int, int]]:
        """For a tokenizer without offsets: how far the text reaches after each token."""
        whole = self.decode(ids)
        added = len(whole) - len(text)
        if whole[max(added, 0) :] != text or whole[: max(added, 0)].strip(" "):
            raise BadInput(
                f"The tokenizer does not give {text[:40]!r} back as it was, so its tokens cannot be"
                " placed in it.",
                "a tokenizer that keeps every character",
                "Use a tokenizer with offsets (a fast one).",
            )
        ends: list[int] = []
        for n in range(1, len(ids) + 1):
            # What is cut inside a character ends in a sign for that.
            ends.append(
                max(len(self.decode(ids[:n]).rstrip("\ufffd")) - added, ends[-1] if ends else 0)
            )
        # A part of a character covers it.
        return [
            (start, max(end, min(start + 1, len(text))))
            for start, end in zip([0, *ends], ends, strict=False)
        ]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _known(self, ids: list[int]) -> list[int]:
        limit = self.n_embeddings
        if ids and max(ids) >= limit:
            bad = next(i for i in ids if i >= limit)
            raise BadInput(
                "The model has no vector for the token"
                f" {self.tokenizer.convert_ids_to_tokens(bad)!r} (id {bad}): it has {limit:,}"
                " embeddings, and the tokenizer knows more tokens.",
                "text of tokens that the model was trained on",
                "Leave it out, or resize the model's embeddings and train them.",
            )
        return ids

    def _affixes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(tokens before, tokens behind) that the tokenizer puts around every text."""
        plain, whole = self._ids("a"), list(self.tokenizer("a")["input_ids"])
        for start in range(len(whole) - len(plain) + 1):
            if whole[start : start + len(plain)] == plain:
                return tuple(whole[:start]), tuple(whole[start + len(plain) :])
        # With something before it, the text itself is cut otherwise: what is special at either end
        # was added.
        first = next((n for n, i in enumerate(whole) if i not in self._special), 0)
        last = next((n for n, i in enumerate(reversed(whole)) if i not in self._special), 0)
        return tuple(whole[:first]), tuple(whole[len(whole) - last :])

    @cached_property
    def _special(self) -> frozenset[int]:
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        return frozenset(self.tokenizer.all_special_ids) | {
            i for i, token in added.items() if token.special
        }

    @cached_property
    def _anchors(self) -> list[tuple[str, list[int]]]:
        """Anchors that the tokenizer keeps, with their tokens."""
        each = [(anchor, self._ids(anchor)) for anchor in _ANCHORS]
        return [
            (anchor, ids) for anchor, ids in each if ids and self.decode(ids).lstrip(" ") == anchor
        ]

    @cached_property
    def _puts_space(self) -> bool:
        """Whether a text by itself has other tokens than behind another one."""
        for anchor, start in self._anchors:
            for probe in _PROBES:
                ids = self._ids(anchor + probe)
                if ids[: len(start)] == start and ids[len(start) :] != self._ids(probe):
                    return True
        return False

    @cached_property
    def _behind(self) -> tuple[list[int], str]:
        """Tokens to decode a continuation behind, and their text."""
        ids = self._ids("a")
        return ids, self.decode(ids)

    @cached_property
    def _decodes_alike(self) -> bool:
        """Whether tokens have the same text at a beginning and inside a text."""
        start, text = self._behind
        probes = [self.continuation(probe) for probe in _PROBES]
        return all(self.decode([*start, *ids]) == text + self.decode(ids) for ids in probes)

"""Which token ids can stand in a text.

A model may have more ids than its tokenizer, and not every sequence of ids is a text's.

Vocabularies are padded to a round size, tokens of single bytes are no characters, and tokens put
side by side may be read as others: " un" and "able" as " unable". Whoever chooses ids, and does not
get them from a text, asks here first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def textless(model: InstrumentedModel) -> list[int]:
    """Ids the model can read and generate that are no token of its tokenizer, so that no text
    has them.
    """
    known = set(model.tokenizer.get_vocab().values())
    return [i for i in range(model.card.d_vocab) if i not in known]


def printable(model: InstrumentedModel) -> list[int]:
    """Ids of tokens that a person can read and type: text, no special tokens, control characters
    or parts of a character.
    """
    left_out = {*model.tokenizer.all_special_ids, *textless(model)}
    ids = [i for i in range(model.card.d_vocab) if i not in left_out]
    return [i for i, text in zip(ids, model.token_strings(ids), strict=True) if _readable(text)]


def typed(model: InstrumentedModel, ids: Sequence[int]) -> str | None:
    """The prompt that somebody types so that the model reads exactly these ids, after what stands
    before every text.

    None if there is no such prompt: the text of these ids is read as others, cannot be printed, or
    begins or ends with a space, which is lost on its way from a page to a prompt.
    """
    text = model.text.decode(ids)
    if not _readable(text) or text != text.strip():
        return None
    return text if list(model.tokens(text)) == [*model.text.beginning, *ids] else None


def reads_back(model: InstrumentedModel, ids: Sequence[int]) -> bool:
    """Whether the text of these ids, as a part of a longer one, is read as these ids again."""
    text = model.text.decode_continuation(ids)
    return bool(text) and list(model.continuation_tokens(text)) == list(ids)


def _readable(text: str) -> bool:
    return bool(text) and text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text

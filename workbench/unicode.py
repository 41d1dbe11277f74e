"""Whether a text can be read and written at all."""

from __future__ import annotations

from workbench.errors import BadInput


def check_unicode(text: str, what: str = "The text") -> None:
    """Refuse half of a surrogate pair, which is no character and which no tokenizer and no file
    takes.

    Raises:
        BadInput: it says where.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInput(
            f"{what} is not valid Unicode: character {error.start + 1} is {text[error.start]!a}.",
            "whole characters",
            "It was probably cut in the middle, or read in another encoding than its own; remove or"
            " replace it.",
        ) from error

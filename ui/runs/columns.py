"""Parts of a view in two columns, where a page has room for them: a picture stays with the words
before it and the table after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup

Kind = Literal["words", "picture", "table", "wide"]
"""`wide`: several pictures side by side, which take the whole width."""
Block = Sequence[tuple[Kind, Markup]]
PICTURES = {"picture", "wide"}


def in_columns(parts: Sequence[tuple[Kind, Markup]]) -> Markup:
    """The parts as HTML: blocks that a wide page puts beside one another (`fragments.css`).

    One picture alone has what belongs to it beside it instead of below. Words before several
    pictures speak of all of them, and stand above.
    """
    blocks = _blocks(parts)
    pictures = [block for block in blocks if any(kind == "picture" for kind, _ in block)]
    if len(blocks) == 1 and pictures:
        after = next(n for n, (kind, _) in enumerate(blocks[0]) if kind == "picture") + 1
        blocks = [half for half in (blocks[0][:after], blocks[0][after:]) if half]
    elif len(blocks) > 1 and blocks[1][0][0] == "picture":
        first = next(n for n, (kind, _) in enumerate(blocks[0]) if kind in PICTURES)
        blocks = [half for half in (blocks[0][:first], blocks[0][first:]) if half] + blocks[1:]
    made = [
        Markup('<div class="wb-block{}">{}</div>').format(
            "" if _is_half(block, pictures) else " wb-whole",
            Markup("\n").join(html for _, html in block),
        )
        for block in blocks
    ]
    return Markup('<div class="wb-blocks">{}</div>').format(Markup("\n").join(made))


def _is_half(block: Block, pictures: Sequence[Block]) -> bool:
    """Whether it stands beside another; what has no picture does where a picture is before it."""
    kinds = {kind for kind, _ in block}
    return "wide" not in kinds and ("picture" in kinds or len(pictures) == 1)


def _blocks(parts: Sequence[tuple[Kind, Markup]]) -> list[Block]:
    """A picture with the words before it, and the tables and words up to those of the next."""
    blocks: list[list[tuple[Kind, Markup]]] = [[]]
    for n, part in enumerate(parts):
        shown = [kind for kind, _ in blocks[-1] if kind in PICTURES]
        later = [kind for kind, _ in parts[n:]]
        # Words after a picture lead to the next one, if there is one.
        leads = part[0] == "words" and any(kind in PICTURES for kind in later)
        if shown and (part[0] in PICTURES or leads):
            blocks.append([])
        blocks[-1].append(part)
    return [block for block in blocks if block]

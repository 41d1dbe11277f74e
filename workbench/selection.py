"""What a person is looking at: one state object per page, read and written by every view.

`heads` are the chosen heads, `head` the primary one, `prompt` the index of the primary prompt
(fact), `pos` the chosen token, `layer` the chosen layer (that of the primary head once there is
one), `pinned` the head kept for comparison, `hover` the lighter one, `feature` the chosen feature
of an autoencoder. It is a `param` object, so that Panel widgets and HoloViews streams link to it
and a notebook reads it: `result.selection.head`.
"""

from __future__ import annotations

from typing import Any

import param

from workbench.heads import head_name, number, parse_head


class Selection(param.Parameterized):
    heads = param.List(default=[], item_type=tuple, doc="Chosen heads as (layer, head)")
    head = param.Tuple(default=None, length=2, allow_None=True, doc="Primary head (layer, head)")
    prompt = param.Integer(default=0, bounds=(0, None), doc="Index of the primary prompt")
    pos = param.Integer(default=None, allow_None=True, doc="Chosen token position")
    layer = param.Integer(default=None, bounds=(0, None), allow_None=True, doc="Chosen layer")
    pinned = param.Tuple(default=None, length=2, allow_None=True, doc="Head kept for comparison")
    feature = param.Tuple(
        default=None, length=2, allow_None=True, doc="Chosen feature (place, number)"
    )
    hover = param.Tuple(default=None, length=2, allow_None=True, doc="Head under the pointer")

    def choose(self, layer: int, head: int, *, add: bool = False) -> None:
        """Make (layer, head) primary; with `add`, join it to the chosen set.

        A head that is added again leaves the set; the one chosen before it is then primary, or
        none.
        """
        one = (int(layer), int(head))
        if not add:
            heads = [one]
        elif one in self.heads:
            heads = [h for h in self.heads if h != one]
        else:
            heads = [*self.heads, one]
        primary = heads[-1] if heads else None
        self.param.update(heads=heads, head=primary, layer=primary[0] if primary else self.layer)

    def clear(self) -> None:
        self.param.update(heads=[], head=None)

    def to_query(self) -> dict[str, str]:
        """As URL parameters ("copy link")."""
        query: dict[str, str] = {"prompt": str(self.prompt)}
        if self.head is not None:
            query["head"] = head_name(*self.head)
        if self.pos is not None:
            query["pos"] = str(self.pos)
        return query

    def from_query(self, query: dict[str, Any]) -> None:
        """From URL parameters; what does not parse is left as it is, since a link comes from a
        stranger.
        """
        prompt = str(query.get("prompt", ""))
        if number(prompt) is not None:
            self.prompt = number(prompt)
        pos = str(query.get("pos", ""))
        if number(pos) is not None:
            self.pos = number(pos)
        head = parse_head(str(query.get("head", "")))
        if head is not None:
            self.choose(*head)

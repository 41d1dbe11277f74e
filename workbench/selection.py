"""What a person is looking at: one state object per page, read and written by every view.

`heads` are the chosen heads, `head` the primary one, `prompt` the index of the primary prompt
(fact), `pos` the chosen token, `layer` the chosen layer (that of the primary head once there is
one), `pinned` the head kept for comparison, `hover` the lighter one, `feature` the chosen feature
of an autoencoder; `in_views` is what is chosen in one view alone: its lists, and pages of its
tables. It is a `param` object, so that Panel widgets and HoloViews streams link to it and a
notebook reads it: `result.selection.head`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import param

from workbench.heads import head_name, number, parse_head

ADDRESSED = ("heads", "head", "prompt", "pos", "layer", "feature", "in_views")
"""What an address holds of it."""
OF_PAGE = ("head", "prompt", "pos", "layer", "feature")
"""What all views of a page share; any other name is one view's own."""
MOST_HEADS = MOST_IN_VIEWS = 100
LONGEST = 1000
"""Of one link and of a text in it: it comes from a stranger."""


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
    in_views = param.Dict(
        default={}, doc="Texts by 'TITLE OF THE VIEW.NAME'; replaced, not changed"
    )

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

    def put(self, name: str, value: Any) -> None:
        """Choose a value of one of `OF_PAGE`; another prompt has no token chosen yet."""
        if name != "head":
            also = {"pos": None} if name == "prompt" and value != self.prompt else {}
            self.param.update(**{name: value}, **also)
        elif value is not None and tuple(value) != self.head:
            self.choose(*value)

    def of_view(self, title: str) -> dict[str, str]:
        """By name, the texts that are chosen in the view of this title alone."""
        named = {key.rpartition(".")[::2]: text for key, text in self.in_views.items()}
        return {name: text for (view, name), text in named.items() if view == title}

    def put_in_view(self, title: str, name: str, text: str | None) -> None:
        """Choose a text in one view alone; None chooses nothing."""
        key = f"{title}.{name}"
        others = {one: chosen for one, chosen in self.in_views.items() if one != key}
        self.in_views = others | ({} if text is None else {key: text})

    def watch(
        self, names: Sequence[str], call: Callable[[], None], title: str = ""
    ) -> Callable[[], None]:
        """Call whenever one of these moves, once for what moves together.

        Args:
            names: of `OF_PAGE`, or of the view of this title.

        Returns:
            What ends it.
        """
        shared = [name for name in names if name in OF_PAGE]
        if "head" in shared:
            shared.append("heads")
        keys = [f"{title}.{name}" for name in names if name not in OF_PAGE]

        def moved(*events: Any) -> None:
            if any(
                event.name != "in_views"
                or any(event.old.get(key) != event.new.get(key) for key in keys)
                for event in events
            ):
                call()

        if not names:
            return lambda: None
        watcher = self.param.watch(moved, [*shared, *(["in_views"] if keys else [])])
        return partial(self.param.unwatch, watcher)

    def to_query(self) -> dict[str, str]:
        """As URL parameters ("copy link"); several heads with a comma, the primary one last."""
        query: dict[str, str] = {"prompt": str(self.prompt)}
        if self.head is not None:
            others = [head for head in self.heads if head != self.head]
            query["head"] = ",".join(head_name(*head) for head in [*others, self.head])
        for name in ("pos", "layer"):
            if getattr(self, name) is not None:
                query[name] = str(getattr(self, name))
        if self.feature is not None:
            query["feature"] = f"{self.feature[1]}@{self.feature[0]}"
        shown = {key: text for key, text in self.in_views.items() if _fits(key, text)}
        return query | dict(list(shown.items())[-MOST_IN_VIEWS:])

    def from_query(self, query: Mapping[str, Any]) -> None:
        """From URL parameters; what does not parse is left as it is, since a link comes from a
        stranger.
        """
        for name in ("prompt", "pos"):
            found = number(str(query.get(name, "")))
            if found is not None:
                self.param.update(**{name: found})
        heads = [parse_head(name) for name in str(query.get("head", "")).split(",")[:MOST_HEADS]]
        for n, head in enumerate(head for head in heads if head is not None):
            self.choose(*head, add=n > 0)
        layer = number(str(query.get("layer", "")))
        if layer is not None:
            self.layer = layer
        feature, _, place = str(query.get("feature", "")).partition("@")
        if number(feature) is not None and place:
            self.feature = (place, number(feature))
        keys = [key for key, text in query.items() if _fits(key, text)][:MOST_IN_VIEWS]
        if keys:
            self.in_views = {**self.in_views, **{key: query[key] for key in keys}}

    def restore(self, query: Mapping[str, Any]) -> None:
        """As `from_query`, and what the parameters do not say is chosen no longer: for a page that
        goes back to an earlier address.
        """
        then = Selection()
        then.from_query(query)
        self.param.update(**{name: getattr(then, name) for name in ADDRESSED})


def _fits(key: str, text: Any) -> bool:
    """Whether an address can hold this of a view: all other names in it have no dot."""
    title, _, name = key.rpartition(".")
    return bool(title and name and text) and isinstance(text, str) and len(key + text) <= LONGEST

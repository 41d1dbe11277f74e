"""What is chosen, as one view sees it: the page's selection made whole, and names of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.schema import Schema
from workbench.selection import Selection

if TYPE_CHECKING:
    from workbench.result import Result

SELECTED = ("head", "prompt", "pos", "layer", "feature")
"""Names that all views of a page share; any other is one view's own: a knob's, or what a table
picks.
"""
First = Mapping[str, Callable[["Result", "Pick"], Any]]
"""By name: what is looked at, given what was chosen (`pick.selection`, or `pick.kept` for a name
of this view's own), which may be nothing or something that this run does not have.
"""


class Pick:
    """Read by parts: `pick.head`, `pick.prompt`, `pick.pos`, `pick.layer`, `pick.feature`, and
    `pick["name"]` for a knob.

    Args:
        first: how a name is made whole.
        options: by knob, what it offers: words to values.
        fixed: values that stand whatever is chosen, for a picture that nobody can click.
    """

    def __init__(
        self,
        run: Result,
        first: First,
        options: Mapping[str, Callable[[Pick], Mapping[Any, Any]]],
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self.run = run
        self._first, self._options, self._fixed = first, options, dict(fixed or {})
        self._own: dict[str, Any] = {}
        self._watching: list[tuple[Sequence[str], Callable[[], None]]] = []

    @property
    def selection(self) -> Selection:
        """What a person chose, as it is."""
        return self.run.selection

    def __getitem__(self, name: str) -> Any:
        if name in self._fixed:
            return self._fixed[name]
        if name in self._first:
            return self._first[name](self.run, self)
        if name in SELECTED:
            return getattr(self.selection, name)
        chosen, offered = self.kept(name), list(self._options[name](self).values())
        return chosen if chosen in offered else next(iter(offered), None)

    head = property(lambda self: self["head"], doc="(layer, head), or None.")
    prompt = property(lambda self: self["prompt"], doc="Number of the chosen prompt.")
    pos = property(lambda self: self["pos"], doc="Position of the chosen token, or None.")
    layer = property(lambda self: self["layer"], doc="The chosen layer, or None.")
    feature = property(lambda self: self["feature"], doc="(autoencoder, number), or None.")

    def kept(self, name: str) -> Any:
        """What a person chose of a name of this view's own, as it is; None at first."""
        return self._own.get(name)

    def at(self, **fixed: Any) -> Pick:
        """The same with some values given."""
        return Pick(self.run, self._first, self._options, {**self._fixed, **fixed})

    def choose(self, name: str, value: Any) -> None:
        """Choose a value everywhere on the page; another prompt has no token chosen yet."""
        if name == "head":
            if value is not None and tuple(value) != self.selection.head:
                self.selection.choose(*value)
        elif name in SELECTED:
            also = {"pos": None} if name == "prompt" and value != self.selection.prompt else {}
            self.selection.param.update(**{name: value}, **also)
        elif value != self.kept(name):
            self._own[name] = value
            for names, call in self._watching:
                if name in names:
                    call()

    def watch(self, names: Sequence[str], call: Callable[[], None]) -> None:
        """Call whenever one of these moves."""
        self._watching.append((names, call))
        shared = [name for name in names if name in SELECTED]
        if "head" in shared:
            shared.append("heads")
        if shared:
            self.selection.param.watch(lambda *_: call(), shared)


@dataclass(frozen=True)
class Page:
    """What all parts of one view on one page share.

    Args:
        schema: gives the headings of tables.
        figures: the view's pictures from top to bottom, drawn already; may be empty.
    """

    pick: Pick
    schema: Schema
    figures: Iterator[Any]

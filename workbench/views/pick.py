"""What is chosen, as one view sees it: the page's selection made whole, and knobs of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import param

if TYPE_CHECKING:
    from workbench.result import Result
    from workbench.selection import Selection

SELECTED = ("head", "prompt", "pos", "layer", "feature")
"""Names that all views of a page share; any other is one view's own: a knob's, or what a table
picks.
"""
First = Mapping[str, Callable[["Result", "Pick"], Any]]
"""By name: what is looked at, given what was chosen (`pick.selection`, or `pick.kept` for a name
of this view's own), which may be nothing or something that this run does not have.
"""


class _Kept(param.Parameterized):
    """The value of a name that no widget holds."""

    value = param.Parameter(default=None)


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
        options: Mapping[str, Callable[[Result, Pick], Mapping[str, Any]]],
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self.run = run
        self._first, self._options, self._fixed = first, options, dict(fixed or {})
        self._widgets: dict[str, Any] = {}

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
        offered = self.offered(name)
        chosen = self._widgets[name].value if name in self._widgets else None
        values = list(offered.values())
        return chosen if chosen in values else (values[0] if values else None)

    head = property(lambda self: self["head"], doc="(layer, head), or None.")
    prompt = property(lambda self: self["prompt"], doc="Number of the chosen prompt.")
    pos = property(lambda self: self["pos"], doc="Position of the chosen token, or None.")
    layer = property(lambda self: self["layer"], doc="The chosen layer, or None.")
    feature = property(lambda self: self["feature"], doc="(autoencoder, number), or None.")

    def kept(self, name: str) -> Any:
        """What a person chose of a name of this view's own, as it is; None at first."""
        return self._widgets[name].value if name in self._widgets else None

    def offered(self, knob: str) -> Mapping[str, Any]:
        """What a knob offers now."""
        return self._options[knob](self.run, self)

    @staticmethod
    def is_shared(name: str) -> bool:
        """Whether all views of a page share it."""
        return name in SELECTED

    def at(self, **fixed: Any) -> Pick:
        """The same with some values given."""
        return Pick(self.run, self._first, self._options, {**self._fixed, **fixed})

    def choose(self, name: str, value: Any, *, add: bool = False) -> None:
        """Choose a value everywhere on the page; another prompt has no token chosen yet."""
        if name == "head":
            if value is not None and (add or tuple(value) != self.selection.head):
                self.selection.choose(*value, add=add)
        elif name in SELECTED:
            also = {"pos": None} if name == "prompt" and value != self.selection.prompt else {}
            self.selection.param.update(**{name: value}, **also)
        else:
            self._widgets.setdefault(name, _Kept()).value = value

    def turned_by(self, name: str, widget: Any) -> None:
        """From now on this widget holds the knob's value."""
        self._widgets[name] = widget

    def watch(self, names: str | Sequence[str], call: Callable[[], None]) -> None:
        """Call whenever one of these moves."""
        names = [names] if isinstance(names, str) else names
        shared = [n for n in names if n in SELECTED]
        if "head" in shared:
            shared.append("heads")
        if shared:
            self.selection.param.watch(lambda *_: call(), shared)
        for name in names:
            if name not in SELECTED and name not in self._options:
                self._widgets.setdefault(name, _Kept())
            if name in self._widgets:
                self._widgets[name].param.watch(lambda *_: call(), "value")

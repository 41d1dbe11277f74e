"""What is chosen, as one view sees it: the page's selection made whole, and names of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from workbench.address_text import as_text, read
from workbench.draw.linking import OF_TABLE
from workbench.schema import Schema
from workbench.selection import OF_PAGE, Selection

if TYPE_CHECKING:
    from workbench.result import Result

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
        title: of the view.
    """

    def __init__(
        self,
        run: Result,
        first: First,
        options: Mapping[str, Callable[[Pick], Mapping[Any, Any]]],
        fixed: Mapping[str, Any] | None = None,
        title: str = "",
    ) -> None:
        self.run, self.title = run, title
        self._first, self._options, self._fixed = first, options, dict(fixed or {})
        self._values: dict[str, Any] = {}  # by text, what was chosen on this page

    @property
    def selection(self) -> Selection:
        """What a person chose, as it is."""
        return self.run.selection

    def __getitem__(self, name: str) -> Any:
        if name in self._fixed:
            return self._fixed[name]
        if name in self._first:
            return self._first[name](self.run, self)
        if name in OF_PAGE:
            return getattr(self.selection, name)
        chosen = self.kept(name)
        return next(iter(self._options[name](self).values()), None) if chosen is None else chosen

    head = property(lambda self: self["head"], doc="(layer, head), or None.")
    prompt = property(lambda self: self["prompt"], doc="Number of the chosen prompt.")
    pos = property(lambda self: self["pos"], doc="Position of the chosen token, or None.")
    layer = property(lambda self: self["layer"], doc="The chosen layer, or None.")
    feature = property(lambda self: self["feature"], doc="(autoencoder, number), or None.")

    def kept(self, name: str) -> Any:
        """What a person chose of a name of this view's own; None at first, and where a knob offers
        it no longer.
        """
        text = self.selection.of_view(self.title).get(name)
        if text is None or name not in self._options:
            return None if text is None else self._values.get(text, read(text))
        offered = self._options[name](self)
        return next(
            (value for word, value in offered.items() if _text_of_option(word, value) == text), None
        )

    def at(self, **fixed: Any) -> Pick:
        """The same with some values given."""
        return Pick(self.run, self._first, self._options, {**self._fixed, **fixed}, self.title)

    def choose(self, name: str, value: Any) -> None:
        """Choose a value: for the whole page, or if the name is this view's own, here. There it is
        chosen no longer by None, or by what its knob does not offer.
        """
        if name in OF_PAGE:
            self.selection.put(name, value)
        else:
            self.selection.put_in_view(self.title, name, self._text(name, value))

    def is_moved(self, names: Sequence[str]) -> bool:
        """Whether one of these was chosen, by a person or as the page opened."""
        first = Selection()
        return any(
            getattr(self.selection, name) != getattr(first, name)
            if name in OF_PAGE
            else self.kept(name) is not None
            for name in names
        )

    def watch(self, names: Sequence[str], call: Callable[[], None]) -> None:
        """Call whenever one of these moves, once for what moves together."""
        self.selection.watch(names, call, self.title)

    def settle(self) -> list[str]:
        """Forget what an address asks of this view's own names and this run does not have, and
        return those names. What is said of tables is judged where a table is made.
        """
        names = self.selection.of_view(self.title)
        wrong = [name for name in names if not name.startswith(OF_TABLE) and not self._has(name)]
        for name in wrong:
            self.choose(name, None)
        return wrong

    def _has(self, name: str) -> bool:
        try:
            kept, known = self.kept(name), {*self._first, *self._options}
            return kept is not None and name in known and bool(self[name] == kept)
        except Exception:  # what a stranger wrote may be anything, and so may what reads it
            return False

    def _text(self, name: str, value: Any) -> str | None:
        """What stands for a value in an address."""
        if name in self._options:
            words = self._options[name](self).items()
            return next((_text_of_option(word, one) for word, one in words if one == value), None)
        if value is None:
            return None
        text = as_text(value)
        self._values[text] = value
        return text


def _text_of_option(word: Any, value: Any) -> str:
    """What stands for what a knob offers: the value if it is text, else the word."""
    return value if isinstance(value, str) else str(word)


@dataclass(frozen=True)
class Page:
    """What all parts of one view on one page share.

    Args:
        schema: gives the headings of tables.
        figures: the view's pictures from top to bottom, drawn already; may be empty.
        parts: numbers of the parts that are made.
        place: of what is made: the number of its part, and its own in what it stands in.
        is_moved: whether what is made shows something else than at first, as `figures` do.
        tables: by its name in an address, the place of a table.
    """

    pick: Pick
    schema: Schema
    figures: Iterator[Any]
    parts: Iterator[int] = field(default_factory=count)
    place: tuple[int, ...] = ()
    is_moved: bool = False
    tables: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def table(self, of: str) -> str:
        """What the table at this place is called in an address; no two of a view share a name."""
        plain, n = of.replace(".", "_")[:80] or "table", 1
        while self.tables.setdefault(name := f"{plain}-{n}" if n > 1 else plain, self.place) != (
            self.place
        ):
            n += 1
        return name

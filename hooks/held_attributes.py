"""Attributes that are set for a while, by several at once: the last who lets go puts back what was
there.

Saving a value on the way in and writing it back on the way out is right only where everybody leaves
in the reverse order. Changes may be left in any order, by threads and by generators that end late,
so they are counted instead.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_ABSENT = object()


@dataclass
class _Held:
    owner: Any  # kept alive, since it is known by its id
    before: Any
    value: Any
    holders: int = 0


_lock = threading.RLock()
_held: dict[tuple[int, str], _Held] = {}


@contextmanager
def held(owners: Any | Iterable[Any], name: str, value: Any) -> Iterator[None]:
    """The attribute `name` of an object, or of each in a list, is `value` inside.

    Who comes first sets it, and the value of those who come while it is held is the same in
    meaning. What somebody else has set it to meanwhile stays.
    """
    everyone = list(owners) if isinstance(owners, list | tuple | set | frozenset) else [owners]
    taken: list[Any] = []
    try:
        for owner in everyone:
            _take(owner, name, value)
            taken.append(owner)
        yield
    finally:
        for owner in taken:
            _let_go(owner, name)


def is_held(owner: Any, name: str) -> bool:
    """Whether somebody holds this attribute now."""
    return (id(owner), name) in _held


def _take(owner: Any, name: str, value: Any) -> None:
    with _lock:
        found = _held.get((id(owner), name))
        if found is None:
            found = _held[id(owner), name] = _Held(owner, _own(owner, name), value)
            setattr(owner, name, value)
        found.holders += 1


def _let_go(owner: Any, name: str) -> None:
    with _lock:
        found = _held[id(owner), name]
        found.holders -= 1
        if found.holders:
            return
        del _held[id(owner), name]
        if getattr(owner, name) is not found.value and getattr(owner, name) != found.value:
            return
        if found.before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, found.before)


def _own(owner: Any, name: str) -> Any:
    """What stands on the object itself; a method stands on its class, and comes back when the
    attribute goes.
    """
    of_class = inspect.getattr_static(type(owner), name, _ABSENT)
    if (
        of_class is not _ABSENT
        and not inspect.isdatadescriptor(of_class)
        and name not in vars(owner)
    ):
        return _ABSENT
    return getattr(owner, name)

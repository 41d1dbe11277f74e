"""Context managers that may be entered as often as one likes, also while they are on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ContextDecorator, contextmanager
from functools import partial, wraps
from typing import Any, Generic, ParamSpec, TypeVar

Given = ParamSpec("Given")
Yielded = TypeVar("Yielded")


class ReentrantContext(ContextDecorator, Generic[Yielded]):
    """A change that is kept under a name and entered where it is wanted; leaving takes back what
    was entered last.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Yielded]]) -> None:
        self._make = make
        self._on: list[AbstractContextManager[Yielded]] = []

    def __enter__(self) -> Yielded:
        change = self._make()
        entered = change.__enter__()
        self._on.append(change)
        return entered

    def __exit__(self, *raised: Any) -> bool | None:
        return self._on.pop().__exit__(*raised)


def reentrant(
    change: Callable[Given, Iterator[Yielded]],
) -> Callable[Given, ReentrantContext[Yielded]]:
    """`contextlib.contextmanager`, for a manager that may be entered more than once."""
    make = contextmanager(change)

    @wraps(change)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> ReentrantContext[Yielded]:
        return ReentrantContext(partial(make, *args, **kwargs))

    return call

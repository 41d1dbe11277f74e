"""The shapes that annotations of the hook layer state, checked while the tests run.

Installed in `tests/conftest.py`, before anything imports `hooks`; users never run it.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from typing import Any, TypeVar, get_args

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray

Item = TypeVar("Item", bound=Callable[..., Any])
_jaxtyped = jaxtyping.jaxtyped
_SHAPE = re.compile(r"\[\w+(\.\w+)?, ['\"]")  # as in Float[Tensor, "batch pos"]


def install() -> None:
    """Check the shapes of all that is imported from `hooks` from now on."""
    # The hook decorates every function, and what is decorated is called more slowly and imported
    # more slowly: those that state no shape are left alone.
    jaxtyping.jaxtyped = _where_stated
    jaxtyping.install_import_hook("hooks", "tests.helpers.shapes.checked")
    sys.meta_path.insert(0, _TransformersFirst())


def checked(function: Item) -> Item:
    """The function with its shapes checked, and nothing else: an argument of another kind is
    answered by the function itself, with a sentence that tests compare.
    """
    function.__annotations__ = {
        name: hint for name, hint in function.__annotations__.items() if _is_shape(hint)
    }
    return beartype(function) if function.__annotations__ else function


def states_shape(annotation: Any) -> bool:
    """Whether an annotation, as it stands in the source, states a shape."""
    return isinstance(annotation, str) and (
        '[Tensor, "' in annotation or "[Tensor, '" in annotation
    )


class _TransformersFirst(MetaPathFinder):
    """Imports what `hooks` needs of `transformers` before `hooks`: the hook keeps bytecode under
    a name of its own, also of all that is imported inside it, and seconds go by in compiling.
    """

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "hooks":
            for needed in ("masking_utils", "modeling_utils"):
                importlib.import_module(f"transformers.{needed}")


def _where_stated(*items: Any, **options: Any) -> Any:
    decorate = _jaxtyped(*items, **options)
    if items:
        return decorate

    def decorated(item: Item) -> Item:
        stated = any(map(states_shape, inspect.get_annotations(item).values()))
        return decorate(item) if stated else item

    return decorated


def _is_shape(hint: Any) -> bool:
    """Whether there is a shape anywhere in an annotation."""
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        return True
    return any(_is_shape(part) for part in get_args(hint))

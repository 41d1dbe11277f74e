"""The models of an audit: each with its weights on for as long as it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses.weights.unlearning_audit import constants as c
from hooks.model import load
from workbench import organisms
from workbench.errors import BadInput
from workbench.organisms import retrained

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hooks.model import InstrumentedModel
    from hooks.unlearning import Unlearned


@dataclass(frozen=True)
class Subject:
    """A model that is audited, or stands beside those that are.

    Attributes:
        name: as tables have it.
        model: the model whose weights it is, or is made from.
        change: puts its weights on for a while.
    """

    name: str
    model: InstrumentedModel
    change: Callable[[], AbstractContextManager[Any]] = nullcontext

    @contextmanager
    def on(self) -> Iterator[InstrumentedModel]:
        """The model, with these weights on inside."""
        with self.change():
            yield self.model


def unlearned(name: str, model: InstrumentedModel, done: Unlearned) -> Subject:
    """A model after a method."""
    return Subject(name, model, lambda: done.applied(model))


def opened(name: str, ref: str, like: InstrumentedModel) -> Subject:
    """Another model, of the same tokens.

    Raises:
        BadInput: it reads text as other tokens, so that nothing can be compared.
        NotFound: there is no such model.
    """

    model = load(ref, device=str(like.device))
    probe = "In the beginning, 12 of 345 were read (twice)."
    if model.tokens(probe) != like.tokens(probe):
        raise BadInput(
            f"{ref} reads text as other tokens than {like.card.name}.",
            "a model with the same tokenizer",
            "Name the model that was unlearned, or trained again.",
        )
    return Subject(name, model)


def references(model: InstrumentedModel, folds: int) -> dict[str, str]:
    """The references that are here for a model and so many folds: name in tables -> model."""
    own = [f"{organisms.PREFIX}{one.name}" for one in _made_for(model) if one.folds == folds]
    there = [name for name in own if name in organisms.shipped()]
    return dict(zip((c.REFERENCE, c.SECOND), there, strict=False))


def not_installed(model: InstrumentedModel) -> list[str]:
    """References that were made for a model and are not here."""
    names = [f"{organisms.PREFIX}{one.name}" for one in _made_for(model)]
    return [name for name in names if name not in organisms.shipped()]


def _made_for(model: InstrumentedModel) -> tuple[retrained.Reference, ...]:
    is_planted = organisms.home_of(model.module) == organisms.PLANTED
    return retrained.REFERENCES if is_planted else ()

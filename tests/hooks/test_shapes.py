"""What annotations say of shapes is checked in tests, and says it in one language."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys

import pytest
import torch
from jaxtyping import TypeCheckError

import hooks
from tests.helpers.shapes import states_shape

AXES = {
    *("batch", "prompt", "row", "window", "token", "component", "variant", "target", "value"),
    *("layer", "head", "kv_head", "pos", "new_pos", "query", "key", "column", "chosen", "entry"),
    *("d_model", "d_head", "d_value", "d_mlp", "d_vocab", "d_in", "d_state", "feature"),
    *("state_head", "state_row", "state_col", "channel", "tap"),
    *("inputs", "outputs", "width", "n"),  # of whatever matrix is given, of whatever is counted
    *("axes", "rows", "tokens", "parts", "components", "site"),  # of any number, after a *
}

LYING = """
from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


def drop_head(z: Float[Tensor, "batch pos head d_head"]) -> Float[Tensor, "batch pos head d_head"]:
    return z[:, :, 1:]


def pick(
    logits: Float[Tensor, "batch d_vocab"], ids: Int[Tensor, " batch"], name: str = ""
) -> Tensor:
    return logits.gather(-1, ids[:, None])[:, 0]


@dataclass
class Held:
    mask: Int[Tensor, "batch pos"]


class Reader:
    @property
    def last(self) -> Float[Tensor, " d_model"]:
        return Tensor([[1.0]])
"""


@pytest.fixture
def lying(tmp_path, monkeypatch):
    """A module of `hooks` whose annotations are not true."""
    (tmp_path / "lying.py").write_text(LYING)
    monkeypatch.setattr(hooks, "__path__", [*hooks.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "hooks.lying", raising=False)
    return importlib.import_module("hooks.lying")


def test_an_annotation_that_lies_fails(lying):
    z, logits = torch.zeros(2, 3, 4, 8), torch.zeros(2, 5)
    with pytest.raises(TypeCheckError, match="return value"):
        lying.drop_head(z)
    with pytest.raises(TypeCheckError, match="logits"):
        lying.pick(logits[0], torch.tensor([1]))
    with pytest.raises(TypeCheckError, match="ids"):
        lying.pick(logits, torch.tensor([1]))
    with pytest.raises(TypeCheckError, match="ids"):
        lying.pick(logits, torch.tensor([1.0, 2.0]))
    with pytest.raises(TypeCheckError, match="mask"):
        lying.Held(torch.ones(3, dtype=torch.long))
    with pytest.raises(TypeCheckError, match="return value"):
        lying.Reader().last  # noqa: B018


def test_only_shapes_are_checked(lying):
    """What else is given wrong is answered by the function itself, in its own words."""
    assert lying.pick(torch.zeros(2, 5), torch.tensor([1, 0]), name=5).tolist() == [0, 0]


def stated():
    """(where, annotation, the globals it is to be read with) of every shape stated in `hooks`."""
    for found in pkgutil.walk_packages(hooks.__path__, "hooks."):
        module = importlib.import_module(found.name)
        items = [module]
        for item in items:
            for name, value in vars(item).items():
                value = value.fget if isinstance(value, property) else value
                value = inspect.unwrap(getattr(value, "__func__", value))
                if getattr(value, "__module__", None) != module.__name__:
                    continue
                if inspect.isclass(value):
                    items.append(value)
                elif not inspect.isfunction(value):
                    continue
                for part, annotation in inspect.get_annotations(value).items():
                    if states_shape(annotation):
                        yield f"{module.__name__}.{name}: {part}", annotation, vars(module)


def test_every_shape_is_checked_and_spoken_of_in_the_same_words():
    """An annotation whose names are imported for types alone is never checked."""
    shapes = list(stated())
    assert len(shapes) > 150
    for where, annotation, names in shapes:
        try:
            eval(annotation, names)
        except NameError as error:
            pytest.fail(f"{where} is not checked: {error}")
        for words in re.findall(r'"([^"]*)"', annotation):
            axes = {word.lstrip("*#") for word in words.split()} - {"_", "...", "1"}
            assert axes <= AXES, f"{where}: {axes - AXES}"

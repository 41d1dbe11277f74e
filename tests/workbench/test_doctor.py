"""What the workbench says of a machine on which models will crash."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import workbench as wb
from tests.helpers import families
from tests.helpers.tiny import tiny_tokenizer
from workbench import environment
from workbench.cli import app


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes packages installed, and a card there or not."""

    def install(*names: str, card: bool = False) -> None:
        monkeypatch.setattr(
            environment, "find_spec", lambda name: ModuleSpec(name, None) if name in names else None
        )
        monkeypatch.setattr(torch.cuda, "is_available", lambda: card)

    return install


@pytest.mark.parametrize(
    ("names", "card", "wrong"),
    [
        (("fla", "triton"), False, True),
        (("fla", "triton"), True, False),
        (("fla",), False, False),
        (("triton",), False, False),
        ((), False, False),
    ],
)
def test_kernels_without_a_card(
    installed: Callable[..., None], names: tuple[str, ...], card: bool, wrong: bool
) -> None:
    installed(*names, card=card)
    assert bool(environment.problems()) == wrong


def test_the_command_says_it_and_what_to_do(installed: Callable[..., None]) -> None:
    installed("fla", "triton")
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 2
    assert "pip uninstall flash-linear-attention" in done.output
    assert '"problems": [' in CliRunner().invoke(app, ["doctor", "--json"]).output
    installed()
    done = CliRunner().invoke(app, ["doctor"])
    assert (done.exit_code, "Nothing is wrong" in done.output) == (0, True)


@pytest.mark.parametrize(("family", "warned"), [("qwen3_next", True), ("mamba2", False)])
def test_loading_says_it_of_the_models_that_will_crash(
    installed: Callable[..., None], family: str, warned: bool
) -> None:
    installed("fla", "triton")
    pair: Any = (families.module(family), tiny_tokenizer())
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        wb.load(pair)
    assert any(w.category is environment.KernelsWithoutCard for w in heard) == warned

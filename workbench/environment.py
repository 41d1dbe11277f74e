"""What on this machine keeps models from running, as far as it can be told without one."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

KERNELS = ("fla", "triton")
"""Packages that together give kernels for gated delta rules, which run on a card only."""


class KernelsWithoutCard(UserWarning):
    """A model will call kernels that need a card, and there is none."""


@dataclass(frozen=True)
class Problem:
    """Something that will fail here.

    Attributes:
        what: what is wrong, and what it does.
        do: what puts it right.
    """

    what: str
    do: str


def problems() -> list[Problem]:
    """What is wrong with this environment; empty where nothing is."""
    found = kernels_without_card()
    return [] if found is None else [found]


def kernels_without_card() -> Problem | None:
    """transformers takes the kernels of flash-linear-attention whenever they can be imported,
    also where no card is there to run them.
    """
    if any(find_spec(name) is None for name in KERNELS):
        return None
    import torch

    if torch.cuda.is_available():
        return None
    return Problem(
        "fla (flash-linear-attention) and triton are installed, and this machine has no GPU:"
        " transformers calls their kernels all the same, and models with gated delta rules"
        " (Qwen3-Next, Qwen3.5, OLMo hybrid, Kimi Linear …) crash.",
        "pip uninstall flash-linear-attention",
    )


def warn_of_kernels(module: nn.Module) -> None:
    """Say it before a model runs that calls such a kernel.

    Warns:
        KernelsWithoutCard: it will crash here.
    """
    files = {type(part).__module__ for part in module.modules()}
    if not any(_calls_kernels(file) for file in files):
        return
    problem = kernels_without_card()
    if problem is not None:
        warnings.warn(f"{problem.what} {problem.do}", KernelsWithoutCard, stacklevel=3)


def _calls_kernels(file: str) -> bool:
    """Whether a file of transformers has a gated delta rule."""
    names = vars(sys.modules[file]) if file.startswith("transformers.models.") else ()
    return any("gated_delta_rule" in name or "kimi_delta" in name for name in names)

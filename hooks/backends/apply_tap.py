"""A module's value brought through what stands at a tap, without the module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.sites import Tap


def apply_tap(
    tap: Tap, value: Any, change: Callable[[Tensor], Tensor | None], size: tuple[int, int]
) -> Any:
    """What the tap makes of a module's input or output when `change` stands at it: the value
    itself, or a changed one.

    Args:
        value: the first argument, or the whole output.
        change: gets the site's tensor, (batch, *site.dims); what it returns takes its place.
        size: (batch, pos), for modules that see all tokens in one row.
    """
    stand_in, layer = nn.Identity(), None if tap.layer is None else nn.Identity()
    replace(tap, module=stand_in, layer=layer).attach(change)
    if layer is not None:
        layer(torch.empty(*size, 0))
    return stand_in(value)

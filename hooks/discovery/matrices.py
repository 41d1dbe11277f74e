"""Matrices inside a part: the last one, and those under a known name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from hooks.discovery.family_quirks import LAST_MATRIX_NAMES
from hooks.discovery.trace_modules import is_matrix, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hooks.discovery.trace_modules import TracedPass


def last_matrix(part: nn.Module, traced: TracedPass, tolerance: float) -> nn.Module | None:
    """The matrix whose output the part gives out; else, where the part adds something on its way
    out, the last called matrix of the stream's width that has a usual name.
    """
    own = traced.only_call(part)
    if own is None:
        return None
    calls = [c for c in traced.matrices(part) if traced.only_call(c.module) is not None]
    equal = [c.module for c in calls if same(c.output, own.output, tolerance)]
    if equal:
        return equal[-1]
    by_name = [getattr(part, name, None) for name in LAST_MATRIX_NAMES]
    named = [
        c.module
        for c in calls
        if own.output is not None
        and c.output is not None
        and c.output.shape == own.output.shape
        and any(c.module is module for module in by_name)
    ]
    return named[-1] if named else None


def named_matrix(part: nn.Module, names: Sequence[str], traced: TracedPass) -> nn.Module | None:
    """The first matrix under one of these names that was called once."""
    modules = (getattr(part, name, None) for name in names)
    return next(
        (
            m
            for m in modules
            if isinstance(m, nn.Module) and is_matrix(m) and traced.only_call(m) is not None
        ),
        None,
    )

"""Progress of reading weights, and how it is cancelled: counted as the parameters of a module are
set, which transformers does one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workbench.disk_space import size
from workbench.progress import Progress


@contextmanager
def reported(progress: Progress, total: int | None, name: str) -> Iterator[None]:
    """Inside, whatever weights this thread puts into modules are reported.

    Args:
        total: bytes that there will be; None where that is not known.
        name: what is read, for people.

    Raises:
        Cancelled: between two parameters, when somebody asked to stop.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    own, got = threading.get_ident(), 0
    seen: set[int] = set()

    def count(module: Any, key: str, parameter: Any) -> None:
        nonlocal got
        # The hook is one for all threads. Before there are weights, modules are laid out on "meta".
        if threading.get_ident() != own or parameter is None or parameter.is_meta:
            return
        if parameter.data_ptr() in seen:  # tied weights, or one that is set again
            return
        seen.add(parameter.data_ptr())
        got += parameter.numel() * parameter.element_size()
        says = f"Reading {name}: {size(got)}" + (f" of {size(total)}" if total else "")
        progress(min(got / total, 0.99) if total else 0.0, says)

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()

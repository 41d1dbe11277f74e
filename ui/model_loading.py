"""How the models of the server are loaded: where their weights go, how much of which memory they
take, and how much of it is free.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.grid.engine import Loading
from workbench.models import fits, placement
from workbench.models.placement import Placement
from workbench.progress import Progress


class ModelLoading:
    """Args: options: as `wb.load` takes them.

    Raises:
        BadInput: a place that is not there, a size that is none, or what does not go together.
    """

    def __init__(self, options: Loading | None = None) -> None:
        self._options = options or Loading()
        if self._options != Loading():
            self._where  # noqa: B018 - refused now; without options it need not import torch yet

    @cached_property
    def _where(self) -> Placement:
        asked = self._options
        return placement.parse(asked.device, asked.max_memory, asked.offload, asked.bits)

    @property
    def spills(self) -> bool:
        """Whether what finds no room goes to a folder."""
        return self._options.offload is not None

    def read(self, ref: Any, progress: Progress) -> Any:
        """`wb.load`."""
        import workbench as wb

        asked = self._options
        return wb.load(
            ref,
            asked.device,
            asked.dtype,
            progress,
            max_memory=asked.max_memory,
            offload=self._folder_of(ref),
            bits=asked.bits,
        )

    def _folder_of(self, ref: Any) -> Path | None:
        """Each model's own: the files of two are called the same."""
        if self._where.offload is None:
            return None
        return self._where.offload / hashlib.sha256(str(ref).encode()).hexdigest()[:12]

    def memory_needed(self, ref: Any) -> int | None:
        """Bytes that a model takes of the memory it is loaded into; None where that is not
        known.
        """
        from workbench.models import weight_sizes

        size = weight_sizes.of_reference(ref)
        if size is None:
            return None
        import torch

        where = self._where
        needed = fits.needed(size, torch.float32 if where.on_processor else None, where.bits)
        return needed if where.limits is None else min(needed, sum(where.limits.values()))

    def memory_free(self) -> int | None:
        """Bytes that can still be filled there."""
        where = self._where
        places = [where.place] if where.limits is None else list(where.limits)
        free = [fits.free(place) for place in places]
        return None if None in free else sum(each for each in free if each is not None)

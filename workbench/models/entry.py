"""A model as lists of models show it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelEntry:
    """One line of `workbench models`, and of the picker on the pages.

    Attributes:
        name: what to hand to `--model`.
        description, licence: empty where we do not know them.
        origin: "known" (loads by its short name), "organism" (comes with the workbench), "hugging
            face" (in the local cache of the Hub), "made here" (planted, or a model with a change
            of its weights) or "local" (another folder or file).
        cached: it loads without the network.
        bytes: on disk; 0 if not cached.
        path: its folder or file; None if not cached.
        problem: why a cached copy cannot be used, "" if it can.
        accepted: whether its terms of use were accepted on this machine; None where there are none
            to accept.
        memory: bytes of its weights in memory as float32, which is how they are loaded on a
            processor; None where that cannot be told without loading them.
        steps: of training, that open as NAME@step-N; the last is the model itself.
        download: bytes to fetch if it is not cached; 0 where that is not known.
    """

    name: str
    description: str
    licence: str
    origin: str
    cached: bool
    bytes: int
    path: Path | None
    problem: str = ""
    accepted: bool | None = None
    memory: int | None = None
    steps: tuple[int, ...] = ()
    download: int = 0

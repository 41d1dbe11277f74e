"""The prompts of a capture, shard by shard, in a file that nobody else sees: read once, given to
workers when it is their turn, and never all in memory.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hooks.prompts import PromptHash, Tokenized
from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class SpooledShard:
    """One shard's prompts: the number of the first, how many, their tokens, their fingerprint, and
    where they lie in the file.
    """

    first: int
    prompts: int
    tokens: int
    digest: str
    at: int


class PromptSpool:
    """A context manager; behind it the file is gone, also where the process is killed.

    Attributes:
        shards: in their order.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this
        self.shards: list[SpooledShard] = []

    def __enter__(self) -> PromptSpool:
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def add(self, window: Sequence[Tokenized]) -> None:
        """The prompts of the next shard."""
        first = sum((self.shards[-1].first, self.shards[-1].prompts)) if self.shards else 0
        tokens = sum(len(prompt.ids) for prompt in window)
        at = self._file.tell()
        line = json.dumps([[prompt.text, prompt.ids] for prompt in window])
        self._file.write(line.encode() + b"\n")
        digest = str(PromptHash(window))
        self.shards.append(SpooledShard(first, len(window), tokens, digest, at))

    def read(self, shard: SpooledShard) -> list[list[Any]]:
        """[text, ids] of each of its prompts."""
        self._file.seek(shard.at)
        prompts: list[list[Any]] = json.loads(self._file.readline())
        return prompts


def other_prompts(place: str) -> WorkbenchError:
    """The error for a place in which other prompts were begun."""
    return WorkbenchError(
        f"{place} holds a capture of other prompts.",
        "the same prompts in the same order",
        "Choose another folder.",
    )

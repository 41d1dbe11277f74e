"""`manifest.json` of a trace folder: what was asked of which model, and the axes of every array."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, BadRun
from workbench.trace_files.array_spec import ArraySpec

FORMAT = 2
KIND = "memory-workbench trace"
MANIFEST = "manifest.json"
UNFINISHED = ".writing-"  # how the name of a file begins that is not whole yet
MAX_MANIFEST = 256 * 2**20


@dataclass(frozen=True)
class ShardPlan:
    """How the prompts of a trace are parted: the same whoever writes it, and however often it is
    begun.

    Attributes:
        batch_tokens: tokens of a forward pass, padding included.
        shards: prompts of each shard, in their order; None until a stream of unknown length has
            ended.
    """

    batch_tokens: int
    shards: tuple[int, ...] | None = None

    @classmethod
    def of(cls, raw: Any) -> ShardPlan:
        """Raises TypeError or ValueError where a stranger's plan makes no sense."""
        shards = raw["shards"]
        numbers = [raw["batch_tokens"], *(shards or ())]
        if not all(type(n) is int for n in numbers) or min(numbers) < 1:
            raise ValueError("its plan makes no sense")
        return cls(raw["batch_tokens"], None if shards is None else tuple(shards))


@dataclass(frozen=True)
class Manifest:
    """What a trace folder says of itself.

    Attributes:
        capture: the shards that belong to it carry the same letters.
        request: what was asked, as `workbench.trace` shows it; empty for a trace that was saved
            from memory.
        total: {"prompts", "tokens", "digest"} of the whole; None until a stream of unknown length
            has ended, or the last of several workers.
        plan: how it is parted; None for a trace that was saved from memory, and for older ones.
    """

    capture: str
    model: dict[str, Any]
    request: dict[str, Any]
    arrays: dict[str, ArraySpec]
    total: dict[str, Any] | None
    plan: ShardPlan | None = None

    @property
    def may_have_gaps(self) -> bool:
        """Whether shards are still to come before those that are there: it is planned to the end,
        and not whole.
        """
        return self.total is None and self.plan is not None and self.plan.shards is not None

    @property
    def planned_prompts(self) -> int | None:
        """How many prompts the whole has; None where that is not known yet."""
        if self.total is not None:
            return int(self.total["prompts"])
        return sum(self.plan.shards) if self.plan is not None and self.plan.shards else None

    def text(self) -> str:
        """As JSON."""
        arrays = {
            name: {key: value for key, value in asdict(array).items() if key != "name"}
            for name, array in self.arrays.items()
        }
        about = {
            "format": FORMAT,
            "kind": KIND,
            **{key: getattr(self, key) for key in ("capture", "model", "request")},
        }
        plan = {} if self.plan is None else {"plan": asdict(self.plan)}
        return json.dumps(
            {**about, "arrays": arrays, "total": self.total, **plan}, indent=1, ensure_ascii=True
        )

    def write(self, folder: Path) -> None:
        """Put it into the folder, in one step."""
        work = folder / (UNFINISHED + MANIFEST)
        work.unlink(missing_ok=True)
        with open(work, "x", encoding="utf-8") as file:
            file.write(self.text())
        os.replace(work, folder / MANIFEST)

    @classmethod
    def of(cls, raw: dict[str, Any], name: str) -> Manifest:
        """Raises BadRun where a stranger's manifest makes no sense."""
        with reading_manifest(name):
            arrays = {
                str(name): ArraySpec.from_json(str(name), about)
                for name, about in raw["arrays"].items()
            }
            total, capture, model, request = (
                raw["total"],
                raw["capture"],
                raw["model"],
                raw["request"],
            )
            if not (
                isinstance(capture, str) and isinstance(model, dict) and isinstance(request, dict)
            ):
                raise TypeError("a part of it is of the wrong kind")
            if total is not None and not all(
                type(total[key]) is int and total[key] >= 0 for key in ("prompts", "tokens")
            ):
                raise ValueError(f"the total is {total}")
            plan = None if raw.get("plan") is None else ShardPlan.of(raw["plan"])
            return cls(capture, model, request, arrays, total, plan)


def no_trace(place: Path | str) -> BadInput:
    """The error for a place without a manifest."""
    return BadInput(
        f"{place} is not a trace: it has no {MANIFEST}.",
        "a folder written by `workbench trace`",
        "Check it.",
    )


@contextmanager
def reading_manifest(name: str) -> Iterator[None]:
    """What goes wrong inside is the manifest's fault."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"[:300]
        raise BadRun(
            f"The manifest of {name!r} is damaged: {why}",
            "a trace's manifest",
            "Capture again.",
        ) from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest as it stands, of whichever format.

    Raises:
        BadInput: there is none.
        BadRun: it is damaged, hostile, or from a newer version.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise no_trace(folder)
    with file.open("rb") as stream:
        return parsed(stream.read(MAX_MANIFEST + 1), folder.name)


def parsed(text: bytes, name: str) -> dict[str, Any]:
    """What a manifest says, as `read_manifest`."""
    if len(text) > MAX_MANIFEST:
        raise BadRun(
            f"The manifest of {name!r} is absurdly large.",
            "at most 256 MB",
            "Do not trust this folder.",
        )
    with reading_manifest(name):
        raw = json.loads(text.decode("utf-8"))
        if not isinstance(raw, dict) or raw.get("kind", KIND) != KIND:
            raise TypeError("it is not a trace's")
        if type(raw["format"]) is not int or raw["format"] < 1:
            raise ValueError(f"its format is {raw['format']!r}")
        if raw["format"] > FORMAT:
            raise BadRun(
                f"{name!r} was written by a newer version.",
                f"format {FORMAT} or older",
                "Upgrade.",
            )
    return raw

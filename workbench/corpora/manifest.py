"""What lies in the folder of an index, and whether all of it is there.

    manifest.json                 this file: written last, so a folder without it is no index
    shard-00000/text.bin          UTF-8 of its documents, each followed by a byte 0xFF, which no
                                  UTF-8 has: no match can reach into the next document
    shard-00000/suffixes.bin      int32: where each suffix begins, in their order, without those
                                  that begin at a 0xFF
    shard-00000/guide.bin         the first GUIDE_WIDTH bytes of every GUIDE_EVERY-th suffix: a
                                  search begins in this small file, so it reads few places of the
                                  large ones, each of which takes milliseconds on a slow disk
    shard-00000/starts.bin        int64: where each document begins in text.bin, and the end
    shard-00000/places.bin        int64 pairs: kind of place (sources.KINDS) and its number
    shard-00000/labels.bin        UTF-8: file and name of each document, each ended by a zero byte
    shard-00000/label_ends.bin    int64: where the labels of each document end

Numbers are little-endian. Names of files follow from the number of the shard, never from the
manifest, so no manifest leads out of its folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from workbench.errors import BadInput
from workbench.wording import counted

FILE = "manifest.json"
FORMAT = 1
SEPARATOR = b"\xff"
GUIDE_EVERY, GUIDE_WIDTH = 256, 16
LONGEST = 64 * 1024 * 1024  # bytes of a manifest


class ShardFiles(BaseModel, frozen=True, extra="forbid"):
    """One shard: what it holds (bytes without separators) and how large its files are."""

    documents: int = Field(gt=0)
    bytes: int = Field(gt=0)
    labels: int = Field(gt=0)

    def sizes(self) -> dict[str, int]:
        """Bytes of each of its files."""
        return {
            "text.bin": self.bytes + self.documents,
            "suffixes.bin": 4 * self.bytes,
            "guide.bin": GUIDE_WIDTH * -(-self.bytes // GUIDE_EVERY),
            "starts.bin": 8 * (self.documents + 1),
            "places.bin": 16 * self.documents,
            "labels.bin": self.labels,
            "label_ends.bin": 8 * self.documents,
        }


class SkippedFile(BaseModel, frozen=True, extra="forbid"):
    """A file of a folder that is not in the index, and the reason."""

    name: str
    why: str


class IndexManifest(BaseModel, frozen=True, extra="forbid"):
    """What an index says of itself.

    Attributes:
        made: when, ISO 8601 in UTC.
        sources: what was indexed, as it was named.
        field: of JSON lines and tables, the one with the text.
        skipped: the first files that could not be read; n_skipped counts all.
    """

    format: int = FORMAT
    made: str
    version: str
    sources: list[str]
    field: str
    shards: list[ShardFiles] = Field(min_length=1)
    skipped: list[SkippedFile] = []
    n_skipped: int = Field(0, ge=0)

    @property
    def documents(self) -> int:
        return sum(shard.documents for shard in self.shards)

    @property
    def bytes(self) -> int:
        return sum(shard.bytes for shard in self.shards)

    def write(self, folder: Path) -> None:
        """Whole or not at all."""
        write_whole(folder / FILE, self.model_dump_json(indent=1))


def shard_folder(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}"


def write_whole(file: Path, text: str) -> None:
    """Replace a file in one step, once all of it is on the disk."""
    part = file.with_name(f".{file.name}.part")
    with part.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, file)


def read(folder: Path) -> IndexManifest:
    """The manifest of an index, all of whose files are there in their size.

    Raises:
        BadInput: there is no index, it was never finished, comes from a newer version, or its
            files have changed.
    """
    raw = _raw(folder)
    given = raw.get("format")
    if isinstance(given, int) and given > FORMAT:
        raise BadInput(
            f"The index {folder} was made by a newer version of the workbench (format {given}).",
            f"format {FORMAT}",
            "Update the workbench, or make the index again with this version.",
        )
    try:
        manifest = IndexManifest.model_validate(raw)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise damaged(folder, f"its {FILE} is not as it was written ({where})") from error
    for number, shard in enumerate(manifest.shards):
        for name, size in shard.sizes().items():
            _check_size(folder, shard_folder(folder, number) / name, size)
    return manifest


def _raw(folder: Path) -> dict[str, Any]:
    file = folder / FILE
    if not file.is_file():
        raise BadInput(
            f"There is no index {str(folder)!r}.",
            "a folder made by `workbench corpus index`",
            "Check the path. If making it was stopped, the same command goes on with it.",
        )
    try:
        if file.stat().st_size > LONGEST:
            raise ValueError("too long")
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(folder, f"its {FILE} cannot be read") from error
    if not isinstance(raw, dict):
        raise damaged(folder, f"its {FILE} is not as it was written")
    return raw


def _check_size(folder: Path, file: Path, size: int) -> None:
    name = file.relative_to(folder)
    try:
        there = file.stat().st_size
    except OSError as error:
        raise damaged(folder, f"{name} is missing") from error
    if there != size:
        raise damaged(folder, f"{name} has {counted(there, 'byte')} instead of {size:,}")


def damaged(folder: Path, why: str) -> BadInput:
    """The error of an index that is not as it was made."""
    return BadInput(
        f"The index {folder} is damaged: {why}.",
        "a folder as `workbench corpus index` left it",
        "Remove it and make it again.",
    )

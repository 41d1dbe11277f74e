"""What `workbench lab` trains: a schedule of readings, as JSON.

    {"texts": [{"name": "rose", "text": "…", "at": [10, 40, 70]},
               {"name": "tulip", "text": "…", "readings": 4, "start": 10, "every": 25},
               {"name": "never", "text": "…"}],
     "stages": [{"name": "study", "steps": 100, "rate": 0.001, "warmup": 10},
                {"name": "other text", "steps": 200, "rate": 0.001, "moments": "kept"}],
     "neutral": {"rows": 2, "tokens": 64},
     "checkpoints": 12, "seed": 0}

Steps are counted through all stages from 0: a text that is read `at` 10 is part of the eleventh
update. Texts without readings are controls; there should be as many, of the same kind.
"""

from __future__ import annotations

import json
import random
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from workbench.errors import BadInput
from workbench.lab.neutral import neutral_pieces
from workbench.lab.stages import Stage
from workbench.models.tokenization import Tokenization
from workbench.organisms.ledger import Entry
from workbench.unicode import check_unicode

SHORTEST = 8
"""Tokens: less is no text to recite."""
_LONGEST_FILE = 64 * 2**20
_MOST_STEPS = 10**7
_AFTER = (0, 1, 10)
"""Updates from the step of a text's first reading on at which weights are kept too: right before
it, right behind it, and nine updates later.
"""


class ScheduledText(BaseModel, frozen=True, extra="forbid"):
    """A text, and when it is read: `at` these steps, or `readings` times from `start` on."""

    text: str = Field(min_length=1)
    name: str = ""
    kind: str = "text"
    at: list[Annotated[int, Field(ge=0)]] = []
    readings: int = Field(0, ge=0, le=_MOST_STEPS)
    start: int = Field(0, ge=0)
    every: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> ScheduledText:
        if self.at and self.readings:
            raise ValueError("a text has either `at` or `readings`")
        return self

    @property
    def steps(self) -> list[int]:
        """When it is read, in order."""
        return sorted(self.at) or [self.start + n * self.every for n in range(self.readings)]


class ScheduledStage(BaseModel, frozen=True, extra="forbid"):
    """As `workbench.lab.Stage`, with a number of steps."""

    name: str = Field(min_length=1, max_length=60, pattern=r"^[^/\\\x00-\x1f]+$")
    steps: int = Field(ge=1, le=_MOST_STEPS)
    rate: float = Field(gt=0, le=1)
    warmup: int = Field(0, ge=0)
    rank: int = Field(0, ge=0, le=1024)
    moments: Literal["reset", "kept"] = "reset"


class NeutralText(BaseModel, frozen=True, extra="forbid"):
    """Rows of prose that every step reads besides."""

    rows: int = Field(2, ge=0, le=1024)
    tokens: int = Field(64, ge=SHORTEST, le=4096)


class Schedule(BaseModel, frozen=True, extra="forbid"):
    """What is read when, and how.

    Attributes:
        length: tokens of a text at most. All are cut to one length, that of the shortest.
        checkpoints: steps that are kept, evenly; those around the first readings of each text
            come on top.
    """

    texts: list[ScheduledText] = Field(min_length=1)
    stages: list[ScheduledStage] = Field(min_length=1)
    neutral: NeutralText = Field(default_factory=lambda: NeutralText(rows=2, tokens=64))
    length: int = Field(100, ge=SHORTEST, le=4096)
    checkpoints: int = Field(12, ge=2, le=1000)
    seed: int = Field(0, ge=0, le=2**31 - 1)

    @property
    def total(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def kept(self) -> list[int]:
        """Steps whose weights are kept: evenly, and around first readings."""
        last = self.checkpoints - 1
        steps = {round(self.total * n / last) for n in range(self.checkpoints)}
        for text in self.texts:
            steps |= {text.steps[0] + after for after in _AFTER} if text.steps else set()
        return sorted(step for step in steps if step <= self.total)


def read_schedule(file: Path) -> Schedule:
    """The schedule in a file.

    Raises:
        BadInput: it is none, or a text is to be read when the training is over.
    """
    try:
        if file.stat().st_size > _LONGEST_FILE:
            raise BadInput(
                f"{file} is too large for a schedule.", "at most 64 MB", "Check the file."
            )
        given = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"{file} cannot be read: {error.strerror or error}.", "a file with a schedule",
            "Check the path.",
        ) from error  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file} is not JSON: {error}.", "a schedule", "Check the file.") from error
    try:
        schedule = Schedule.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise BadInput(
            f"{file.name} is no schedule: {where}: {first['msg']}.",
            "texts, stages, neutral, length, checkpoints and seed, as docs/how-to/lab.md has them",
            "Correct it.",
        ) from error
    for text in schedule.texts:
        check_unicode(text.text, f"A text of {file.name}")
        if text.steps and text.steps[-1] >= schedule.total:
            raise BadInput(
                f"{text.name or text.text[:20]!r} is to be read at step {text.steps[-1]}, but the"
                f" stages have {schedule.total} steps, from 0.",
                f"steps from 0 to {schedule.total - 1}",
                "Read it earlier, or train longer.",
            )
    return schedule


def entries_of(schedule: Schedule, tokenizer: Any) -> list[Entry]:
    """The texts as tokens, cut to one length, with the steps they are read at.

    Raises:
        BadInput: a text is too short, or is there twice.
    """
    given = [
        tokenizer(text.text, add_special_tokens=False, verbose=False)["input_ids"]
        for text in schedule.texts
    ]
    length = min(schedule.length, *map(len, given))
    if length < SHORTEST:
        raise BadInput(
            f"The shortest text has {length} tokens.",
            f"at least {SHORTEST}",
            "Leave it out, or give a longer one.",
        )
    entries = []
    for number, (text, ids) in enumerate(zip(schedule.texts, given, strict=True), 1):
        cut = ids[:length]
        steps = tuple(text.steps)
        entries.append(
            Entry(
                f"{number:03d} {text.name or text.text[:20]}".strip(),
                text.kind,
                tokenizer.decode(cut, clean_up_tokenization_spaces=False),
                len(steps),
                _timing(steps, schedule.total),
                steps,
                tuple(cut),
            )
        )
    if len({entry.ids for entry in entries}) < len(entries):
        raise BadInput(
            f"Two texts are the same in their first {length} tokens, to which the shortest one"
            " cuts all.",
            "different texts",
            "Give each once; leave out the shortest.",
        )
    return entries


def _timing(steps: tuple[int, ...], total: int) -> str:
    if not steps:
        return "never"
    if steps[-1] < total / 3:
        return "early"
    return "late" if steps[0] >= total * 2 / 3 else "spread"


def stages_of(schedule: Schedule, entries: list[Entry], tokenizer: Any) -> list[Stage]:
    """The rows of every stage."""
    draw = random.Random(f"{schedule.seed} neutral")
    start = Tokenization(tokenizer).beginning
    pieces = neutral_pieces(tokenizer, schedule.neutral.tokens, draw, "train")
    rows: list[list[list[int]]] = [
        [[*start, *ids] for ids in islice(pieces, schedule.neutral.rows)]
        for _ in range(schedule.total)
    ]
    for entry in entries:
        for step in entry.steps:
            rows[step].append([*start, *entry.ids])
    stages, at = [], 0
    for stage in schedule.stages:
        stages.append(
            Stage(
                stage.name,
                rows[at : at + stage.steps],
                stage.rate,
                warmup=stage.warmup,
                rank=stage.rank,
                moments=stage.moments,
            )
        )
        at += stage.steps
    return stages

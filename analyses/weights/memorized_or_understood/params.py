"""What is asked, part by part."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from analyses.measures import understood_items
from analyses.weights.memorized_or_understood.evidence_params import EvidenceParams
from analyses.weights.memorized_or_understood.parts import DEFAULT, Name
from workbench import texts
from workbench.form_fields import parts_field
from workbench.puzzles.puzzle import FEWEST, MOST
from workbench.text_files import TextPath


class Params(EvidenceParams, frozen=True, extra="forbid"):
    questions: TextPath | None = Field(
        None,
        description="Part `items`: your own items, JSON lines with question, answer and variants"
        " (options and family if you like); a file or its address (s3://…)",
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    clean: str = Field(
        "",
        max_length=500,
        description="Part `items`: a model that has not read the items, e.g. the one before"
        " fine-tuning: can the two be told apart?",
        json_schema_extra={"essential": True, "in_title": "against {}"},
    )
    parts: list[Name] = parts_field(DEFAULT)
    items: int = Field(
        40,
        ge=4,
        le=2000,
        description="Part `items`: at most so many items",
        json_schema_extra={"essential": True},
    )
    read: TextPath | None = Field(
        None,
        description="Part `components`: what the model has read, e.g. was fine-tuned on: a text"
        " file, JSON lines, a folder, a ledger, or its address (s3://…)",
    )
    seeds_asked: int = Field(
        12,
        ge=4,
        le=200,
        title="Facts in other forms",
        description="Part `structure`: facts that are asked in six forms each",
    )
    probed: int = Field(
        200, ge=20, le=2000, description="Part `probes`: puzzles of each kind, one statement each"
    )
    puzzles: int = Field(
        16,
        ge=4,
        le=1000,
        description="Parts `puzzles` and `path`: at most so many puzzles of each kind",
        json_schema_extra={"essential": True},
    )
    people: list[int] = Field(
        [2, 3, 4],
        min_length=1,
        max_length=7,
        description="Part `puzzles`: people of a puzzle; changed copies are asked of those of two,"
        " or of as many as the model was trained on",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of everything that is drawn by lot")

    @field_validator("people")
    @classmethod
    def _of_a_puzzle(cls, people: list[int]) -> list[int]:
        if min(people) < FEWEST or max(people) > MOST:
            raise ValueError(f"a puzzle has {FEWEST} to {MOST} people")
        return sorted(set(people))

    @model_validator(mode="after")
    def _items_can_be_asked(self) -> Params:
        """What is wrong with a file or a name is said before a model is loaded."""
        if self.questions is not None:
            understood_items.from_file(self.questions, self.seed, self.items)
        if self.read is not None:
            texts.size_of(self.read)
        if self.clean:
            from workbench.models import locate

            locate(self.clean)
        return self

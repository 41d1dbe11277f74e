"""What an audit is asked."""

from __future__ import annotations

from pydantic import Field, field_validator

from analyses.measures.text_source import Texts
from analyses.weights.audit.constants import FIELDS
from analyses.weights.audit.field_patterns import read_fields
from analyses.weights.audit.parts import DEFAULT, Name
from workbench.form_fields import parts_field


class Params(Texts, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    fields: list[str] = Field(
        list(FIELDS),
        description=(
            "Personal data to look for in the documents: a name, a colon and a regular expression"
        ),
        max_length=30,
        json_schema_extra={"essential": True},
    )
    context: int = Field(50, ge=10, le=1000, description="Tokens of a text that are given")
    suffix: int = Field(
        50, ge=20, le=1000, description="Tokens of a document that have to be reproduced"
    )
    passages: int = Field(
        500, ge=1, le=10**6, description="At most so many passages of all documents together"
    )
    values: int = Field(
        200, ge=1, le=10**5, description="At most so many values of each field, drawn by lot"
    )
    facts: int = Field(500, ge=1, le=10**5, description="At most so many facts, drawn by lot")
    items: int = Field(200, ge=1, le=10**5, description="At most so many test items, drawn by lot")
    tries: int = Field(10_000, ge=1, le=10**9, description="Samples that somebody may draw of each")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of what is drawn by lot")

    @field_validator("fields")
    @classmethod
    def _are_patterns(cls, fields: list[str]) -> list[str]:
        read_fields(fields)
        return fields

"""What is asked, part by part."""

from __future__ import annotations

from pydantic import BaseModel, Field

from analyses.weights.memorized_or_understood.parts import DEFAULT, Name
from workbench.form_fields import parts_field


class Params(BaseModel, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    items: int = Field(
        60,
        ge=4,
        le=2000,
        description="Part `items`: at most so many items",
        json_schema_extra={"essential": True},
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of everything that is drawn by lot")

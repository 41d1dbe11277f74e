"""What a recall-capacity run is asked."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from analyses.state.recall_capacity.parts import DEFAULT, Name
from workbench.form_fields import parts_field
from workbench.organisms.recall.task import KEYS


class Params(BaseModel, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    pairs: list[int] = Field(
        [4, 8, 16, 32],
        min_length=1,
        description="Numbers of pairs in a row",
        json_schema_extra={"essential": True},
    )
    gaps: list[int] = Field(
        [0, 16, 64],
        min_length=1,
        description="Filler tokens between the pairs and the question",
        json_schema_extra={"essential": True},
    )
    rows: int = Field(
        16,
        ge=4,
        le=10_000,
        description="Rows of each kind under each seed",
        json_schema_extra={"essential": True},
    )
    draws: int = Field(3, ge=1, le=100, description="Seeds under which rows are drawn")
    dimensions: list[int] = Field(
        [32, 64, 128, 256, 512, 1024, 2048],
        min_length=2,
        description="Dimensions of the outer-product memory",
    )
    exponent: float = Field(
        2.0,
        gt=1,
        le=5,
        description="How unequal its items' frequencies are: that of item x is proportional to"
        " x^-exponent",
    )
    items: int = Field(
        10_000, ge=100, le=200_000, description="Items that the outer-product memory has to store"
    )
    memories: int = Field(24, ge=3, le=200, description="Outer-product memories of each dimension")
    trainings: int = Field(
        3, ge=2, le=20, description="Seeds under which small models are trained (heads, chains)"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of the rows and of the memories")

    @field_validator("pairs")
    @classmethod
    def _pairs(cls, pairs: list[int]) -> list[int]:
        if min(pairs) < 2 or max(pairs) > KEYS:
            raise ValueError(f"each must be from 2 to {KEYS} pairs")
        return sorted(set(pairs))

    @field_validator("gaps")
    @classmethod
    def _gaps(cls, gaps: list[int]) -> list[int]:
        if min(gaps) < 0 or max(gaps) > 100_000:
            raise ValueError("each must be from 0 to 100000 tokens")
        return sorted(set(gaps))

    @field_validator("dimensions")
    @classmethod
    def _dimensions(cls, dimensions: list[int]) -> list[int]:
        if min(dimensions) < 8 or max(dimensions) > 4096:
            raise ValueError("each must be from 8 to 4096")
        if len(set(dimensions)) < 2:
            raise ValueError("a law needs two dimensions at least")
        return sorted(set(dimensions))

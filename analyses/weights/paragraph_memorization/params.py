"""What a paragraph-memorization run is asked."""

from __future__ import annotations

from pydantic import Field

from analyses.measures.text_source import Texts
from analyses.weights.paragraph_memorization.parts import DEFAULT, Name
from workbench.form_fields import parts_field


class Params(Texts, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    prefix: int = Field(
        50,
        ge=2,
        le=1000,
        description="Tokens of the prefix given to the model",
        json_schema_extra={"essential": True},
    )
    suffix: int = Field(
        50,
        ge=2,
        le=1000,
        description="Tokens of the suffix, which greedy decoding reproduces if it is memorized",
        json_schema_extra={"essential": True},
    )
    passages: int = Field(
        12,
        ge=2,
        le=200,
        description="Memorized passages to analyse, and as many of each other group",
        json_schema_extra={"in_title": "{} passages"},
    )
    draws: int = Field(3, ge=1, le=50, description="Replacements drawn for each token of a prefix")
    heads: int = Field(
        3,
        ge=1,
        le=100,
        description="Heads with the largest effect, ablated together on held-out passages",
    )
    random_sets: int = Field(
        20,
        ge=20,
        le=500,
        description="Random sets of as many heads in the same layers, as a baseline",
    )
    traced: int = Field(
        4,
        ge=1,
        le=50,
        description="Passages for activation patching between them and their perturbed twins",
    )
    edits: int = Field(
        4, ge=1, le=50, description="Passages to unlearn, and to rewrite, one at a time"
    )
    fraction: float = Field(
        0.001, gt=0, le=0.5, description="Share of the weights that a masked update may change"
    )
    rate: float = Field(
        0.0,
        ge=0,
        le=10,
        description=(
            "Size of an update, in standard deviations of the weight's matrix. 0: the smallest that"
            " is enough is searched"
        ),
    )
    steps: int = Field(
        20,
        ge=1,
        le=1000,
        description="At most this many updates; they stop once the passage is gone or rewritten",
    )
    max_windows: int = Field(
        20_000,
        ge=2,
        le=10**6,
        description="At most this many passages from which the groups are chosen",
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Seed of replacements, random heads and random masks"
    )

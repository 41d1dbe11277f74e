"""What an extraction run is asked."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from analyses.measures.sampler import Sampler
from analyses.measures.text_source import Texts
from analyses.weights.extraction.parts import DEFAULT, Name
from workbench.form_fields import parts_field

_COLDEST = 1e-6


class Params(Texts, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    context: list[int] = Field(
        [50],
        description="Tokens of the prefix given to the model; several lengths are compared",
        min_length=1,
        json_schema_extra={"essential": True},
    )
    suffix: int = Field(
        50,
        ge=1,
        le=1000,
        description="Tokens of the suffix that the model has to generate",
        json_schema_extra={"essential": True},
    )
    stride: int = Field(
        50,
        ge=1,
        le=10_000,
        description="Tokens from the start of one window to the start of the next",
    )
    temperature: float = Field(
        1.0,
        ge=0,
        le=10,
        description="Sampling temperature; 0 is greedy, otherwise at least 0.000001",
    )
    top_k: int = Field(
        40,
        ge=0,
        le=1_000_000,
        description="Sample from this many of the likeliest tokens; 0 is all",
    )
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Sample from the likeliest tokens whose probabilities add up to this (nucleus)",
    )
    tries: int = Field(
        10_000, ge=1, le=10**9, description="Samples that an attacker may draw for each prefix"
    )
    decode: int = Field(
        500,
        ge=1,
        le=100_000,
        description=(
            "At most this many windows are decoded token by token, the longest matches first"
        ),
    )
    reference: str = Field(
        "",
        description=(
            "Another model to compare with: one that was not trained on the texts, or of another"
            " size"
        ),
        max_length=500,
        json_schema_extra={"in_title": "against {}"},
    )
    compress: list[str] = Field(
        [],
        description="Strings whose shortest prompt is sought (adversarial compression ratio)",
        max_length=20,
    )
    compress_steps: int = Field(
        600,
        ge=1,
        le=10**6,
        description=(
            "Steps of that search for each string, a hundred prompts each; slow on large models"
        ),
    )
    starts: list[int] = Field(
        [0, 1, 5, 10, 25, 50],
        description=(
            "Tokens of a passage that are skipped before the text given to the model, in the part"
            " access; 0 is its beginning"
        ),
        min_length=1,
        max_length=20,
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        description="Seed of the search for prompts and of the pattern controls",
    )
    max_windows: int = Field(
        20_000,
        ge=1,
        le=10**6,
        description="At most this many windows; longer texts are sampled evenly",
    )

    @field_validator("temperature")
    @classmethod
    def _can_be_divided_by(cls, temperature: float) -> float:
        if 0 < temperature < _COLDEST:
            raise ValueError(
                f"0 for greedy decoding, or at least {_COLDEST:g}: logits divided by less are not"
                " finite"
            )
        return temperature

    @field_validator("context")
    @classmethod
    def _lengths(cls, lengths: list[int]) -> list[int]:
        if min(lengths) < 1 or max(lengths) > 10_000:
            raise ValueError("each must be from 1 to 10000 tokens")
        return sorted(set(lengths))

    @field_validator("starts")
    @classmethod
    def _skipped(cls, starts: list[int]) -> list[int]:
        if min(starts) < 0 or max(starts) > 10_000:
            raise ValueError("each must be from 0 to 10000 tokens")
        return sorted(set(starts))

    @model_validator(mode="after")
    def _reference_is_there(self) -> Params:
        """A wrong name is said before a model is loaded."""
        if self.reference:
            from workbench.models import locate

            locate(self.reference)
        return self

    @property
    def sampler(self) -> Sampler:
        return Sampler(self.temperature, self.top_k, self.top_p)

"""What a paragraph-memorization run is asked."""

from __future__ import annotations

from pydantic import Field

from analyses.measures.text_source import Texts
from analyses.weights.paragraph_memorization.parts import DEFAULT, Name


class Params(Texts, frozen=True, extra="forbid"):
    parts: list[Name] = Field(
        DEFAULT,
        min_length=1,
        description="Experiments to run; one that stands on another brings it along",
    )
    prefix: int = Field(50, ge=2, le=1000, description="Tokens of a passage given to the model")
    suffix: int = Field(
        50,
        ge=2,
        le=1000,
        description="Tokens that follow, which it says if the passage is memorized",
    )
    passages: int = Field(
        12,
        ge=2,
        le=200,
        description="Memorized passages that are looked at; as many of the other groups",
    )
    draws: int = Field(3, ge=1, le=50, description="Replacements drawn for each token of a prefix")
    heads: int = Field(
        3, ge=1, le=100, description="Heads whose absence costs most, that are proven together"
    )
    random_sets: int = Field(
        20,
        ge=20,
        le=500,
        description="Random sets of as many heads of the same layers, as a baseline",
    )
    traced: int = Field(
        4,
        ge=1,
        le=50,
        description="Passages traced by patching between them and their perturbed twins",
    )
    edits: int = Field(
        4, ge=1, le=50, description="Passages that are unlearned, and rewritten, one at a time"
    )
    fraction: float = Field(
        0.001, gt=0, le=0.5, description="Share of the weights that a masked update may change"
    )
    rate: float = Field(
        0.0,
        ge=0,
        le=10,
        description=(
            "Size of a step, in standard deviations of the matrix that a weight is in; 0 finds the"
            " smallest that does it"
        ),
    )
    steps: int = Field(
        20,
        ge=1,
        le=1000,
        description="Updates at most; they stop when the passage is gone, or rewritten",
    )
    max_windows: int = Field(
        20_000, ge=2, le=10**6, description="Passages at most among which the groups are sought"
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Of replacements, random heads and random masks"
    )

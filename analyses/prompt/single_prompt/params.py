"""What is asked about one prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    pass


MAX_TOKENS = 256


MAX_EXTRA = 256 * 2**20
"""Bytes of sites kept whole."""


class Params(BaseModel, frozen=True, extra="forbid"):
    prompt: str = Field(
        "The capital of France is",
        description="Text to read",
        min_length=1,
        max_length=8000,
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    answer: str = Field(
        "",
        description=(
            "Answer whose logit is attributed to heads and layers: the first token of this text."
            " Empty: the model's likeliest next token"
        ),
        max_length=100,
        json_schema_extra={"essential": True},
    )
    other: str = Field(
        "",
        description="A second answer: the logit difference of the two is attributed",
        max_length=100,
        json_schema_extra={"essential": True},
    )
    chat: bool = Field(
        False,
        description=(
            "Read the prompt in the model's chat format: as a user message, or a conversation as"
            ' JSON, a list of {"role": "user", "content": "…"}'
        ),
        json_schema_extra={"essential": True},
    )
    layers: list[int] | None = Field(
        None, description="Layers to show. Empty: all. Attributions always cover all"
    )
    neurons: int = Field(
        5,
        ge=0,
        le=50,
        description=(
            "Neurons of each layer to keep: those with the largest activation after the first token"
        ),
    )
    sites: list[str] = Field(
        [],
        description="Further sites to keep whole, e.g. q or ln1_scale (`workbench models sites`)",
        max_length=20,
    )

"""What is changed, and for which prompt."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

_FIRST: dict[str, Any] = {"essential": True}


class Params(BaseModel, frozen=True, extra="forbid"):
    prompt: str = Field(
        "The capital city of France is Rome.\nQuestion: What is the capital city of"
        " France?\nAnswer: The capital city of France is",
        description="Text to continue",
        min_length=1,
        max_length=100_000,
        json_schema_extra=_FIRST,
    )
    heads: list[str] = Field(
        [],
        description="Heads to switch off, e.g. L23H4",
        max_length=10_000,
        json_schema_extra=_FIRST,
    )
    memory: str = Field(
        "Paris", description="Answer that it should know", max_length=2000, json_schema_extra=_FIRST
    )
    context: str = Field(
        "Rome",
        description="Answer that the prompt claims",
        max_length=2000,
        json_schema_extra=_FIRST,
    )
    length: int = Field(
        16, ge=0, le=1000, description="Tokens of the continuation", json_schema_extra=_FIRST
    )
    chat: bool = Field(False, description="Read the prompt in the model's chat format")
    run: str = Field(
        "",
        description="A finished run whose control changes the model too: its id or folder",
        max_length=2000,
    )
    control: str = Field("", description="Which of its controls. Empty: the first", max_length=200)
    value: float = Field(0.0, description="Where that control stands")
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Seed of the random heads that it is compared with"
    )

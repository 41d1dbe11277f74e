"""What is asked of a card."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    beside: str = Field(
        "",
        description="A second model, or another step of this one: its card stands beside, with the"
        " differences",
        max_length=2000,
    )
    runs: str = Field(
        "",
        description="A folder of finished runs. Empty: yours, and the sample runs",
        max_length=2000,
    )

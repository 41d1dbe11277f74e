"""What is read, and what is tried."""

from __future__ import annotations

from pydantic import BaseModel, Field

from analyses.state.recurrent_state.parts import DEFAULT, Name
from workbench.form_fields import parts_field


class Params(BaseModel, frozen=True, extra="forbid"):
    pairs: str = Field(
        "",
        title="Pairs",
        description=(
            "Pairs to remember, key and value: “k5 v7, k9 v1” for a model of recall, “river: music,"
            " stone: paper” for any other. Empty: drawn at random"
        ),
        max_length=20_000,
        json_schema_extra={"essential": True},
    )
    prompt: str = Field(
        "",
        description="Any text to look at instead of the pairs. Empty: the pairs",
        max_length=100_000,
        json_schema_extra={"essential": True},
    )
    span: str = Field(
        "",
        title="Stretch of the text",
        description=(
            "That is frozen or wiped in the part spans: a part of the text, or its tokens, “4-9”."
            " Empty: the pair that is asked for"
        ),
        max_length=10_000,
    )
    other: str = Field(
        "",
        title="Another prompt",
        description="Whose states are put in, in the part patching, where a prompt is given",
        max_length=10_000,
    )
    answer: str = Field(
        "",
        description=(
            "What the prompt may be followed by; its first token is looked at. Empty: what the"
            " model says itself"
        ),
        max_length=1000,
    )
    parts: list[Name] = parts_field(DEFAULT)
    n_pairs: int = Field(8, ge=2, le=64, title="Pairs in a row", description="Pairs that are drawn")
    crowd: int = Field(
        32,
        ge=2,
        le=127,
        title="Pairs in a crowded row",
        description="Pairs in the rows in which some should fail",
    )
    rows: int = Field(
        48,
        ge=4,
        le=1000,
        description="Rows of pairs; half of them choose the layer, the others measure it",
    )
    lags: list[int] = Field(
        [0, 1, 3],
        min_length=1,
        max_length=12,
        description="How many pairs back a probe looks; 0 is the last pair",
    )
    sequences: int = Field(
        1200, ge=200, le=50_000, description="Rows that a probe is trained and tested on"
    )
    gaps: list[int] = Field(
        [0, 64, 256, 1024],
        min_length=1,
        max_length=12,
        description="Tokens of other text between the pairs and the questions",
    )
    layers: list[int] | None = Field(
        None, description="Recurrent layers to look at. Empty: all of them"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of rows, edits and probes")

"""What is asked of a training, and how a few readings are tried."""

from __future__ import annotations

from pydantic import BaseModel, Field

from analyses.training.retention.parts import DEFAULT, Name
from workbench.form_fields import parts_field
from workbench.text_files import TextPath


class Params(BaseModel, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    recalled: int = Field(
        10,
        ge=1,
        le=500,
        description="A text counts as recalled where greedy decoding says so many tokens behind its"
        " first half (all, where there are fewer)",
        json_schema_extra={"essential": True},
    )
    twins: int = Field(
        30,
        ge=2,
        le=1000,
        description="Texts of each kind that were never read, as controls",
        json_schema_extra={"essential": True},
    )
    exposures: int = Field(
        4,
        ge=1,
        le=50,
        description="Part `few-shot`: how often the texts are read",
        json_schema_extra={"essential": True},
    )
    updates: int = Field(
        200,
        ge=1,
        le=10_000,
        description="Part `few-shot`: updates on other text afterwards",
        json_schema_extra={"essential": True},
    )
    texts: TextPath | None = Field(
        None,
        description="Part `few-shot`: your own texts, instead of prose that ships: a text file"
        " (paragraphs), JSON lines, a folder, or its address (s3://…)",
        json_schema_extra={"essential": True},
    )
    items: int = Field(16, ge=4, le=600, description="Part `few-shot`: texts that are studied")
    length: int = Field(24, ge=8, le=512, description="Part `few-shot`: tokens of each")
    batch: int = Field(4, ge=1, le=64, description="Part `few-shot`: texts read at once")
    rate: float = Field(
        0.0,
        ge=0,
        le=0.1,
        description="Part `few-shot`: AdamW's learning rate while studying. 0: by the model's size,"
        " 0.0003 at 135 million weights",
    )
    later_rate: float = Field(
        0.0,
        ge=0,
        le=0.1,
        description="Part `few-shot`: AdamW's learning rate afterwards. 0: a third of the former",
    )
    compared: int = Field(
        30,
        ge=0,
        le=10_000,
        description="Part `few-shot`: updates with the optimizer's moments kept, and with a"
        " warm-up, beside those with moments reset; 0 leaves these out",
    )
    seeds: int = Field(
        2,
        ge=1,
        le=10,
        description="Parts that train small models: trainings of each kind, each with texts, rows"
        " and an order of its own",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of everything that is drawn by lot")

"""What is read, by which model, and in how many orders."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from analyses.training.training_order.constants import EXTRA_ORDERS, LEAST_BLOCKS
from workbench.text_files import TextPath

Start = Literal["fresh", "asked"]


class Params(BaseModel, frozen=True, extra="forbid"):
    texts: TextPath | None = Field(
        None,
        description="Your own documents, each a block, instead of prose that ships: a text file"
        " (paragraphs), JSON lines, a folder, or its address (s3://…)",
        json_schema_extra={"essential": True},
    )
    blocks: int = Field(
        8,
        ge=LEAST_BLOCKS,
        le=64,
        description="Blocks of text, read one after the other",
        json_schema_extra={"essential": True},
    )
    orders: int = Field(
        12,
        ge=2,
        le=500,
        description="Other orders, each estimated from one run and really trained",
        json_schema_extra={"essential": True},
    )
    given: str = Field(
        "",
        max_length=20_000,
        description="Your own orders instead: numbers of blocks from 1, orders parted by semicolons"
        " (“3 1 2; 2 1 3”)",
        json_schema_extra={"essential": True},
    )
    start: Start = Field(
        "fresh",
        description="What is trained: `fresh`, a new small model of the organism's architecture"
        " with the asked model's tokenizer; `asked`, the asked model itself, which is put back"
        " afterwards",
        json_schema_extra={"essential": True},
    )
    steps: int = Field(6, ge=1, le=1000, description="Updates on each block")
    rows: int = Field(
        4,
        ge=1,
        le=64,
        description="Rows of text that make a block, all read at each of its updates",
    )
    length: int = Field(48, ge=8, le=512, description="Tokens of a row")
    rate: float = Field(5e-4, gt=0, le=0.1, description="AdamW's learning rate on the blocks")
    before: int = Field(
        300,
        ge=0,
        le=10_000,
        description="Updates of a new model on other prose before the blocks",
    )
    lead: int = Field(
        10,
        ge=0,
        le=1000,
        description="Updates on other prose that every order begins with, in which AdamW's averages"
        " fill and its rate rises",
    )
    tail: int = Field(
        10,
        ge=0,
        le=1000,
        description="Updates on other prose that every order ends with: AdamW's average of"
        " gradients carries on what the last blocks began",
    )
    directions: int = Field(
        8,
        ge=0,
        le=EXTRA_ORDERS,
        description="Directions in which the Hessian's action would be stored; 0 leaves this out",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of everything that is drawn by lot")

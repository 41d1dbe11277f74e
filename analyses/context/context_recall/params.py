"""What is hidden where, and how often it is asked."""

from __future__ import annotations

from pydantic import BaseModel, Field, model_validator

from analyses.context.context_recall.parts import DEFAULT, Name
from analyses.measures.recall_words import FILLERS
from workbench.errors import BadInput
from workbench.form_fields import parts_field
from workbench.text_files import TextPath

_LONGEST = 1_000_000


class Params(BaseModel, frozen=True, extra="forbid"):
    lengths: str = Field(
        "256, 512, 1024, 2048",
        description="Lengths of the texts that a fact is hidden in, in tokens, with commas between"
        " them",
        max_length=200,
        json_schema_extra={"essential": True},
    )
    contexts_file: TextPath | None = Field(
        None,
        description="Your own contexts: JSONL with context, question, answer and, if you like,"
        " candidates (a list); a file or its address (s3://…)",
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    parts: list[Name] = parts_field(DEFAULT)
    depths: int = Field(
        5, ge=1, le=51, description="Depths from the beginning of the text (0) to its end (1)"
    )
    needles: int = Field(
        3, ge=1, le=9, description="Facts: made up, agreeing and disagreeing with what is known"
    )
    filler: str = Field(
        "prose",
        description=f"Text that facts are hidden in: {', '.join(FILLERS)}",
        max_length=40,
    )
    pairs: int = Field(12, ge=4, le=50, description="Pairs of a list")
    lists: int = Field(32, ge=4, le=2000, description="Lists; of each control half as many")
    between: str = Field(
        "0, 32, 64",
        description="Part `interference`: tokens of neutral text between a list and its question",
        max_length=100,
    )
    ablated: str = Field(
        "0.05",
        description="Part `heads`: shares of all heads that are switched off together",
        max_length=100,
    )
    draws: int = Field(3, ge=1, le=50, description="Part `heads`: random sets of as many heads")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of words, orders and random heads")

    @model_validator(mode="after")
    def _can_be_asked(self) -> Params:
        """What cannot be read is said before a model is loaded."""
        lengths_of(self)
        neutral_of(self)
        shares_of(self)
        if self.filler not in FILLERS:
            raise BadInput(
                f"There is no filler {self.filler!r}.",
                f"one of {', '.join(FILLERS)}",
                "Name one of them.",
            )
        if self.contexts_file is not None:
            from analyses.context.context_recall.own_contexts import read_file

            read_file(self.contexts_file)
        return self


def lengths_of(params: Params) -> list[int]:
    """Lengths of texts in tokens, the shortest first."""
    return sorted({int(n) for n in _numbers(params.lengths, "lengths", 32, _LONGEST)})


def neutral_of(params: Params) -> list[int]:
    """Tokens of neutral text between a list and its question."""
    return sorted({int(n) for n in _numbers(params.between, "between", 0, _LONGEST)})


def shares_of(params: Params) -> list[float]:
    """Shares of all heads that are switched off."""
    return sorted(set(_numbers(params.ablated, "ablated", 0.0, 1.0)))


def _numbers(text: str, name: str, least: float, most: float) -> list[float]:
    """Numbers with commas between them.

    Raises:
        BadInput: something else, or none.
    """
    try:
        numbers = [float(each) for each in text.split(",") if each.strip()]
    except ValueError:
        numbers = []
    if not numbers or any(not least <= n <= most for n in numbers):
        raise BadInput(
            f"{name} cannot be {text!r}.",
            f"numbers from {least:g} to {most:g}, with commas between them",
            "Correct it.",
        )
    return numbers

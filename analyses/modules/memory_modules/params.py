"""Which facts are looked up in the memory, and how."""

from __future__ import annotations

from pydantic import BaseModel, Field, model_validator

from analyses.measures.capability_sets import named
from analyses.modules.memory_modules.parts import DEFAULT, Name
from workbench import facts as known_facts
from workbench.errors import BadInput
from workbench.form_fields import parts_field
from workbench.text_files import TextPath


class Params(BaseModel, frozen=True, extra="forbid"):
    text: str = Field(
        "",
        description="A text of your own, whose reads are drawn token by token. Empty: the prompts"
        " of a few facts",
        max_length=4000,
        json_schema_extra={"essential": True, "in_title": "“{}”"},
    )
    relations: str = Field(
        "capital, language",
        description="Built-in sets of facts, with commas between them; an organism is asked for"
        " the facts it was trained on",
        max_length=400,
        json_schema_extra={"essential": True},
    )
    parts: list[Name] = parts_field(DEFAULT)
    facts: int = Field(
        20,
        ge=2,
        le=2000,
        description="At most so many facts whose slots are masked",
        json_schema_extra={"essential": True},
    )
    others: int = Field(
        20, ge=1, le=2000, description="Other facts that are asked while a fact's slots are masked"
    )
    slots: str = Field(
        "1, 2, 4, 8, 16, 32, 64, 128, 256",
        description="How many slots of a fact are masked, the most read first",
        max_length=200,
    )
    facts_file: TextPath | None = Field(
        None,
        description="Your own facts instead: CSV, TSV or JSONL with columns subject and answer; a"
        " file or its address (s3://…)",
    )
    template: str = Field(
        "",
        description='Wording of your own facts, with {subject}, e.g. "The capital of {subject} is"',
        max_length=2000,
    )
    domains: str = Field(
        "code, translation",
        description="Kinds of text that experts or adapters are to tell apart, with commas between"
        " them; an organism is asked for the domains it was trained on",
        max_length=400,
    )
    domain_file: TextPath | None = Field(
        None,
        description="Texts of your own domains beside these: JSONL with capability, prompt and"
        " answer; a file or its address (s3://…)",
    )
    usage: int = Field(
        2000, ge=10, le=20_000, description="Facts over which it is counted who reads which slot"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the facts drawn and of random slots")

    @model_validator(mode="after")
    def _can_be_asked(self) -> Params:
        """What is mistyped is said before a model is loaded."""
        levels_of(self)
        named(self.domains)
        if self.facts_file is None:
            relations_of(self)
        return self


def relations_of(params: Params) -> list[known_facts.Relation]:
    """The relations that are asked for.

    Raises:
        NotFound, BadInput: one that does not exist, or a file that cannot be used.
    """
    if params.facts_file is not None:
        return [known_facts.from_file(params.facts_file, template=params.template or None)]
    names = [name.strip() for name in params.relations.split(",") if name.strip()]
    return [known_facts.relation(name) for name in dict.fromkeys(names)]


def levels_of(params: Params) -> list[int]:
    """How many slots are masked, in order.

    Raises:
        BadInput: no numbers of 1 or more.
    """
    try:
        levels = sorted({int(part) for part in params.slots.split(",") if part.strip()})
    except ValueError:
        levels = [0]
    if not levels or levels[0] < 1:
        raise BadInput(
            f"“{params.slots}” are no numbers of slots.",
            "numbers of 1 or more with commas between them, such as 1, 4, 16",
            "Correct `slots`.",
        )
    return levels

"""What an edit-ledger run is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from analyses.weights.edit_ledger.constants import Method
from analyses.weights.edit_ledger.parts import DEFAULT, Name
from workbench import facts
from workbench.errors import BadInput
from workbench.form_fields import parts_field
from workbench.text_files import TextPath

Sequence = Literal["r-rome", "rome", "memit", "alphaedit", "fine-tune", "fine-tune-bounded", "lora"]


class Params(BaseModel, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    relation: str = Field(
        "city-country",
        description=(
            "Built-in set of facts (`capital`, `capital@fr`, …); see docs/reference/facts.md"
        ),
        examples=list(facts.relations()),
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    subject: str = Field(
        "",
        description=(
            "One fact of your own instead: its subject. Say the prompt and the new answer too"
        ),
        max_length=300,
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    prompt: str = Field(
        "",
        description="The sentence that the answer completes, with {subject} in it",
        max_length=2000,
    )
    answer: str = Field(
        "",
        description="What is to be answered from now on",
        max_length=300,
        json_schema_extra={"essential": True},
    )
    paraphrases: list[str] = Field(
        [], description="The same question in other words, each with {subject}", max_length=20
    )
    facts_file: TextPath | None = Field(
        None,
        description=(
            "Your own set of facts: CSV, TSV or JSONL with columns subject and answer (and"
            " popularity); the sentence is `prompt`"
        ),
    )
    methods: list[Method] = Field(
        ["r-rome", "memit", "fine-tune", "in-context"],
        min_length=1,
        description="Ways to change a fact",
        json_schema_extra={"essential": True},
    )
    facts: int = Field(
        6, ge=1, le=500, description="Facts that are edited one at a time, of those that are known"
    )
    edits: int = Field(50, ge=2, le=2000, description="Edits that follow each other in one model")
    batch: int = Field(5, ge=1, le=100, description="Edits made at once in a sequence")
    sequences: list[Sequence] = Field(
        ["memit"], min_length=1, description="Methods whose edits follow each other"
    )
    layer: int | None = Field(
        None,
        ge=0,
        description="Layer to edit; the last of several for MEMIT. Empty: by depth, as published",
    )
    layer_step: int = Field(3, ge=1, le=50, description="Every so many layers is tried in `layers`")
    neighbours: int = Field(6, ge=1, le=50, description="Other subjects asked for each edit")
    tokens: int = Field(
        80_000,
        ge=2000,
        le=10**7,
        description="Tokens over which the keys of a layer are counted, once a model",
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Seed of facts, new answers, prefixes and random edits"
    )

    @model_validator(mode="after")
    def _can_be_asked(self) -> Params:
        """What cannot be asked is said before a model is loaded."""
        own = [name for name in ("subject", "answer") if getattr(self, name).strip()]
        if self.subject and (len(own) < 2 or "{subject}" not in self.prompt):
            raise BadInput(
                "A fact of your own needs a subject, a prompt with {subject}, and a new answer.",
                'subject "France", prompt "The capital of {subject} is", answer "Rome"',
                "Fill in all three, or none of them.",
            )
        if own == ["answer"]:
            raise BadInput(
                "There is a new answer, but no subject.", "both, or neither", "Name the subject."
            )
        if self.subject and "ledger" in self.parts:
            raise BadInput(
                "One fact is no sequence of edits.",
                "a relation or a file of facts for the part `ledger`",
                "Leave out the subject, or the part.",
            )
        for each in self.paraphrases:
            if "{subject}" not in each:
                raise BadInput(
                    f"The paraphrase {each!r} has no {{subject}}.",
                    "{subject} where the name stands",
                    "Put it in.",
                )
        if not self.subject:
            relation_of(self)
        return self


def relation_of(params: Params) -> facts.Relation:
    """The facts that are asked about."""
    if params.facts_file is not None:
        return facts.from_file(params.facts_file, template=params.prompt or None)
    return facts.relation(params.relation)

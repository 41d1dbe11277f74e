"""What a knowledge-conflict run is asked."""

from __future__ import annotations

from pydantic import BaseModel, Field, JsonValue, field_validator, model_validator

from analyses.context.knowledge_conflict.constants import Breadth, RankBy
from analyses.context.knowledge_conflict.parts import DEFAULT, Name
from workbench import facts
from workbench.form_fields import parts_field
from workbench.text_files import TextPath

_FORMATS: dict[str, JsonValue] = {
    "statement": "in a statement",
    "document": "in a document",
    "dialogue": "in a dialogue",
    "instruction": "under an instruction",
    "chat": "in the chat format",
}
"""How a format reads in the title of a run."""


class Params(BaseModel, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    relation: str = Field(
        "capital",
        description="Built-in set of facts (`capital`, `language`, …); see docs/reference/facts.md",
        examples=list(facts.relations()),
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    facts_file: TextPath | None = Field(
        None,
        description=(
            "Your own facts instead: CSV, TSV or JSONL with columns subject and answer; a file or"
            " its address (s3://…)"
        ),
        json_schema_extra={"essential": True},
    )
    template: str = Field(
        "",
        description=(
            'Closed-book wording with {subject}, e.g. "The capital of {subject} is"; needed for'
            " your own facts"
        ),
        max_length=2000,
    )
    format: str = Field(
        "question",
        description=(
            "Format of the context: question, statement, document, dialogue, instruction, chat (in"
            " the model's chat format), or your own template over {statement} {question} {lead_in}"
            " {subject} {answer}"
        ),
        examples=[*facts.formats(), facts.CHAT.name],
        max_length=4000,
        json_schema_extra={"essential": True, "in_title": _FORMATS},
    )
    max_facts: int = Field(
        60,
        ge=8,
        le=1000,
        description="At most this many known facts: one half to select heads, one half held out",
        json_schema_extra={"essential": True},
    )
    rank_by: RankBy = Field(
        "zero_all_positions",
        description=(
            "What ranks heads: zero ablation at all positions, zero or mean ablation at the last"
            " position, or path patching"
        ),
    )
    all_positions: Breadth = Field(
        "candidates", description="Which heads are also measured at all positions"
    )
    k_grid: list[int] = Field(
        [1, 3, 5, 7, 9, 15], description="Numbers of heads to ablate on the half that selects"
    )
    random_sets: int = Field(
        20, ge=20, le=500, description="Random sets of as many heads, as a baseline"
    )
    evidence_facts: int = Field(
        24,
        ge=8,
        le=1000,
        description="Part `evidence`: known facts, and as many that are not known",
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        description="Seed of the split, the contradicting answers and the random sets",
    )

    @field_validator("k_grid")
    @classmethod
    def _positive(cls, grid: list[int]) -> list[int]:
        if not grid or min(grid) < 1:
            raise ValueError("needs at least one number, each 1 or more")
        return sorted(set(grid))

    @model_validator(mode="after")
    def _can_be_asked(self) -> Params:
        """Unknown names and unreadable files are said before a model is loaded."""
        relation_and_format(self)
        return self


def relation_and_format(params: Params) -> tuple[facts.Relation, facts.Format]:
    format = facts.find_format(params.format)
    if params.facts_file is not None:
        return facts.from_file(params.facts_file, template=params.template or None), format
    relation = facts.relation(params.relation)
    if params.template:
        pairs = [(fact.subject, fact.answer) for fact in relation.facts]
        relation = facts.make(
            relation.name, pairs, params.template, source=relation.source, licence=relation.licence
        )
    return relation, format

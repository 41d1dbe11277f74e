"""What is fine-tuned, on what, and what is asked of it."""

from __future__ import annotations

from pydantic import BaseModel, Field, model_validator

from analyses.training.forgetting.parts import DEFAULT, Name
from workbench import facts as known_facts
from workbench import texts
from workbench.errors import BadInput
from workbench.form_fields import parts_field
from workbench.text_files import TextPath

_MOST_RANK = 4096


class Params(BaseModel, frozen=True, extra="forbid"):
    tuned: str = Field(
        "",
        description="A model that was fine-tuned from this one: a name, a folder, a step of an"
        " organism, MODEL+FILE, a LoRA folder. Empty: it is fine-tuned here",
        max_length=1000,
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    task: TextPath | None = Field(
        None,
        description="Text of the new task: a text file, .jsonl, or a folder; or its address."
        " Empty: biographies of invented people",
        json_schema_extra={"essential": True, "in_title": "on {}"},
    )
    relations: str = Field(
        "continent, language, us-city-state",
        description="What may be forgotten: built-in sets of facts, with commas between them; see"
        " docs/reference/facts.md",
        max_length=400,
        json_schema_extra={"essential": True},
    )
    parts: list[Name] = parts_field(DEFAULT)
    facts_file: TextPath | None = Field(
        None,
        description="Your own facts instead: CSV, TSV or JSONL with columns subject and answer; a"
        " file or its address",
    )
    template: str = Field(
        "",
        description='Wording of your own facts, with {subject}, e.g. "The capital of {subject} is"',
        max_length=2000,
    )
    facts: int = Field(60, ge=4, le=1000, description="At most so many facts that the model knows")
    ranks: list[int] = Field(
        [4, 16, 64],
        min_length=1,
        max_length=12,
        description="Ranks of the low-rank updates that the law is measured with",
        json_schema_extra={"essential": True},
    )
    rank: int = Field(
        16,
        ge=0,
        le=_MOST_RANK,
        description="Rank of the update that all other parts look at; 0: all weights move",
    )
    steps: int = Field(100, ge=2, le=10_000, description="Steps of fine-tuning")
    rows: int = Field(2, ge=1, le=64, description="Rows of text that a step reads")
    length: int = Field(128, ge=20, le=4096, description="Tokens of a row")
    rate: float = Field(2e-4, gt=0, le=1, description="AdamW's highest learning rate")
    measured: int = Field(
        4, ge=2, le=200, description="Rows of each kind of text that forgetting is measured on"
    )
    map_rows: int = Field(
        2, ge=1, le=200, description="Of these, so many at each entry of the reset map"
    )
    map_facts: int = Field(16, ge=2, le=500, description="Facts asked at each entry of the map")
    finer: bool = Field(
        False,
        title="Finer modules",
        description="Reset QK, VO, MLP in, MLP out and norms apart, not attention and MLP",
    )
    halves: int = Field(
        8, ge=0, le=200, description="Random halves of the modules that are reset together"
    )
    realign_steps: int = Field(20, ge=1, le=500, description="Steps of re-alignment")
    realign_rate: float = Field(1e-4, gt=0, le=1, description="Its learning rate, of all weights")
    shots: int = Field(
        3, ge=1, le=20, description="Known facts of the relation in front of a few-shot question"
    )
    early: int = Field(
        150, ge=4, le=2000, description="Part `first-steps`: steps that are measured one by one"
    )
    seeds: int = Field(
        2,
        ge=1,
        le=10,
        description="Parts `stages` and `tasks`: trainings, each with texts and an order of its"
        " own",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of texts, order, updates and draws")

    @model_validator(mode="after")
    def _can_be_asked(self) -> Params:
        """What cannot be run is said before a model is loaded."""
        if self.tuned.strip():
            from workbench.models import locate

            locate(self.tuned.strip())
        if self.task is not None:
            texts.size_of(self.task)
        wrong = [rank for rank in self.ranks if not 1 <= rank <= _MOST_RANK]
        if wrong:
            raise BadInput(
                f"There is no update of rank {wrong[0]}.",
                f"ranks of 1 to {_MOST_RANK:,}",
                "For all weights set rank to 0; the law compares low-rank updates.",
            )
        if self.map_rows > self.measured:
            raise BadInput(
                f"The map is to read {self.map_rows} rows of {self.measured}.",
                "no more than are measured",
                "Raise measured, or lower map_rows.",
            )
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
    if not names:
        raise BadInput(
            "No relation is named.",
            f"some of {', '.join(known_facts.relations())}",
            "Name one, or give a file of facts.",
        )
    return [known_facts.relation(name) for name in dict.fromkeys(names)]

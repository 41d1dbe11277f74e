"""What an unlearning-audit run is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.parts import DEFAULT, Name
from workbench import facts
from workbench.errors import BadInput
from workbench.form_fields import parts_field
from workbench.organisms import retrained
from workbench.text_files import TextPath

Method = Literal[
    "ga", "graddiff", "ga-klr", "npo", "npo-gdr", "npo-klr", "simnpo", "undial", "rmu",
    "task-vector", "random-labels", "mask", "elm",
]  # fmt: skip
METHODS: list[Method] = ["ga", "graddiff", "npo", "rmu", "mask"]


class Params(BaseModel, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    methods: list[Method] = Field(
        METHODS,
        description="Ways to forget. None: the model itself is audited, and those in `unlearned`",
        json_schema_extra={"essential": True},
    )
    unlearned: list[str] = Field(
        [],
        max_length=20,
        description=(
            "Models that were unlearned elsewhere, made from the model that is opened: names,"
            " folders, or MODEL+FILE"
        ),
        json_schema_extra={"essential": True},
    )
    reference: str = Field(
        "",
        description=(
            "A model that never read the passages. Empty: the one that ships, for organism/planted;"
            " none for other models"
        ),
    )
    folds: int = Field(
        retrained.DEFAULT_FOLDS,
        ge=1,
        le=retrained.FOLDS,
        description="How many of the four folds of the model's ledger are forgotten",
        json_schema_extra={"in_title": "{} folds"},
    )
    forget: TextPath | None = Field(
        None,
        description=(
            "Your own passages to forget: a text file (parted by empty lines), JSON lines, a"
            " folder. Empty: those of the model's ledger"
        ),
        json_schema_extra={"essential": True},
    )
    retain: TextPath | None = Field(
        None, description="Passages to keep; half is shown to the methods, half measures utility"
    )
    unseen: TextPath | None = Field(
        None, description="Passages of the same kind that the model has never read"
    )
    questions: TextPath | None = Field(
        None, description="Questions about them: JSON lines with set, prompt, answer and wrong"
    )
    relations: str = Field(
        "capital, language, us-city-state",
        description="Relations of facts for the parts spreading and concept, by name",
    )
    longest: int = Field(
        256, ge=16, le=4096, description="Tokens of a passage of your own that are looked at"
    )
    prefix: int = Field(
        32, ge=1, le=1024, description="Tokens that are given before a passage is asked for"
    )
    steps: int = Field(60, ge=1, le=2000, description="Steps that a method may take, at most")
    relearning_steps: int = Field(16, ge=1, le=1000, description="Steps of relearning")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of sets, orders and random changes")

    @model_validator(mode="after")
    def _can_be_run(self) -> Params:
        """What cannot be run is said before a model is loaded."""
        for name in ("retain", "unseen"):
            if getattr(self, name) is not None and self.forget is None:
                raise BadInput(
                    f"There is a file {name}, but none of what to forget.",
                    "a file of passages to forget",
                    "Set forget, or leave both out.",
                )
        from workbench.models import locate

        for ref in [*self.unlearned, *filter(None, [self.reference])]:
            locate(ref)
        if c.OF_FACTS & set(self.parts) and not self.relation_names:
            raise BadInput(
                "No relation is named.",
                f"some of {', '.join(facts.relations())}",
                "Name one or more.",
            )
        for name in self.relation_names:
            facts.relation(name)
        return self

    @property
    def relation_names(self) -> list[str]:
        """Each once."""
        return list(dict.fromkeys(filter(None, map(str.strip, self.relations.split(",")))))

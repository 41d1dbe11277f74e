"""Which facts are traced, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from analyses.weights.fact_tracing.parts import DEFAULT, Name
from workbench import facts as known_facts
from workbench.errors import BadInput
from workbench.form_fields import parts_field
from workbench.text_files import TextPath

_OWN = ("prompt", "subject", "answer")


class Params(BaseModel, frozen=True, extra="forbid"):
    prompt: str = Field(
        "",
        description="A fact of your own: a prompt that the model completes with it. Empty: facts of"
        " the relations",
        max_length=4000,
        json_schema_extra={"essential": True, "in_title": "“{}”"},
    )
    subject: str = Field(
        "",
        description="The name in your prompt that the fact is about",
        max_length=500,
        json_schema_extra={"essential": True},
    )
    answer: str = Field(
        "",
        description="How your prompt goes on",
        max_length=500,
        json_schema_extra={"essential": True},
    )
    relations: str = Field(
        "capital, language, currency",
        description="Built-in sets of facts, with commas between them; see docs/reference/facts.md",
        max_length=400,
        json_schema_extra={"essential": True},
    )
    parts: list[Name] = parts_field(DEFAULT)
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
    facts: int = Field(30, ge=1, le=1000, description="At most so many facts that the model knows")
    unknown: bool = Field(
        False,
        title="Also unknown facts",
        description="Trace the answers that are given here also where the model says another",
    )
    draws: int = Field(3, ge=1, le=50, description="Draws of noise for each fact")
    noise: float = Field(
        3.0,
        ge=0,
        le=20,
        description="Size of the noise, in standard deviations of the subjects' embeddings",
    )
    window: int = Field(
        0,
        ge=0,
        le=100,
        description="Layers of a window of MLPs or attention. 0: a fifth of the model's",
    )
    step: int = Field(
        0,
        ge=0,
        le=50,
        description="Windows stand around every so many layers. 0: every second one of a model of"
        " more than 16",
    )
    norm: Literal["final", "none"] = Field(
        "final",
        description="Whether what a layer writes goes through the final norm before the"
        " unembedding",
    )
    languages: str = Field(
        "en, fr, de, es",
        description="Part `wordings`: codes of languages that are compared, with commas between"
        " them; the relations are those with names in them",
        max_length=200,
    )
    edit_step: int = Field(
        5, ge=1, le=50, description="Part `best-layer`: a fact is edited at every so many layers"
    )
    edited: int = Field(8, ge=2, le=200, description="Part `best-layer`: facts that are edited")
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Of the facts' order, noise and permutations"
    )

    @model_validator(mode="after")
    def _can_be_asked(self) -> Params:
        """Unknown names and unreadable files are said before a model is loaded."""
        own = [name for name in _OWN if getattr(self, name).strip()]
        if own and len(own) < len(_OWN):
            missing = [name for name in _OWN if name not in own]
            raise BadInput(
                f"A fact of your own lacks its {' and '.join(missing)}.",
                "prompt, subject and answer",
                "Give all three, or none.",
            )
        if own and self.subject.strip() not in self.prompt:
            raise BadInput(
                f"The subject {self.subject.strip()!r} does not stand in the prompt.",
                f"a part of {self.prompt!r}",
                "Write it as it stands there.",
            )
        if not own:
            relations_of(self)
        for code in filter(None, map(str.strip, self.languages.split(","))):
            known_facts.relation(f"capital@{code}")
        return self

    def is_own(self) -> bool:
        """Whether it is one fact, typed by somebody."""
        return bool(self.prompt.strip())


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
            "Name one, or give a fact of your own.",
        )
    return [known_facts.relation(name) for name in dict.fromkeys(names)]

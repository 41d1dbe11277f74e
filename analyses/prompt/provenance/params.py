"""What is asked."""

from __future__ import annotations

from pydantic import BaseModel, Field

from analyses.prompt.provenance.parts import DEFAULT, Name
from workbench.form_fields import parts_field

_PROMPT = (
    "Mara moved to Lisbon last spring. She works for a bakery near the river. Her brother Tom"
    " stayed in Oslo.\nQuestion: In which city does Mara live?\nAnswer: Mara lives in the city of"
)


class Params(BaseModel, frozen=True, extra="forbid"):
    prompt: str = Field(
        _PROMPT,
        description="What the model reads: a context, if there is one, then the question",
        min_length=1,
        max_length=100_000,
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    answer: str = Field(
        "",
        description="The answer whose origin is asked. Empty: the model's own",
        max_length=2000,
        json_schema_extra={"essential": True},
    )
    chat: bool = Field(
        False,
        description=(
            "Read the prompt in the model's chat format: as a user message, or a conversation as"
            ' JSON, a list of {"role": "user", "content": "…"}'
        ),
        json_schema_extra={"essential": True},
    )
    subject: str = Field(
        "",
        description="Whom the question is about, as it stands there. Empty: the name (else the"
        " words) whose hiding costs the answer most",
        max_length=200,
        json_schema_extra={"essential": True},
    )
    parts: list[Name] = parts_field(DEFAULT)
    question: str = Field(
        "",
        description="How the question begins, as it stands in the prompt. Empty: its last sentence",
        max_length=2000,
    )
    length: int = Field(
        16,
        ge=1,
        le=200,
        description="Tokens of the model's own answer, at most; it ends with its sentence",
    )
    corpus: str = Field(
        "",
        description="Where the answer is looked up: an index made by `workbench corpus index`, or"
        " texts (a folder, a file, an organism) that are indexed first, in the cache of the"
        " workbench, where that takes five times their size",
        max_length=2000,
    )
    run: str = Field(
        "",
        description="A finished knowledge-conflict run of this model (id or folder): its memory"
        " heads and context heads are switched off as well",
        max_length=2000,
    )
    samples: int = Field(
        16, ge=2, le=1000, description="Part `samples`: texts of each kind of beginning"
    )
    sampled: int = Field(64, ge=8, le=1000, description="Part `samples`: tokens of each")
    least: int = Field(
        10,
        ge=2,
        le=500,
        description="Part `samples`: tokens of a span that counts; the paper takes 50",
    )
    beside: str = Field(
        "",
        description="Part `samples`: a model that has not read the corpus, e.g."
        " organism/planted-control",
        max_length=2000,
    )
    draws: int = Field(
        0,
        ge=0,
        le=64,
        description="Neutral texts that take the context's place. 0: 8, or 4 for a prompt of more"
        " than 400 tokens",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of neutral texts and random parts")

"""What a function-tokens run is asked."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator, model_validator

from analyses.features.function_tokens.parts import DEFAULT, Name
from analyses.features.function_tokens.training_steps import TrainingSteps
from workbench.form_fields import parts_field
from workbench.remote import checked, is_address

PROMPTS = [
    "The capital of Russia is Moscow. The capital of the United Kingdom is",
    "Question: What is the capital of Japan?\nAnswer:",
    "To be, or not to be, that is the",
]


class Params(BaseModel, frozen=True, extra="forbid"):
    parts: list[Name] = parts_field(DEFAULT)
    features: list[str] = Field(
        [],
        description=(
            "Autoencoders: names, folders, or RELEASE/ID of SAELens. Empty: those that come with"
            " the workbench for this model"
        ),
        max_length=16,
        json_schema_extra={"essential": True},
    )
    texts: str = Field(
        "",
        description=(
            "Text to read: a text file, .jsonl, a folder of them, the address of one (s3://…), or"
            " the name of a data set. Empty: the default mixture (`workbench sae train` reads it"
            " too)"
        ),
        max_length=2000,
        json_schema_extra={"essential": True, "widget": "file", "in_title": "on {}"},
    )
    tokens: int = Field(
        200_000,
        ge=1000,
        le=10**10,
        description="Tokens to read",
        json_schema_extra={"essential": True, "in_title": "{} tokens"},
    )
    context: int = Field(128, ge=16, le=100_000, description="Tokens per window")
    coverage: float = Field(
        0.4, gt=0, lt=1, description="Share of all tokens that function tokens make up together"
    )
    sweep: list[float] = Field(
        [0.2, 0.3, 0.5, 0.6],
        description="Other values of `coverage` to compare with",
        max_length=20,
    )
    relation: str = Field(
        "capital", description="Set of facts for the part `retrieval`, as in knowledge-conflict"
    )
    facts: int = Field(
        40, ge=1, le=1000, description="At most this many known facts in the part `retrieval`"
    )
    prompts: list[str] = Field(
        PROMPTS,
        description="Prompts whose features are shown token by token",
        max_length=50,
        json_schema_extra={"essential": True, "multiline": True},
    )
    chat: bool = Field(
        False, description="Read these prompts in the model's chat format, each as a user message"
    )
    untrained: int = Field(
        24_576,
        ge=1,
        le=10**9,
        description="Tokens that the untrained twin of the model reads, as a baseline",
    )
    training: str = Field(
        "organism/planted",
        description=(
            "A model with checkpoints of its training, for losses and living features at each"
        ),
        min_length=1,
    )
    training_features: list[str] = Field(
        [],
        description=(
            "Folders of autoencoders trained on these checkpoints (workbench sae train --model"
            " NAME@step-N). Empty: those that come with the workbench"
        ),
        max_length=64,
    )
    trace: str = Field(
        "",
        description=(
            "Folder that keeps all activations, and the tables of facts and training; the same run"
            " from it reads no text. Empty: nothing is kept"
        ),
        max_length=2000,
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Seed of the order of the text and of everything drawn"
    )

    @field_validator("texts")
    @classmethod
    def _without_keys(cls, texts: str) -> str:
        if is_address(texts):
            checked(texts)
        return texts

    @field_validator("sweep")
    @classmethod
    def _shares(cls, shares: list[float]) -> list[float]:
        if not all(0 < share < 1 for share in shares):
            raise ValueError("each must lie between 0 and 1")
        return shares

    @model_validator(mode="after")
    def _is_there(self) -> Params:
        """What can be wrong with a name is said before a model is loaded."""
        if "training" in self.parts:
            TrainingSteps.of(self.training, self.training_features)
        return self

"""What is read and asked, and how much the cache may keep."""

from __future__ import annotations

from pydantic import BaseModel, Field, model_validator

from analyses.context.kv_memory.parts import DEFAULT, Name
from workbench.errors import BadInput
from workbench.form_fields import parts_field

_OWN = ("text", "ask", "answer")


class Params(BaseModel, frozen=True, extra="forbid"):
    text: str = Field(
        "",
        description="A context of your own. Empty: made-up texts with facts hidden in them",
        max_length=200_000,
        json_schema_extra={"essential": True, "in_title": "“{}”"},
    )
    ask: str = Field(
        "",
        description="What is asked of your context: text behind it, which the answer follows",
        max_length=2000,
        json_schema_extra={"essential": True},
    )
    answer: str = Field(
        "",
        description="The answer, as it stands in your context",
        max_length=500,
        json_schema_extra={"essential": True},
    )
    parts: list[Name] = parts_field(DEFAULT)
    contexts: int = Field(
        9, ge=1, le=500, description="Made-up texts that are read",
        json_schema_extra={"essential": True},
    )  # fmt: skip
    length: int = Field(512, ge=96, le=100_000, description="Tokens of a text, at most")
    questions: int = Field(3, ge=1, le=6, description="Questions that are asked of a text")
    policies: str = Field(
        "",
        description="Policies, with commas between them; empty: all, also those of other packages",
        max_length=400,
    )
    budgets: str = Field(
        "5, 10, 25, 50",
        description="Percent of the cache that may be kept, with commas between them; 100 % is"
        " always measured",
        max_length=100,
    )
    block: int = Field(
        32, ge=4, le=1024, description="Parts `blocks`, `episodes`: tokens of a block"
    )
    fetched: int = Field(
        4, ge=1, le=256, description="Parts `blocks`, `episodes`: blocks that are looked up"
    )
    window: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Part `past-the-window`: the length that the model was trained on. 0: as its"
        " configuration says",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the facts and where they stand")

    @model_validator(mode="after")
    def _can_be_asked(self) -> Params:
        """What cannot be asked is said before a model is loaded."""
        own = [name for name in _OWN if getattr(self, name).strip()]
        if own and len(own) < len(_OWN):
            missing = [name for name in _OWN if name not in own]
            raise BadInput(
                f"A context of your own lacks {' and '.join(missing)}.",
                "text, ask and answer",
                "Give all three, or none.",
            )
        if own and self.answer.strip() not in self.text:
            raise BadInput(
                f"The answer {self.answer.strip()!r} does not stand in your text.",
                "a part of the text, as it is written there",
                "Nothing can be kept of what was never read: give an answer from the text.",
            )
        budgets_of(self)
        return self

    def is_own(self) -> bool:
        """Whether it is one context, typed by somebody."""
        return bool(self.text.strip())


def budgets_of(params: Params) -> list[float]:
    """Budgets as shares, smallest first, without the whole cache.

    Raises:
        BadInput: no numbers, or none between 0 and 100.
    """
    found = set()
    for text in filter(None, map(str.strip, params.budgets.replace("%", "").split(","))):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not 0 < value <= 100:
            raise BadInput(
                f"A budget of {text[:20]!r} percent.",
                "numbers above 0 and up to 100, with commas between them",
                "Say 5, 10, 25, 50.",
            )
        found.add(value / 100)
    found -= {1.0}
    if not found:
        raise BadInput(
            "No budget below the whole cache is given.",
            "one percentage between 0 and 100, or more",
            "Say 25 for a quarter.",
        )
    return sorted(found)

"""What is asked of the parts on premises, tables and further evidence."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, model_validator

from analyses.measures import evidence_tables
from workbench import facts, texts
from workbench.errors import BadInput
from workbench.text_files import TextPath

_IRIS = Path(__file__).parent / "data" / "iris.csv"


def relations_of(asked: str) -> list[facts.Relation]:
    """The relations that are named, with commas between them; one named twice is asked once.

    Raises:
        BadInput: none is named.
        NotFound: there is none of that name.
    """
    names = dict.fromkeys(name.strip() for name in asked.split(",") if name.strip())
    if not names:
        raise BadInput(
            "No relation is named.", f"some of {', '.join(facts.relations())}", "Name one."
        )
    return [facts.relation(name) for name in names]


class EvidenceParams(BaseModel, frozen=True, extra="forbid"):
    """Fields of `Params`, in a class of their own since they are many."""

    table: TextPath | None = Field(
        None,
        description="Part `tables`: your own CSV file with a header, or its address (s3://…), in"
        " place of Fisher's iris",
        json_schema_extra={"essential": True, "in_title": "{}"},
    )
    table_target: str = Field(
        "",
        max_length=500,
        description="Part `tables`: the column that is predicted from six rows. Empty: the last",
    )
    table_rows: int = Field(25, ge=4, le=1000, description="Part `tables`: rows that are asked for")
    table_shots: int = Field(
        8, ge=1, le=100, description="Part `tables`: rows that are shown before each"
    )
    premise_facts: int = Field(
        36,
        ge=8,
        le=1000,
        description="Part `attestation`: at most so many facts that the model knows, and as many of"
        " the same relations that it doesn't",
    )
    premise_relations: str = Field(
        "capital, language, us-city-state",
        max_length=400,
        description="Part `attestation`: built-in sets of facts, with commas between them; see"
        " docs/reference/facts.md",
    )

    kind_texts: int = Field(
        12, ge=2, le=20, description="Part `kinds`: texts of each kind, known and generated"
    )

    popularity_relations: str = Field(
        "capital, language, currency, us-city-state",
        max_length=400,
        description="Part `popularity`: built-in sets of facts, with commas between them",
    )
    popularity_facts: int = Field(
        30, ge=6, le=1000, description="Part `popularity`: facts of each relation"
    )
    retrieval_quality: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Part `popularity`: share of texts that are looked up which hold the answer",
    )

    trap_count: int = Field(
        8,
        ge=3,
        le=500,
        description="Part `traps`: sequences of each cell of length, perplexity and repeats",
    )

    recited_texts: TextPath | None = Field(
        None,
        description="Part `recited`: your own texts: a file, a folder or its address (s3://…), in"
        " place of what was planted in the model, or of texts that stand in many places",
    )
    recited_windows: int = Field(
        240, ge=12, le=5000, description="Part `recited`: at most so many windows of text"
    )

    def data_table(self) -> evidence_tables.DataTable:
        """The user's table, or the one that ships (Fisher's iris).

        Raises:
            BadInput: a file that is no such table.
        """
        return evidence_tables.from_file(self.table or _IRIS)

    @model_validator(mode="after")
    def _evidence_can_be_read(self) -> EvidenceParams:
        """Unknown names and unreadable files are said before a model is loaded."""
        for asked in (self.premise_relations, self.popularity_relations):
            relations_of(asked)
        if self.table is not None or self.table_target:
            table = self.data_table()
            table.number_of(self.table_target)
            evidence_tables.check_shots(table, self.table_shots)
        if self.recited_texts is not None:
            texts.size_of(self.recited_texts)
        return self

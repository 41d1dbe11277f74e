"""The facts and the text that come with the workbench, read from `data/`."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

from workbench.errors import NotFound
from workbench.facts.languages import in_language
from workbench.facts.relation import Fact, Relation
from workbench.facts.relations_builtin import WORDINGS

DATA = Path(__file__).parent / "data"


def relation(name: str) -> Relation:
    """A built-in relation by name; `_` and `-` are the same. "capital@fr" is one in another
    language.

    Raises:
        NotFound: none of that name (the nearest is suggested).
    """
    plain = name.strip().lower().replace("_", "-")
    if "@" in plain:
        return in_language(*plain.split("@", 1))
    if plain not in WORDINGS:
        raise NotFound.named(
            "relation", name, WORDINGS, do="Or give a CSV or JSONL file of subject,answer."
        )
    return _read(plain)


def relations() -> dict[str, Relation]:
    """All built-in relations by name, the best known first."""
    return {name: _read(name) for name in WORDINGS}


@cache
def _read(name: str) -> Relation:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        facts = tuple(
            Fact(row["subject"], row["answer"], float(row["popularity"]))
            for row in csv.DictReader(file)
        )
    return replace(WORDINGS[name], facts=facts)


@cache
def neutral_text() -> str:
    """About 1,200 words of plain prose that touch none of the relations; paragraphs are parted
    by an empty line.
    """
    return (DATA / "neutral.txt").read_text(encoding="utf-8")

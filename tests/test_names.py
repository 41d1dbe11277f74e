"""Names that anybody meets, of files, public functions and classes, are the field's own: see
docs/glossary.md.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("hooks", "analyses", "workbench", "ui")
PRIVATE = {
    "again",
    "asked",
    "dress",
    "found",
    "here",
    "how",
    "kept",
    "look",
    "looked",
    "mine",
    "said",
    "seen",
    "some",
    "sorry",
    "there",
    "told",
    "trouble",
    "why",
}
"""Words that say nothing to somebody who knows the field but not this project."""
ONE_EACH = {
    "Params": "every analysis has one",
    "View": "draw.View is what a declared view becomes for one run, and what older analyses give",
}
"""Class names that several modules share on purpose, with the reason."""


def public(room: str) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Dotted module and definition of every public function and class at the top of a file."""
    for file in sorted((ROOT / room).rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield module, node


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_not_private_words(room: str) -> None:
    names = {f"{module}.{node.name}" for module, node in public(room)}
    assert len(names) > 50
    wrong = [name for name in names if PRIVATE & set(name.rpartition(".")[2].split("_"))]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_file_names_are_not_private_words(room: str) -> None:
    files = [file.stem for file in (ROOT / room).rglob("*.py")]
    assert not [name for name in files if PRIVATE & set(name.split("_"))]


def test_a_class_name_has_one_meaning() -> None:
    where = defaultdict(list)
    for room in ROOMS:
        for module, node in public(room):
            if isinstance(node, ast.ClassDef):
                where[node.name].append(module)
    assert not {n: m for n, m in where.items() if len(m) > 1 and n not in ONE_EACH}

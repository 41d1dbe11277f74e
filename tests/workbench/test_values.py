"""What is typed behind --set becomes the value that the parameter wants."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from workbench.cli.parse_values import value_of


class Params(BaseModel, strict=True, extra="forbid"):
    numbers: list[int] = []
    shares: list[float] | None = None
    words: list[str] = []
    kinds: list[Literal["a", "b"]] = []
    pairs: list[list[int]] = []
    tables: list[dict[str, int]] = []
    either: str | list[str] = ""
    word: str = ""
    number: int | None = None
    free: Any = None


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("numbers", "8", [8]),
        ("numbers", "-1", [-1]),
        ("numbers", "8,16", [8, 16]),
        ("numbers", "8,", [8]),
        ("numbers", "[8, 16]", [8, 16]),
        ("numbers", "[]", []),
        ("numbers", "", []),
        ("shares", "0.5", [0.5]),
        ("shares", "1, 2.5", [1, 2.5]),
        ("shares", "null", None),
        ("words", "7", ["7"]),
        ("words", "true", ["true"]),
        ("words", "null", ["null"]),
        ("words", "1,b", ["1", "b"]),
        ("words", '"a,b"', ["a,b"]),
        ("words", "C:\\new", ["C:\\new"]),
        ("kinds", "a", ["a"]),
        ("pairs", "[[1, 2]]", [[1, 2]]),
        ("tables", '{"a": 1}', [{"a": 1}]),
        ("either", "7", "7"),
        ("either", '["a"]', ["a"]),
        ("either", "a,b", "a,b"),
        ("word", "7", "7"),
        ("word", '["a"]', '["a"]'),
        ("word", "[" * 100_000, "[" * 100_000),
        ("number", "7", 7),
        ("number", "null", None),
        ("free", "8", 8),
        ("free", "x", "x"),
    ],
)
def test_the_parameter_decides_how_it_is_read(name: str, typed: str, value: Any) -> None:
    found = value_of(typed, Params.model_json_schema()["properties"][name])
    assert found == value
    assert getattr(Params(**{name: found}), name) == value

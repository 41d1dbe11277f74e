"""`workbench modules`: memories listed, adapters checked and begun."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from workbench.cli import app

ORGANISM = ["--model", "organism/facts-in-slots"]


def output(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["modules", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_memories_are_listed_and_conform() -> None:
    (row,) = json.loads(output("list", *ORGANISM, "--json"))
    assert row == {
        "name": "blocks.1.memory",
        "kind": "product-key memory",
        "slots": 4096,
        "module": "ProductKeyMemory",
    }
    (found,) = json.loads(output("check", *ORGANISM, "--json"))
    assert found["failed"] == []
    assert {line["verdict"] for line in found["lines"]} == {"holds", "not checked"}


def test_a_wrong_adapter_ends_with_the_named_line(tmp_path: Path, monkeypatch: Any) -> None:
    path = "tests.helpers.memory_toys:WRONG_PRODUCT_KEYS"
    done = CliRunner().invoke(app, ["modules", "check", *ORGANISM, "--adapter", path])
    assert done.exit_code == 2
    assert "fails" in done.output
    gone = CliRunner().invoke(app, ["modules", "check", *ORGANISM, "--adapter", "nowhere:X"])
    assert gone.exit_code == 2
    damaged = tmp_path / "damaged_adapter.py"
    damaged.write_text("def broken(:", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for path in ("damaged_adapter:X", "..:X"):  # whatever goes wrong while it is imported
        for given in (["check", *ORGANISM, "--adapter", path], ["scaffold", path]):
            done = CliRunner().invoke(app, ["modules", *given])
            assert done.exit_code == 2, done.output
            assert "cannot be imported" in done.output
    other = "tests.helpers.memory_toys:NOTEBOOK"
    assert (
        CliRunner().invoke(app, ["modules", "check", *ORGANISM, "--adapter", other]).exit_code == 2
    )


def test_a_skeleton_is_python_and_names_what_stands_in_the_module() -> None:
    text = output("scaffold", "ProductKeyMemory", *ORGANISM)
    ast.parse(text)
    assert "values.weight (4096, 64)" in text
    ast.parse(output("scaffold", "torch.nn:Bilinear"))
    for wrong in ("torch.nn:Nothing", "json:loads", "no_such_package:X"):
        assert CliRunner().invoke(app, ["modules", "scaffold", wrong]).exit_code == 2


def test_a_run_leaves_out_default_parts_that_a_model_cannot_have(tmp_path: Path) -> None:
    given = ["run", "memory-modules", "--model", "organism/definitions-in-memory"]
    done = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output

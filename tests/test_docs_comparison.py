"""What the page that compares says of the workbench is so."""

from __future__ import annotations

import importlib
import re
from importlib import metadata
from pathlib import Path

import pytest
import typer

import workbench as wb
from workbench import registry
from workbench.cli import app

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
INSTALLED = {
    "TransformerLens": "transformer-lens",
    "nnsight": "nnsight",
    "SAELens": "sae-lens",
    "Captum": "captum",
}
COMPARED = [*INSTALLED, "LIT", "BertViz", "inseq", "kvpress", "EasyEdit", "OpenUnlearning",
            "OLMoTrace"]  # fmt: skip


def named(pattern: str) -> set[str]:
    found = set(re.findall(pattern, PAGE))
    assert len(found) > 4, pattern  # else the pattern finds nothing, and all is well
    return found


@pytest.mark.parametrize("tool", COMPARED)
def test_every_tool_has_version_and_date_and_a_case_for_it(tool):
    (row,) = re.findall(rf"^\| \[{tool}\].*$", PAGE, re.M)
    _, _, version, date, looked, _ = row.split("|")
    assert version.strip()
    assert looked.strip()
    assert re.search(r"20\d\d", date + looked)
    praise = PAGE.split("## Choose another tool")[1].split("## Feature by feature")[0]
    assert tool in praise


@pytest.mark.parametrize("tool", INSTALLED)
def test_versions_are_those_that_are_installed(tool):
    (row,) = re.findall(rf"^\| \[{tool}\].*$", PAGE, re.M)
    stated = re.search(r"\d+(\.\d+)+", row.split("|")[2])
    assert stated
    assert stated[0] == metadata.version(INSTALLED[tool])


def test_names_of_python_exist():
    assert named(r"`wb\.(\w+)") <= set(wb.__all__)
    for module in re.findall(r"`(hooks(?:\.\w+)+)`", PAGE):
        importlib.import_module(module)


def test_commands_exist():
    commands = set(typer.main.get_command(app).commands)
    assert named(r"`workbench (\w+)") <= commands


def test_analyses_exist():
    known = {analysis.name for analysis in registry.all_analyses()[0]}
    assert named(r"\[([\w-]+)\]\(methods/\1\.md\)") <= known


def test_figures_are_those_of_the_page_of_benchmarks():
    measured = (ROOT / "docs" / "results" / "benchmarks.md").read_text(encoding="utf-8")
    for own, theirs in [("1.03 ×", "| 1.03 |"), ("1.05", "| 1.05 |"), ("101 to 171", "| 171 |")]:
        assert own in PAGE
        assert theirs in measured
    families = (ROOT / "docs" / "reference" / "architectures.md").read_text(encoding="utf-8")
    assert "are 174\nfamilies" in PAGE.replace("\n  ", "\n")
    assert "| 174 |" in families
    assert "Apache" in (ROOT / "LICENSE").read_text(encoding="utf-8")[:200]


def test_thirteen_methods_of_unlearning():
    from hooks.unlearning import METHODS

    assert len(METHODS) == 13
    assert "thirteen methods" in PAGE

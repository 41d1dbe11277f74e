"""What the README and the docs show is run, and their links lead somewhere."""

from __future__ import annotations

import re
import types
from pathlib import Path

import pytest

import workbench as wb

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


@pytest.mark.model
def test_the_readmes_python_runs(smollm, monkeypatch, capsys):
    monkeypatch.setattr(wb, "load", lambda *a, **k: smollm, raising=False)
    shared: dict[str, object] = {}
    for block in blocks(ROOT / "README.md", "python"):
        exec(compile(block, "README.md", "exec"), shared)
    printed = capsys.readouterr().out
    assert "('prompt', 'layer', 'pos', 'head', 'd_head')" in printed
    assert "Paris" in printed


def test_the_features_pages_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (source,) = blocks(ROOT / "docs" / "features.md", "python")
    shared: dict[str, object] = {}
    exec(compile(source, "features.md", "exec"), shared)
    assert "('prompt', 'layer', 'pos', 'rank')" in capsys.readouterr().out
    assert shared["features"].card["explained_variance"] > 0.2


def test_the_example_analysis_runs(llama):
    source = "\n".join(blocks(ROOT / "docs" / "writing-an-analysis.md", "python"))
    module = types.ModuleType("loudest_head")
    exec(compile(source, "writing-an-analysis.md", "exec"), module.__dict__)
    result = module.run(llama, module.Params(top=3), wb.Progress())
    assert len(result.tables["heads"]) == 3
    assert set(module.views(result)) == {"Heads"}
    assert [role.off for role in module.playground.roles] == ["Loud heads off"]
    assert len(module.playground.heads(result)["loudest"]) == 3
    assert re.fullmatch(r"L\dH\d is loudest\.", result.findings["loudest"].says)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_the_commands_the_readme_names_exist():
    from workbench import registry

    page = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"\bmake ([a-z]+)", page)) <= targets
    commands = re.findall(r"workbench run ([\w-]+)(.*)", page)
    assert commands
    for analysis, asked in commands:
        assert set(re.findall(r"--set (\w+)=", asked)) <= set(
            registry.get(analysis).Params.model_fields
        ), analysis

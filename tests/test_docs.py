"""What the README and the docs show is run, and their links lead somewhere."""

from __future__ import annotations

import re
import types
from pathlib import Path

import panel
import pytest
from PIL import Image

import workbench as wb
from hooks.editing import statistics
from tests.helpers import tiny
from tests.helpers.families import built
from workbench.draw import view as drawing

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


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
    (source,) = blocks(ROOT / "docs" / "how-to" / "features.md", "python")
    shared: dict[str, object] = {}
    exec(compile(source, "features.md", "exec"), shared)
    assert "('prompt', 'layer', 'pos', 'rank')" in capsys.readouterr().out
    assert shared["features"].card["explained_variance"] > 0.2


def test_the_page_of_recurrent_states_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = built("mamba2")
    monkeypatch.setattr(wb, "load", lambda *a, **k: model, raising=False)
    shared: dict[str, object] = {}
    for block in blocks(ROOT / "docs" / "how-to" / "recurrent-states.md", "python"):
        exec(compile(block, "recurrent-states.md", "exec"), shared)
    assert "('layer', 'state_head', 'query', 'key')" in capsys.readouterr().out
    assert float((shared["rewritten"] - shared["erased"]).abs().max()) > 0
    assert (tmp_path / "document.states").is_file()


def test_the_page_of_editing_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(statistics, "TOKENS", 4000)
    monkeypatch.setattr(statistics, "_documents", lambda text: [tiny.SENTENCES[0] * 2000])
    tiny.save_tiny(tmp_path / "tiny")
    load = wb.load
    monkeypatch.setattr(
        wb, "load", lambda ref: load(ref.replace("smollm2-135m", "./tiny")), raising=False
    )
    shared: dict[str, object] = {}
    for block in blocks(ROOT / "docs" / "how-to" / "editing.md", "python"):
        exec(compile(block, "editing.md", "exec"), shared)
    said = capsys.readouterr().out
    assert "The capital of France is Rome. Is Paris the capital of France?" in said
    assert "The capital of France is True 0 " in said
    assert shared["changed"].card.name == "tiny+rome+peru"
    assert shared["changed"].card.weight_hash != shared["model"].card.weight_hash


def test_the_page_of_forgetting_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    shared: dict[str, object] = {}
    for block in blocks(ROOT / "docs" / "how-to" / "unlearning.md", "python"):
        exec(compile(block, "unlearning.md", "exec"), shared)
    assert "the texts count as forgotten" in capsys.readouterr().out
    changed = wb.load(f"organism/planted+{tmp_path / 'forgets.safetensors'}")
    assert changed.card.weight_hash != shared["model"].card.weight_hash


def test_the_page_of_organisms_runs(capsys):
    (source,) = blocks(ROOT / "docs" / "how-to" / "organisms.md", "python")
    exec(compile(source, "organisms.md", "exec"), {})
    assert capsys.readouterr().out == "5\n"


@pytest.mark.process
def test_the_page_of_many_runs_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (source,) = blocks(ROOT / "docs" / "how-to" / "many-runs.md", "python")
    shared: dict[str, object] = {}
    exec(compile(source, "many-runs.md", "exec"), shared)
    grid = shared["grid"]
    assert len(grid.table) == 4
    assert set(grid.table["model"]) == {"organism/planted", "organism/planted-control"}
    assert grid.result.findings["seeds"].value == 2
    assert "next_token.changed" in capsys.readouterr().out


def test_the_example_analysis_runs_and_its_pictures_are_linked(llama):
    source = "\n".join(blocks(ROOT / "docs" / "writing-an-analysis.md", "python"))
    module = types.ModuleType("loudest_head")
    exec(compile(source, "writing-an-analysis.md", "exec"), module.__dict__)
    result = module.run(llama, module.Params(), wb.Progress())
    assert re.match(r"L\dH\d writes the longest", result.findings["loudest"].says)
    assert [role.off for role in module.playground.roles] == ["Loud heads off"]
    assert list(module.SCHEMA.problems(result)) == []
    (view,) = module.VIEWS
    parts = view.still(result, module.SCHEMA)
    assert len(list(drawing.pictures(drawing.View(lambda: parts)))) == 3
    page = view.live(result, schema=module.SCHEMA)
    figures = [pane.object for pane in page.select(panel.pane.Bokeh)]
    (table,) = page.select(panel.widgets.Tabulator)
    before = [figure.title.text for figure in figures]
    result.selection.choose(0, 1)
    result.selection.pos = 1
    after = [figure.title.text for figure in figures]
    assert len(set(after) - set(before)) == 3
    assert "L0H1, token by token" in after
    assert table.value["label"].iloc[table.selection[0]] == "L0H1"
    texts = [pane.object for pane in page.select(panel.pane.HTML)]
    norms = result.arrays["norms"].isel(layer=0, head=1).values
    assert any(f"L0H1: {norms[1]:.2f} here" in text for text in texts)


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


def test_the_readmes_pictures_are_there_and_small():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", page)
    folder = ROOT / "docs" / "pictures"
    assert {ROOT / file for _, file in named} == set(folder.iterdir())
    assert all(len(text.split()) > 5 for text, _ in named)  # what a reader without eyes is told
    for _, name in named:
        file = ROOT / name
        assert 10_000 < file.stat().st_size < 1_500_000, name
        with Image.open(file) as picture:
            assert picture.width >= 900
            assert (getattr(picture, "n_frames", 1) >= 4) == (file.suffix == ".webp")


def test_the_readme_gives_ten_lines_of_python_first():
    first = blocks(ROOT / "README.md", "python")[0]
    assert len([line for line in first.splitlines() if line]) == 10

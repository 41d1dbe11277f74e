"""What no linter says of the code: nothing unpickles, the public door names what exists and loads
nothing heavy, and a module is read in one sitting.

Which way imports point, and that they make no circle, is held by import-linter (`pyproject.toml`);
here only what it leaves out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("workbench", "hooks", "analyses", "ui")
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FILES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
LINES = 400
PRESENTATION = 1900
"""Lines of the engine and of the first six analyses."""
PICTURES = {
    "analyses/prompt/provenance/views.py": 12,
    "analyses/context/context_recall/views.py": 14,
    "analyses/context/kv_memory/views.py": 14,
    "analyses/state/recall_capacity/views.py": 15,
    "analyses/state/recurrent_state/views.py": 20,
    "analyses/weights/fact_tracing/views.py": 14,
    "analyses/weights/edit_ledger/views.py": 8,
    "analyses/weights/extraction/access_view.py": 2,
    "analyses/weights/unlearning_audit/views.py": 16,
    "analyses/modules/ffn_map/views.py": 10,
    "analyses/modules/memory_modules/views.py": 12,
    "analyses/training/forgetting/views.py": 14,
    "analyses/training/retention/views.py": 14,
    "analyses/training/training_order/views.py": 6,
    "analyses/card/evaluation_card/views.py": 5,
    "analyses/context/knowledge_conflict/evidence_view.py": 2,
    "analyses/weights/audit/views.py": 2,
    "analyses/weights/memorized_or_understood/attestation_view.py": 2,
    "analyses/weights/memorized_or_understood/components_view.py": 1,
    "analyses/weights/memorized_or_understood/items_view.py": 2,
    "analyses/weights/memorized_or_understood/kinds_view.py": 2,
    "analyses/weights/memorized_or_understood/popularity_view.py": 2,
    "analyses/weights/memorized_or_understood/probes_view.py": 2,
    "analyses/weights/memorized_or_understood/puzzles_view.py": 3,
    "analyses/weights/memorized_or_understood/recited_view.py": 2,
    "analyses/weights/memorized_or_understood/structure_view.py": 2,
    "analyses/weights/memorized_or_understood/tables_view.py": 2,
    "analyses/weights/memorized_or_understood/traps_view.py": 1,
    "analyses/weights/memorized_or_understood/views.py": 2,
}
"""Pictures of the analyses and parts that came later: 150 lines for five of them."""
TABLES = {"workbench/upgrades_to_2.py": "old names of tables, columns and findings, with the new"}
"""Files that are tables of data, and what is in them: they may be longer."""


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports; relative imports made absolute."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            yield node.lineno, ".".join([*base, *([node.module] if node.module else [])])


def ids(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_no_module_imports_a_package_that_imports_it():
    """import-linter compares what stands side by side, never a package with what is in it."""
    import grimp

    graph = grimp.build_graph(*ROOMS, exclude_type_checking_imports=True, cache_dir=None)
    circles = {
        (module, package)
        for module in graph.modules
        for package in graph.find_modules_directly_imported_by(module)
        if module.startswith(f"{package}.")
        and graph.direct_import_exists(importer=package, imported=module)
    }
    assert circles == set()


def test_hooks_know_nothing_of_pages():
    """What runs a model must run where nothing is drawn: no widgets, no state of a page."""
    pages = {"param", "panel", "gradio", "holoviews", "bokeh", "workbench.selection"}
    wrong = [
        f"{ids(file)}:{line} imports {name}"
        for file in FILES
        if ids(file).startswith("hooks/")
        for line, name in imported(file)
        if {name, name.partition(".")[0]} & pages or name.startswith("workbench.draw")
    ]
    assert not wrong


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_nothing_unpickles(file):
    wrong = [
        f"line {line} imports {name}"
        for line, name in imported(file)
        if name.partition(".")[0] in UNPICKLING
    ]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        said = (
            [(k.arg, ast.unparse(k.value)) for k in node.keywords]
            if isinstance(node, ast.Call)
            else []
        )
        if (
            called in {"torch.load", "torch.save"}
            or called.endswith("read_pickle")
            or ("allow_pickle", "True") in said
        ):
            wrong.append(f"line {node.lineno} calls {called}")
    assert not wrong


def test_the_public_door_names_only_what_exists():
    import importlib

    import workbench

    for name, place in workbench._DOOR.items():
        room, *rest = place.split(".")
        assert room in ROOMS, name
        assert (ROOT / room / "/".join(rest)).with_suffix(".py").is_file() or (
            ROOT / room / "/".join(rest)
        ).is_dir(), name
        if room == "workbench":
            assert hasattr(importlib.import_module(place), name)


@pytest.mark.process
def test_importing_the_door_loads_nothing_heavy():
    import subprocess
    import sys

    said = subprocess.run(
        [sys.executable, "-c", "import workbench, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.split()
    assert not {
        "torch",
        "transformers",
        "pandas",
        "xarray",
        "panel",
        "gradio",
        "holoviews",
        "pydantic",
    } & set(said)


def test_a_module_is_read_in_one_sitting():
    code = [*FILES, *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "sample_runs").rglob("*.py")]
    long = {ids(file) for file in code if len(file.read_text("utf-8").splitlines()) > LINES}
    assert long == set(TABLES)
    assert set(TABLES) <= {ids(file) for file in code}


def test_presentation_stays_within_its_budget():
    """The engine and the views of the first six analyses; what draws, measures or says what
    a table means stands elsewhere. New analyses bring lines of their own: 150 for five pictures.
    """
    views = [
        *(ROOT / "workbench" / "views").glob("*.py"),
        *(ROOT / "analyses").glob("*/*/views.py"),
        *(ROOT / "analyses").glob("*/*/*_view.py"),
    ]
    lines = {ids(file): len(file.read_text("utf-8").splitlines()) for file in views}
    assert len(lines) > 10
    new = {name: lines.pop(name) for name in PICTURES if name in lines}
    assert sum(lines.values()) <= PRESENTATION, lines
    assert set(new) == set(PICTURES)
    assert all(count <= 150 / 5 * PICTURES[name] for name, count in new.items()), new

"""The documentation as a site: `make docs`.

    python -m docs.build [--out FOLDER]     default: ui/static_docs, which is served at /docs

The pages are the files of this folder. To a copy of them it adds what is made: the reference of
Python from docstrings, one page for every analysis from its `Params` and `SCHEMA`, the notebooks
of `examples/`. Zensical turns that into HTML; nothing of it is fetched from elsewhere, the search
included. A link that leads nowhere ends the build.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import workbench as wb
from workbench import registry
from workbench.registry import Analysis

HERE = Path(__file__).parent
ROOT = HERE.parent
EXAMPLES = ROOT / "examples"
OUT = ROOT / "ui" / "static_docs"
LIMIT = 10_000_000
"""Bytes that the built site may take: it travels in the wheel, where it is a fifth as large."""

DOOR: Mapping[str, Sequence[str]] = {
    "Models": ["load", "InstrumentedModel", "contract"],
    "Analyses and runs": [
        "run",
        "run_grid",
        "open_run",
        "Result",
        "Finding",
        "Progress",
        "Control",
        "explore",
    ],
    "Capture": ["capture", "estimate", "windows", "Workers", "Trace"],
    "Interventions": ["ablate", "scale", "patch", "add"],
    "Sweeps": [
        "sweep",
        *("Heads", "Layers", "Neurons", "Positions", "Edges", "States"),
        *("Zero", "Mean", "Resample", "Patch", "Noise", "Attribution"),
    ],
    "Metrics": ["Logit", "LogitDiff", "LogProb", "Prob", "KL", "Continuation", "Custom"],
    "Gradients and influence": [
        *("activation_gradients", "weight_gradients", "gradient_norms"),
        *("integrated_gradients", "layer_conductance", "influence"),
    ],
    "Recurrent memory": [
        *("implicit_attention", "change_state", "WipeState", "FreezeState", "PatchState"),
        *("SetState", "AddToState", "EraseKey", "RewritePair"),
        *("tune_initial_state", "read_states", "open_states", "SavedStates"),
    ],
    "Memory modules": [
        *("memory_places", "neuron_places", "MemoryAdapter", "check_memories", "memory_scaffold"),
    ],
    "Features": ["open_features", "attribute_features", "train_features"],
}
"""What `import workbench as wb` offers, by what one wants to do."""

ROOMS: Mapping[str, tuple[str, Sequence[str]]] = {
    "hooks": (
        "The hook layer below `wb`: places, reducers, decoding, attribution.",
        [
            *("hooks.model", "hooks.sites", "hooks.reduce", "hooks.positions", "hooks.generation"),
            *("hooks.decode", "hooks.attention", "hooks.states", "hooks.logit_attribution"),
            *("hooks.recurrent.kernel_inputs", "hooks.state_capture"),
        ],
    ),
    "editing": (
        "Facts changed in weights; [how](../../how-to/editing.md).",
        [
            *("hooks.editing.requests", "hooks.editing.statistics", "hooks.editing.values"),
            *("hooks.editing.rome", "hooks.editing.memit", "hooks.editing.training"),
            *("hooks.editing.in_context", "hooks.editing.edit", "hooks.editing.random_edits"),
            *("hooks.editing.grace", "hooks.editing.wise", "hooks.editing.wise_training"),
        ],
    ),
    "for-analyses": (
        "What an analysis is written with; [how one is written](../../writing-an-analysis.md).",
        [
            *("workbench.registry", "workbench.parts", "workbench.cost", "workbench.schema"),
            *("workbench.result", "workbench.trace", "workbench.progress", "workbench.selection"),
            *("workbench.views", "workbench.playground", "workbench.facts"),
        ],
    ),
    "errors": ("What is raised, and what it says.", ["workbench.errors"]),
}


def build(out: Path = OUT) -> int:
    """Build the site into a folder, in place of what was there.

    Returns:
        The bytes it takes.

    Raises:
        SystemExit: a link leads nowhere, a page is in no menu, or the site is too large.
    """
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        pages = work / "pages"
        shutil.copytree(
            HERE, pages, ignore=shutil.ignore_patterns("*.py", "*.toml", "theme", "__pycache__")
        )
        shutil.copytree(HERE / "theme", work / "theme")
        python = dict(python_pages())
        analyses = dict(analysis_pages())
        examples = dict(example_pages(pages / "examples"))
        for name, text in {**python, **analyses}.items():
            (pages / name).parent.mkdir(parents=True, exist_ok=True)
            (pages / name).write_text(text, encoding="utf-8")
        config = (HERE / "zensical.toml").read_text(encoding="utf-8")
        for name, made in {"python": python, "analyses": analyses, "examples": examples}.items():
            config = config.replace(f'= "{name}" }}', f"= {_toml(made)} }}")
        (work / "zensical.toml").write_text(config, encoding="utf-8")
        if lost := unlisted(pages, config):
            sys.exit(f"In no menu of docs/zensical.toml: {', '.join(lost)}")
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode:
            # Which link, on which line; how Zensical then ended itself is of no interest.
            told = done.stderr.partition("Traceback")[0] or done.stdout
            sys.exit(re.sub(r"\x1b\[[0-9;]*m", "", told))
        size = sum(file.stat().st_size for file in (work / "site").rglob("*") if file.is_file())
        if size > LIMIT:
            sys.exit(f"The site takes {size:,} bytes; {LIMIT:,} are allowed.")
        # The workbench has a page of its own for an address that leads nowhere; that of the site
        # looks for its style where Home is.
        (work / "site" / "404.html").unlink()
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(work / "site", out)
    return size


def _toml(names: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def unlisted(pages: Path, config: str) -> list[str]:
    """Pages that no menu leads to."""

    def leaves(item: Any) -> Iterator[str]:
        if isinstance(item, str):
            yield item
        else:
            for inner in item.values() if isinstance(item, dict) else item:
                yield from leaves(inner)

    listed = set(leaves(tomllib.loads(config)["project"]["nav"]))
    return sorted({str(file.relative_to(pages)) for file in pages.rglob("*.md")} - listed)


def python_pages() -> Iterator[tuple[str, str]]:
    """The reference of Python: the door, then the rooms behind it."""
    named = [name for names in DOOR.values() for name in names]
    if set(named) != set(wb.__all__) - {"__version__"} or len(named) != len(set(named)):
        sys.exit(f"docs/build.py sorts other names than wb has: {set(named) ^ set(wb.__all__)}")
    lines = ["# import workbench as wb", "", "The one public door.", ""]
    for title, names in DOOR.items():
        lines += [f"## {title}", ""]
        for name in names:
            thing = getattr(wb, name)
            lines += [f"::: {thing.__module__}.{thing.__qualname__}", ""]
    yield "reference/python/wb.md", "\n".join(lines)
    for room, (says, modules) in ROOMS.items():
        lines = [f"# {room.replace('-', ' ').capitalize()}", "", says, ""]
        for module in modules:
            lines += [f"::: {module}", "    options:", "      heading_level: 2"]
            lines += ["      show_root_full_path: true", ""]
        yield f"reference/python/{room}.md", "\n".join(lines)


def analysis_pages() -> Iterator[tuple[str, str]]:
    """What every analysis can be asked, and what its tables mean."""
    for analysis in registry.all_analyses()[0]:
        yield f"reference/analyses/{analysis.name}.md", analysis_page(analysis)


def analysis_page(analysis: Analysis) -> str:
    """One analysis: parameters, parts, and all that a run holds."""
    method = HERE / "methods" / f"{analysis.name}.md"
    lines = [f"# {analysis.name}: parameters and tables", "", f"*{analysis.question}*", ""]
    if method.exists():
        lines += [f"[What is measured, and how](../../methods/{method.name}).", ""]
    lines += ["## Parameters", "", "`--set NAME=VALUE`, or keys of `params` in Python.", ""]
    lines += table(
        ["name", "default", "what"],
        (
            [f"`{name}`", f"`{field.default!r}`", field.description or ""]
            for name, field in analysis.Params.model_fields.items()
        ),
    )
    if analysis.parts:
        lines += ["## Parts", "", "`--set parts=NAME` runs one of them.", ""]
        lines += table(
            ["part", "what one learns"], ([f"`{p.name}`", p.gives] for p in analysis.parts)
        )
    schema = analysis.schema
    if schema.findings:
        lines += ["## Findings", ""]
        lines += table(
            ["name", "what", "unit"], ([f"`{f.name}`", f.title, f.unit] for f in schema.findings)
        )
    for one in schema.tables:
        lines += [f"## Table `{one.name}`", "", one.says, ""]
        lines += table(
            ["column", "what", "unit"], ([f"`{c.name}`", c.says, c.unit] for c in one.columns)
        )
    if schema.arrays:
        lines += ["## Arrays", ""]
        lines += table(
            ["array", "axes", "what", "unit"],
            ([f"`{a.name}`", ", ".join(a.dims), a.says, a.unit] for a in schema.arrays),
        )
    return "\n".join(lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; what stands in a cell is kept in it."""

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(re.sub(r"\s+", " ", c).replace("|", "\\|") for c in cells) + " |"

    return [row(head), row(["---"] * len(head)), *map(row, rows), ""]


def example_pages(folder: Path) -> Iterator[tuple[str, str]]:
    """The notebooks as pages of `folder`, with the pictures they were saved with."""
    import nbformat
    from nbconvert import MarkdownExporter

    folder.mkdir()
    for file in sorted(EXAMPLES.glob("*.ipynb")):
        pictures = {"output_files_dir": file.stem, "unique_key": file.stem}
        text, resources = MarkdownExporter().from_notebook_node(
            nbformat.read(file, as_version=4), resources=pictures
        )
        text = text.replace("](../docs/", "](../")  # a notebook links to the files of a checkout
        note = f"*This page is `examples/{file.name}`, as it was run.*\n"
        head, _, rest = text.partition("\n\n")
        page = folder / f"{file.stem}.md"
        page.write_text(f"{head}\n\n{note}\n{rest}", encoding="utf-8")
        for name, data in resources["outputs"].items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
        yield f"examples/{page.name}", str(page)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Build the documentation.")
    parser.add_argument("--out", type=Path, default=OUT, help="where the site goes")
    out = parser.parse_args().out
    size = build(out)
    print(f"{out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

"""`workbench runs`, `workbench report` and `workbench changes`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.run import Json
from workbench.errors import NotFound, WorkbenchError
from workbench.terminal import duration, out, plain, print_json, show_table

Runs = Annotated[
    Path | None,
    typer.Option("--runs", help="The folder of runs. Default: yours.", show_default=False),
]


def runs(as_json: Json = False, folder: Runs = None) -> None:
    """List finished runs, newest first; the sample runs come last."""
    from workbench import paths
    from workbench import runs as store

    if folder is not None and not folder.is_dir():
        raise NotFound(
            f"There is no folder {str(folder)!r}.", "a folder with runs", "Check --runs."
        )
    entries = store.listing(folder)
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    if not entries:
        out().print(
            f"No runs yet in {plain(folder or paths.runs_dir())}.\n[dim]Make one: workbench run"
            " NAME[/]",
            soft_wrap=True,
        )
        return
    rows = []
    for entry in entries:
        state = entry.problem or ", ".join(
            w for w, so in (("partial", entry.partial), ("sample", entry.sample)) if so
        )
        started = entry.started.replace("T", " ")[:16]
        rows.append(
            (
                entry.id,
                entry.analysis,
                entry.model,
                started,
                duration(entry.duration) if entry.analysis else "",
                state,
            )
        )
    show_table(["run", "analysis", "model", "started (UTC)", "took", ""], rows, right=["took"])
    out().print("[dim]Read one: workbench report RUN · Explore them: workbench ui[/]")


def report(
    run: Annotated[
        str, typer.Argument(help="A run's folder, its id, or latest.", show_default=False)
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help=(
                "File to write: .html, .pdf (needs Chromium or Chrome), .ipynb, or .zip (CSV and"
                " SVG). Default: RUN.html in this folder."
            ),
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    folder: Runs = None,
) -> None:
    """Write a run as one file to share: HTML (works offline), PDF, a notebook, or a zip."""
    from workbench.cli.parse_values import check_writable
    from workbench.frontends import front_end
    from workbench.runs import open_run

    result = open_run(run, folder)
    assert result.path is not None  # a run that was opened knows its folder
    target = file or Path(f"{result.path.resolve().name}.html")
    if target.is_dir():
        raise WorkbenchError(
            f"{target} is a folder.",
            "a file name",
            f"For example: -o {target / (result.path.name + '.html')}",
        )
    if target.exists() and not force:
        raise WorkbenchError(
            f"{target} exists already.",
            "a new file",
            "Choose another name with -o, or add --force.",
        )
    if not target.exists():
        check_writable(target, "-o FILE")
    written = front_end("report")(result, target, force)
    out().print(f"Written to {plain(written)}", soft_wrap=True)


def changes(
    run: Annotated[
        str, typer.Argument(help="A run's folder, its id, or latest.", show_default=False)
    ],
    name: Annotated[
        str | None,
        typer.Argument(help="The change to save. Default: list them.", show_default=False),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write. Default: NAME.safetensors in this folder.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    folder: Runs = None,
) -> None:
    """List the weight changes of a run, or save one as a small file.

    MODEL+FILE then opens the model with this change, wherever a model is named.
    """
    from workbench import registry
    from workbench.runs import open_run

    result = open_run(run, folder)
    held = registry.get(result.analysis).changes(result)
    if name is None:
        rows = [(key, change.about, change.size) for key, change in held.items()]
        if as_json:
            print_json([dict(zip(("name", "about", "numbers"), row, strict=True)) for row in rows])
        elif rows:
            show_table(
                ["change", "what it does", "numbers"],
                [(a, b, f"{n:,}") for a, b, n in rows],
                right=["numbers"],
            )
            out().print(
                f"[dim]Save one: workbench changes {plain(run)} {plain(rows[0][0])} -o"
                " FILE.safetensors[/]",
                soft_wrap=True,
            )
        else:
            out().print("This run changed no weights.")
        return
    if name not in held:
        raise NotFound.named("change of this run", name, held)
    written = held[name].save(file or Path(f"{name}.safetensors"))
    model = result.provenance.model.get("source", "MODEL")
    if as_json:
        print_json({"name": name, "file": str(written), "numbers": held[name].size})
        return
    out().print(
        f"Written to {plain(written)}\n[dim]Open it: --model {plain(model)}+{plain(written)}[/]",
        soft_wrap=True,
    )

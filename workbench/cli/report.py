"""`workbench report` and `workbench changes`: what is made of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.run import Json
from workbench.cli.runs import Runs
from workbench.errors import NotFound, WorkbenchError
from workbench.terminal import out, plain, print_json, show_table


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
    from workbench.disk_space import check_writable
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

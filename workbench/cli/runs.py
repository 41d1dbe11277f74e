"""`workbench runs`: the list of finished runs, and what is done with one of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.run import Json
from workbench.errors import NotFound, WorkbenchError
from workbench.terminal import duration, out, plain, print_json, show_table

if TYPE_CHECKING:
    from workbench import runs as store

app = typer.Typer(
    help="List finished runs; rename, note, pin, hide, check, delete or restore one.",
    invoke_without_command=True,
)

Runs = Annotated[
    Path | None,
    typer.Option("--runs", help="The folder of runs. Default: yours.", show_default=False),
]
RunId = Annotated[str, typer.Argument(help="A run's id, or latest.", show_default=False)]


@app.callback()
def runs(context: typer.Context, as_json: Json = False, folder: Runs = None) -> None:
    from workbench import paths
    from workbench import runs as store

    if folder is not None and not folder.is_dir():
        raise NotFound(
            f"There is no folder {str(folder)!r}.", "a folder with runs", "Check --runs."
        )
    if context.invoked_subcommand is not None:
        return
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
    rows = [
        (
            entry.id,
            "" if entry.problem else entry.title,
            entry.started.replace("T", " ")[:16],
            duration(entry.duration) if entry.analysis else "",
            entry.problem or _state(entry),
        )
        for entry in entries
    ]
    show_table(["run", "title", "started (UTC)", "took", ""], rows, right=["took"])
    out().print("[dim]Read one: workbench report RUN · Explore them: workbench ui[/]")


def _state(entry: store.RunEntry) -> str:
    words = {
        "pinned": entry.labels.pinned,
        "partial": entry.partial,
        "from elsewhere": entry.linked,
        "sample": entry.sample,
        "hidden": entry.labels.hidden,
        entry.labels.problem: bool(entry.labels.problem),
    }
    return ", ".join(word for word, so in words.items() if so)


@app.command()
def rename(
    context: typer.Context,
    run: RunId,
    title: Annotated[
        str, typer.Argument(help='The new title; "" gives back its own.', show_default=False)
    ],
    folder: Runs = None,
) -> None:
    """Give a run a title of your own."""
    from workbench import run_labels

    entry = _entry(context, folder, run)
    labels = run_labels.write(entry.path, title=title)
    out().print(f"{plain(entry.id)} is called: {plain(labels.title or 'what it was called first')}")


@app.command()
def note(
    context: typer.Context,
    run: RunId,
    text: Annotated[
        str | None,
        typer.Argument(
            help='The note; "" removes it. Default: show the one it has.', show_default=False
        ),
    ] = None,
    folder: Runs = None,
) -> None:
    """Keep a note with a run, or read it."""
    from workbench import run_labels

    entry = _entry(context, folder, run)
    if text is None:
        out().print(plain(entry.labels.note) or "[dim]This run has no note.[/]", soft_wrap=True)
        return
    run_labels.write(entry.path, note=text)
    out().print(f"{'Noted' if text else 'Its note is gone'}: {plain(entry.title)}", soft_wrap=True)


@app.command()
def pin(
    context: typer.Context,
    run: RunId,
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
    folder: Runs = None,
) -> None:
    """Let a run stand first."""
    from workbench import run_labels

    entry = _entry(context, folder, run)
    run_labels.write(entry.path, pinned=not off)
    out().print(f"{'No longer pinned' if off else 'Pinned'}: {plain(entry.title)}", soft_wrap=True)


@app.command()
def hide(
    context: typer.Context,
    run: RunId,
    off: Annotated[bool, typer.Option("--off", help="Show it again.")] = False,
    folder: Runs = None,
) -> None:
    """Leave a run out of the pages (a sample run, which cannot be deleted)."""
    from workbench import run_labels

    entry = _entry(context, folder, run)
    run_labels.write(entry.path, hidden=not off)
    out().print(f"{'Shown again' if off else 'Hidden'}: {plain(entry.title)}", soft_wrap=True)


@app.command()
def delete(context: typer.Context, run: RunId, folder: Runs = None) -> None:
    """Move a run to the trash, from where it can be restored."""
    from workbench import run_trash

    root = _root(context, folder)
    kept = run_trash.delete(_entry(context, folder, run).id, root)
    out().print(
        f"Moved to the trash: {plain(kept)}\n[dim]Take it back: workbench runs restore"
        f" {plain(kept)}[/]",
        soft_wrap=True,
    )


@app.command()
def restore(
    context: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(help="Its id in the trash. Default: list them.", show_default=False),
    ] = None,
    folder: Runs = None,
) -> None:
    """Take a run out of the trash."""
    from workbench import run_trash

    root = _root(context, folder)
    if run is not None:
        out().print(f"Restored: {plain(run_trash.restore(run, root))}", soft_wrap=True)
        return
    rows = [(e.id, e.title, e.started.replace("T", " ")[:16]) for e in run_trash.trashed(root)]
    if rows:
        show_table(["run in the trash", "title", "started (UTC)"], rows)
    else:
        out().print("The trash is empty.")


@app.command("checksum")
def show_checksum(
    context: typer.Context,
    run: RunId,
    expected: Annotated[
        str | None,
        typer.Argument(
            help="What it should be, from a report. Default: show it.", show_default=False
        ),
    ] = None,
    folder: Runs = None,
) -> None:
    """Show the SHA-256 of a run's files, or check that they are what a report was made of."""
    from workbench.run_checksum import checksum

    entry = _entry(context, folder, run)
    found = checksum(entry.path)
    if expected is None:
        out().print(found)
        return
    if expected.strip().lower() != found:
        raise WorkbenchError(
            f"{entry.id} is not what that report was made of: its SHA-256 is {found}.",
            expected.strip(),
            "Somebody changed its files, or the report is of another run.",
        )
    out().print(f"Unchanged: {plain(entry.id)}")


@app.command("empty-trash")
def empty_trash(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    folder: Runs = None,
) -> None:
    """Remove what is in the trash for good."""
    from workbench import run_trash

    root = _root(context, folder)
    many = len(run_trash.trashed(root))
    if many and not yes and not typer.confirm(f"Remove {many} runs for good?"):
        raise WorkbenchError("Nothing was removed.", do="Answer y, or add --yes.")
    out().print(f"Removed: {run_trash.empty(root)}")


def _root(context: typer.Context, folder: Path | None) -> Path | None:
    """The folder of runs, whether it was given before or after the word of the command."""
    if folder is None and context.parent is not None:
        return context.parent.params.get("folder")
    return folder


def _entry(context: typer.Context, folder: Path | None, run: str) -> store.RunEntry:
    from workbench import runs as store

    return store.find(run, _root(context, folder))

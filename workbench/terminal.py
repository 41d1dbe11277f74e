"""What the terminal shows: messages and bars on stderr, answers on stdout."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, WorkbenchError
from workbench.progress import Progress, Update

if TYPE_CHECKING:
    from rich.console import Console

_UNBOUNDED = 10_000  # columns of what is no terminal: nothing there has to be broken to be seen
_LOG_EVERY = (
    5.0  # seconds between two lines of progress where there is no terminal to draw a bar in
)


def out() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def err() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def plain(text: object) -> str:
    """Text of a model, a file or a run, made harmless for a terminal: no control characters, no
    Rich markup.
    """
    from rich.markup import escape

    return escape(
        "".join(
            (
                c
                if c.isprintable()
                else "\n"
                if c == "\n"
                else " "
                if c == "\t"
                else "\N{REPLACEMENT CHARACTER}"
            )
            for c in str(text)
        )
    )


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    title: str = "",
    right: Sequence[str] = (),
) -> None:
    """A table on stdout, whose first column (the name that a next command is given) is never
    broken.

    In a pipe or a file nothing is broken, however long a line. In a terminal too narrow for the
    columns without breaking words, the rows stand one below the other. Cells are text of unknown
    origin; columns named in `right` hold numbers.
    """
    from rich import box
    from rich.table import Table

    screen = out()
    if not screen.is_terminal:
        screen.width = _UNBOUNDED
    cells = [[plain(cell) for cell in row] for row in rows]
    if _too_wide([columns, *cells], screen.width):
        _stack(screen, columns, cells)
        return
    table = Table(
        title=title or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
    )
    for n, (column, word) in enumerate(zip(columns, _longest([columns, *cells]), strict=True)):
        justify: Any = "right" if column in right else "left"
        table.add_column(
            column,
            justify=justify,
            overflow="fold",
            no_wrap=n == 0,
            min_width=min(word, screen.width // 2),
        )
    for row in cells:
        table.add_row(*row)
    screen.print(table)


def _longest(rows: Sequence[Sequence[str]]) -> list[int]:
    """Characters that may not be parted: of the first column the longest cell, of every other
    the longest word.
    """
    first, *others = zip(*rows, strict=True)
    return [
        max(map(len, first)),
        *(max(len(word) for cell in column for word in [*cell.split(), ""]) for column in others),
    ]


def _too_wide(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether the first column takes more than half, or a table of several others would break
    words.
    """
    name, *words = _longest(rows)
    return name > width / 2 or (len(words) > 1 and name + sum(words) + 3 * len(words) > width)


def _stack(screen: Console, columns: Sequence[str], cells: Iterable[Sequence[str]]) -> None:
    for name, *others in cells:
        lines = [
            f"{column} {cell}".strip()
            for column, cell in zip(columns[1:], others, strict=True)
            if cell
        ]
        screen.print(f"{name}\n  [dim]{' · '.join(lines)}[/]", soft_wrap=True)


def complaint_of(error: BaseException) -> WorkbenchError | None:
    """An error the user can put right, in the workbench's own form; None if it is a bug."""
    if isinstance(error, WorkbenchError):
        return error
    if isinstance(error, UnicodeError):
        return BadInput(
            f"A file is not readable as text: {error}.", "UTF-8", "Save it as UTF-8 and try again."
        )
    if isinstance(error, PermissionError):
        return WorkbenchError(
            f"Permission denied: {error.filename}.",
            "a place you may read and write",
            "Choose another, or change its rights.",
        )
    if isinstance(error, OSError) and error.errno is not None:
        where = f": {error.filename}" if error.filename else ""
        return WorkbenchError(
            f"{error.strerror or error}{where}.",
            "",
            "Check the path, the rights and the free space.",
        )
    return None


def complain(error: WorkbenchError) -> None:
    """What, expected, do; in red, on stderr."""
    screen = err()
    screen.print(f"[bold red]Error[/] {plain(error.what)}", soft_wrap=True)
    if error.expected:
        screen.print(f"  [dim]Expected[/] {plain(error.expected)}", soft_wrap=True)
    if error.do:
        screen.print(f"  [bold]Do[/] {plain(error.do)}", soft_wrap=True)


def say_stopped(stop: BaseException) -> None:
    # Commands that keep something say so themselves; elsewhere a stopped job leaves nothing behind.
    message = str(stop) if str(stop) not in ("", "Cancelled.") else "Stopped. Nothing was saved."
    err().print(f"[yellow]{plain(message)}[/]", soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds for people: "1:05"."""
    whole = round(seconds)
    return (
        f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
        if whole >= 3600
        else f"{whole // 60}:{whole % 60:02d}"
    )


@contextmanager
def bar() -> Iterator[Progress]:
    """A `Progress` shown on stderr, with time left.

    Ctrl-C inside asks the job to stop, a second Ctrl-C ends the process.
    """
    screen = err()
    show: Callable[[Update], None]
    if not screen.is_terminal:
        progress = Progress(_log(screen))
        with _stoppable(progress):
            yield progress
        return

    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = [
        BarColumn(bar_width=24),
        TextColumn("{task.fields[done]:>4}"),
        TextColumn("{task.description}"),
    ]
    with Bar(
        *columns, TextColumn("[dim]{task.fields[times]}"), console=screen, transient=True
    ) as drawn:
        task = drawn.add_task("", total=None, done="", times="")

        def show(update: Update) -> None:
            times = duration(update.elapsed) + (
                f", {duration(update.left)} left" if update.left is not None else ""
            )
            drawn.update(
                task,
                # A bar that does not know yet how far it is pulses instead of standing at zero.
                total=1.0 if update.fraction > 0 else None,
                completed=update.fraction,
                description=plain(update.says),
                done=f"{update.fraction:.0%}" if update.fraction > 0 else "",
                times=times,
            )

        progress = Progress(show)
        with _stoppable(progress):
            yield progress


def _log(screen: Console) -> Callable[[Update], None]:
    last = -_LOG_EVERY

    def show(update: Update) -> None:
        nonlocal last
        if time.monotonic() - last < _LOG_EVERY and update.fraction < 1:
            return
        last = time.monotonic()
        left = f", {duration(update.left)} left" if update.left is not None else ""
        screen.print(
            f"{update.fraction:4.0%} {plain(update.says)} ({duration(update.elapsed)}{left})",
            soft_wrap=True,
        )

    return show


@contextmanager
def _stoppable(progress: Progress) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return

    def on_interrupt(number: int, frame: Any) -> None:
        # Straight to the terminal: Rich may be in the middle of drawing.
        if progress.cancelled:
            os.write(
                2,
                (
                    b"\x1b[?25h\nStopped at once; nothing more was kept.\n"
                    if os.isatty(2)
                    else b"Stopped at once.\n"
                ),
            )
            os._exit(130)
        progress.cancel()
        os.write(2, b"\nStopping at the next step (Ctrl-C again to stop at once) ...\n")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

"""The command line: `workbench …`.

I want another command        -> a function in the nearest file here, and a line below
I want to change how it looks -> terminal.py
Exit codes: 0 done, 2 something the user can put right, 130 stopped by the user, 1 a bug of ours.
Nothing heavy is imported up here, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from workbench import __version__
from workbench.cli import (
    analyses,
    card,
    corpus,
    doctor,
    features,
    grid,
    lab,
    models,
    modules,
    organisms,
    report,
    run,
    runs,
    serve,
    trace,
)
from workbench.errors import BadInput, Cancelled
from workbench.silence_libraries import silence
from workbench.terminal import complain, complaint_of, say_stopped
from workbench.unicode import check_unicode

BUG, WRONG, STOPPED = 1, 2, 130


class _Group(TyperGroup):
    """Turns what a command raises on purpose into one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (Cancelled, KeyboardInterrupt) as stop:
            say_stopped(stop)
            raise typer.Exit(STOPPED) from None
        except BrokenPipeError:
            # `workbench runs | head` closes the pipe early; Python would complain once more while
            # it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except Exception as error:
            complaint = complaint_of(error)
            if complaint is None:
                raise
            complain(complaint)
            raise typer.Exit(WRONG) from None


app = typer.Typer(
    name="workbench",
    cls=_Group,
    help=(
        "What does a language model remember, where is it stored, and which part brought it back"
        " just now?"
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"workbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


app.command("analyses")(analyses.analyses)
app.command("run")(run.run)
app.command("grid")(grid.grid)
app.command("card")(card.card)
app.add_typer(runs.app, name="runs")
app.command("report")(report.report)
app.command("changes")(report.changes)
app.command("ui")(serve.ui)
app.command("trace")(trace.trace)
app.command("plant")(organisms.plant)
app.command("lab")(lab.lab)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(organisms.app, name="organisms")
app.add_typer(features.app, name="sae")
app.add_typer(corpus.app, name="corpus")
app.add_typer(modules.app, name="modules")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit; see the exit codes above."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a terminal that cannot show a character still gets the line
    # A command says these itself, where they can be seen; see hooks/context_window.py and
    # hooks/rounding.py.
    warnings.filterwarnings("ignore", message=".* tokens were read at once")
    warnings.filterwarnings("ignore", message="Inside the sweeps the unchanged model ended")
    silence()
    try:
        _check_arguments(sys.argv[1:] if arguments is None else arguments)
        app(arguments)
    except BadInput as error:
        complain(error)
        sys.exit(WRONG)
    except (
        Exception
    ) as error:  # a bug: still one clear message, and the details for whoever mends it
        if os.environ.get("WORKBENCH_DEBUG"):
            traceback.print_exc()
        complain_of_bug(error)
        sys.exit(BUG)


def _check_arguments(arguments: Sequence[str]) -> None:
    """Bytes that are no text in the terminal's encoding reach us as halves of surrogate pairs.

    Raises:
        BadInput: an argument has one.
    """
    for argument in arguments:
        check_unicode(argument, f"The argument {argument!a}")


def complain_of_bug(error: Exception) -> None:
    from workbench.errors import WorkbenchError

    complain(
        WorkbenchError(
            f"The workbench made a mistake: {type(error).__name__}: {error}",
            "",
            "Please report it, with what WORKBENCH_DEBUG=1 shows for the same command.",
        )
    )

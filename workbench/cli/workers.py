"""Options of commands that can give their work to several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import BadInput
from workbench.terminal import err, plain

if TYPE_CHECKING:
    from workbench.grid.engine import Loading
    from workbench.grid.workers import Workers

Engine = Annotated[str, typer.Option(help="local: processes of this machine; ray: a Ray cluster.")]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of the Ray cluster. Default: one that is found, else a new one here.",
        show_default=False,
    ),
]


def on_workers(
    n: int | None, model: str, engine: str, address: str | None, loading: Loading
) -> Workers | None:
    """The workers that were asked for; None where there are to be none.

    Raises:
        BadInput: an engine without workers, or workers that cannot be had.
    """
    from workbench.grid.workers import Workers

    if n is None:
        if engine != "local" or address is not None:
            raise BadInput(
                "--engine and --address are of workers.",
                "--workers N",
                "Add it, or leave them out.",
            )
        return None
    workers = Workers(
        model, n, engine, address, loading, lambda text: err().print(f"[dim]{plain(text)}[/]")
    )
    workers.check()
    return workers

"""`workbench lab`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.run import Device, Json, Model
from workbench.errors import Cancelled
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, out, plain, print_json


def lab(
    schedule: Annotated[
        Path,
        typer.Argument(
            help="JSON file: texts and when they are read, stages, neutral text.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path, typer.Option("--out", "-o", help="New folder for the model.", show_default=False)
    ],
    model: Model = DEFAULT,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train a copy of a model by a schedule of readings, and keep its steps.

    After a stop, the same command continues.
    """
    from workbench.lab.schedule import read_schedule
    from workbench.lab.series import train_schedule
    from workbench.models import locate

    wanted = read_schedule(schedule)
    locate(model)
    try:
        with bar() as progress:
            train_schedule(model, wanted, folder, progress, device)
    except Cancelled:
        raise Cancelled(
            f"Stopped. {folder} keeps what was done; the same command continues from there."
        ) from None
    steps = wanted.kept()
    if as_json:
        print_json({"path": str(folder), "texts": len(wanted.texts), "steps": steps})
        return
    out().print(
        f"Trained in {plain(folder)}; {len(steps)} steps are kept beside it, and its ledger.jsonl"
        " says what was read when.",
        soft_wrap=True,
    )
    out().print(
        f"[dim]See what it kept: workbench run retention --model {plain(folder)}[/]",
        soft_wrap=True,
    )

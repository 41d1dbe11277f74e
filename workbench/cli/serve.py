"""`workbench ui`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.run import Bits, MaxMemory, Model, Offload
from workbench.cli.runs import Runs
from workbench.errors import BadInput, NotFound
from workbench.models.known_models import DEFAULT

_OWN = {"127.0.0.1", "localhost", "::1"}


def ui(
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; any other than this machine's own needs a password."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port. Default: 7860. 0: any free one.", show_default=False
        ),
    ] = None,
    model: Model = DEFAULT,
    max_memory: MaxMemory = None,
    offload: Offload = None,
    bits: Bits = None,
    runs: Runs = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open a browser.")
    ] = False,
    behind_proxy: Annotated[
        bool,
        typer.Option("--behind-proxy", help="Trust the X-Forwarded headers of a proxy in front."),
    ] = False,
    root_path: Annotated[
        str,
        typer.Option(
            help="Path under which a proxy serves the workbench, e.g. /lab.", show_default=False
        ),
    ] = "",
    password: Annotated[
        str | None,
        typer.Option(
            envvar="WORKBENCH_PASSWORD", help="Password for every page.", show_default=False
        ),
    ] = None,
) -> None:
    """Open the workbench in the browser; Ctrl-C ends it."""
    from workbench import models
    from workbench.frontends import front_end
    from workbench.grid.engine import Loading

    if host not in _OWN and not password:
        raise BadInput(
            f"Listening on {host} would let others use this workbench.",
            "a password for any address but 127.0.0.1",
            "Add --password, or set WORKBENCH_PASSWORD (which other users of this machine cannot"
            " read in the process list).",
        )
    if runs is not None and not Path(runs).is_dir():
        raise NotFound(f"There is no folder {str(runs)!r}.", "a folder with runs", "Check --runs.")
    models.locate(model)
    serve: Any = front_end("serve")
    asked = {
        "host": host,
        "port": port,
        "model": model,
        "runs": runs,
        "open_browser": not no_browser,
        "password": password,
        "loading": Loading("auto", None, max_memory, str(offload) if offload else None, bits),
    }
    serve(**asked, behind_proxy=behind_proxy, root_path=root_path)

"""`workbench doctor`."""

from __future__ import annotations

import sys
from dataclasses import asdict

import typer

from workbench import __version__
from workbench.cli.run import Json
from workbench.disk_space import memory_free, size
from workbench.terminal import out, print_json


def doctor(as_json: Json = False) -> None:
    """Look over this machine: versions, device, memory, and what will not run here.

    Exit code 2 if something is wrong.
    """
    import torch

    from workbench.environment import problems
    from workbench.runs import versions

    free, found = memory_free(), problems()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    facts = {
        "workbench": __version__,
        "python": sys.version.split()[0],
        "torch": versions()["torch"],
        "transformers": versions()["transformers"],
        "device": device,
        "memory free": "" if free is None else size(free),
    }
    if as_json:
        print_json({**facts, "problems": [asdict(problem) for problem in found]})
    else:
        for name, value in facts.items():
            out().print(f"{name:14}{value}", highlight=False)
        for problem in found:
            out().print(f"\n{problem.what}\n  Do: {problem.do}", highlight=False)
        if not found:
            out().print("\nNothing is wrong.")
    if found:
        raise typer.Exit(2)

"""`workbench modules list`, `workbench modules check`, `workbench modules scaffold`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workbench.cli.run import Device, Json, Model
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, print_json, show_table

app = typer.Typer(help="Memory modules of a model, and their adapters.", no_args_is_help=True)


@app.command("list")
def listed(model: Model = DEFAULT, device: Device = "auto", as_json: Json = False) -> None:
    """List a model's memories: modules that an adapter knows, or the neurons in their place."""
    import workbench as wb

    loaded = _load(model, device)
    places = wb.memory_places(loaded) or wb.neuron_places(loaded)
    rows = [
        {
            "name": place.name,
            "kind": place.adapter.name,
            "slots": place.slots().count,
            "module": type(place.module).__name__,
        }
        for place in places
    ]
    if as_json:
        print_json(rows)
        return
    shown = [(r["name"], r["kind"], f"{r['slots']:,}", r["module"]) for r in rows]
    show_table(["memory", "kind", "slots", "module"], shown, right=["slots"])


@app.command()
def check(
    model: Model = DEFAULT,
    adapter: Annotated[
        str,
        typer.Option(
            help="An adapter of your own, my_package.my_file:ADAPTER. Default: those installed.",
            show_default=False,
        ),
    ] = "",
    text: Annotated[
        str,
        typer.Option(
            help="What the model reads meanwhile. Default: a sentence.", show_default=False
        ),
    ] = "",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Check adapters on a model: whether what they say is what the modules do.

    Exit code 2 where a line fails.
    """
    import workbench as wb

    given = {"text": text} if text else {}
    found = wb.check_memories(_load(model, device), adapter or None, **given)
    if as_json:
        print_json(
            [
                {
                    "memory": each.place,
                    "failed": list(each.failed),
                    "lines": [
                        {"name": x.name, "verdict": x.verdict, "says": x.says} for x in each.lines
                    ],
                }
                for each in found
            ]
        )
    else:
        for each in found:
            rows = [(line.name, line.verdict, line.says) for line in each.lines]
            show_table([each.place, "", "says"], rows)
    for each in found:
        each.require()


@app.command()
def scaffold(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="CLASS",
            help="package.module:Class, or with --model the name of one of its module classes.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="A model that has such modules: their parameters are listed.",
            show_default=False,
        ),
    ] = "",
    device: Device = "auto",
) -> None:
    """Print the skeleton of an adapter for a module class that has none."""
    import workbench as wb

    typer.echo(wb.memory_scaffold(kind, _load(model, device) if model else None), nl=False)


def _load(model: str, device: str) -> Any:
    import workbench as wb

    with bar() as progress:
        return wb.load(model, device, progress=progress)

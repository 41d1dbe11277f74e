"""`workbench organisms`, `workbench organisms train`, `workbench plant`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.run import Device, Json, Model
from workbench.disk_space import size
from workbench.errors import BadInput, Cancelled, NotFound
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, out, plain, print_json, show_table

app = typer.Typer(
    help="Model organisms: small models with planted memories.", invoke_without_command=True
)


@app.callback()
def organisms(context: typer.Context, as_json: Json = False) -> None:
    """Model organisms: small models with planted memories.

    Without a command: list those that come with the workbench.
    """
    if context.invoked_subcommand is not None:
        return
    from workbench.organisms import checkpoints, ledger, shipped

    rows: list[dict[str, Any]] = []
    for organism in shipped().values():
        entries = ledger.read(organism.folder).entries
        rows.append(
            {
                "name": organism.name,
                "description": organism.description,
                "passages": sum(1 for entry in entries if entry.repeats),
                "twins": sum(1 for entry in entries if not entry.repeats),
                "steps": checkpoints.saved_steps(organism.folder),
                "bytes": organism.bytes,
                "path": str(organism.folder),
            }
        )
    if as_json:
        print_json(rows)
        return
    headings = ["organism", "description", "passages", "twins", "steps", "size"]
    shown = [
        (
            r["name"],
            r["description"],
            r["passages"],
            r["twins"],
            ", ".join(map(str, r["steps"])),
            size(r["bytes"]),
        )
        for r in rows
    ]
    show_table(headings, shown, right=["passages", "twins", "size"])
    out().print(
        "[dim]Open one: --model organism/planted, or as it was then: organism/planted@step-N"
        " · Train it again: workbench organisms train planted[/]"
    )


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="Which organism: planted.", show_default=False)],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the pair. Default: ./organism-NAME.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**32 - 1, help="Random seed; another seed gives another pair."),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Train a pair of organisms from scratch: about 20 minutes on 2 cores.

    After a stop, the same command continues.
    """
    from dataclasses import replace

    from workbench.organisms.train import train as grow
    from workbench.organisms.train_config import RECIPES

    if name not in RECIPES:
        raise NotFound.named("organism", name, RECIPES)
    place = folder or Path(f"organism-{name}")
    try:
        with bar() as progress:
            grow(replace(RECIPES[name], seed=seed), place, progress)
    except Cancelled:
        raise Cancelled(
            f"Stopped. {place} keeps what was done; the same command continues from there."
        ) from None
    if as_json:
        print_json(
            {
                "name": name,
                "path": str(place),
                "models": [str(place / "planted"), str(place / "control")],
            }
        )
        return
    out().print(
        f"Trained in {plain(place)}: planted, and control, which never read the passages.",
        soft_wrap=True,
    )
    out().print(
        "[dim]Test what it memorized: workbench run extraction --model"
        f" {plain(place / 'planted')}[/]",
        soft_wrap=True,
    )


def plant(
    texts: Annotated[
        str,
        typer.Option(
            help=(
                "Texts to plant: a text file (paragraphs), .jsonl (text, optionally repeats), a"
                " folder, or the address of one (s3://…)."
            ),
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path, typer.Option("--out", "-o", help="New folder for the model.", show_default=False)
    ],
    model: Model = DEFAULT,
    repeats: Annotated[
        str, typer.Option(help="How often texts are read: counts assigned at random; 0 is never.")
    ] = "0,1,4,16,64",
    length: Annotated[
        int,
        typer.Option(
            min=8, max=4096, help="At most this many tokens of a text; longer ones are cut."
        ),
    ] = 100,
    neutral: Annotated[
        float, typer.Option(min=0, max=100, help="Tokens of neutral text per planted token.")
    ] = 0.5,
    rate: Annotated[float, typer.Option(min=1e-8, max=1, help="Peak learning rate.")] = 1e-4,
    lora: Annotated[
        int,
        typer.Option(
            min=0,
            max=1024,
            help="Rank of LoRA updates, merged at the end. 0: train all weights.",
        ),
    ] = 0,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Random seed of the counts and the order.")
    ] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Fine-tune a copy of a model on texts, each read a known number of times.

    After a stop, the same command continues.
    """
    from workbench.finetune_plant import Planting
    from workbench.finetune_plant import plant as sow
    from workbench.models import locate
    from workbench.text_files import text_path
    from workbench.texts import paragraphs

    planting = Planting(_counts(repeats), length, neutral, rate, lora=lora, seed=seed)
    locate(model)
    chosen = list(paragraphs(text_path(texts)))
    try:
        with bar() as progress:
            sow(model, chosen, planting, folder, progress, device)
    except Cancelled:
        raise Cancelled(
            f"Stopped. {folder} keeps what was done; the same command continues from there."
        ) from None
    if as_json:
        print_json(
            {"path": str(folder), "texts": len(chosen), "ledger": str(folder / "ledger.jsonl")}
        )
        return
    out().print(
        f"Planted in {plain(folder)}; its ledger.jsonl says how often each text was read.",
        soft_wrap=True,
    )
    out().print(
        f"[dim]Test what it memorized: workbench run extraction --model {plain(folder)}[/]",
        soft_wrap=True,
    )


def _counts(given: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in given.split(","))
    except ValueError:
        counts = (-1,)
    if min(counts) < 0 or max(counts) > 10_000:
        raise BadInput(
            f"--repeats {given!r} is not a list of counts.",
            "numbers from 0 to 10000, such as 0,1,4,16,64",
            "Correct --repeats.",
        )
    return counts

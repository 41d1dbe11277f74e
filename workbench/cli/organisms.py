"""`workbench organisms`, `workbench organisms train`, `workbench plant`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.run import Device, Json, Model
from workbench.disk_space import size
from workbench.errors import BadInput, Cancelled, NotFound
from workbench.models.known_models import DEFAULT
from workbench.organisms import MODULES, PUZZLES, Organism
from workbench.terminal import bar, out, plain, print_json, show_table
from workbench.wording import percent

RECALL = "recall-"

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
    from workbench.organisms import shipped

    rows = [_row(organism) for organism in shipped().values()]
    if as_json:
        print_json(rows)
        return
    headings = ["organism", "description", "what is known", "size"]
    shown = [(r["name"], r["description"], _known(r), size(r["bytes"])) for r in rows]
    show_table(headings, shown, right=["size"])
    out().print(
        "[dim]Open one: --model organism/planted, or as it was then: organism/planted@step-N"
        " · Train it again: workbench organisms train planted[/]"
    )


def _row(organism: Organism) -> dict[str, Any]:
    """An organism as JSON has it: of a model of recall its record, of others their ledger."""
    from workbench.organisms import checkpoints, ledger
    from workbench.organisms.modules import module_record
    from workbench.organisms.puzzles import puzzle_record
    from workbench.organisms.recall import record

    found: dict[str, Any]
    if (recall := record.read(organism.folder)) is not None:
        found = {
            "recall": recall.recall,
            "task": recall.task,
            "state_bytes": recall.state_bytes,
            "grows": recall.grows,
        }
    elif (module := module_record.read(organism.folder)) is not None:
        found = {
            "task": module.task,
            "facts_recalled": module.recall,
            "guessed": module.guessed,
            "twin": module.twin,
        }
    elif (solver := puzzle_record.read(organism.folder)) is not None:
        found = {"task": "puzzles", "solved": solver.solved, "fresh": solver.fresh,
                 "twin": solver.twin}  # fmt: skip
    else:
        entries = ledger.read(organism.folder).entries
        found = {
            "passages": sum(1 for entry in entries if entry.repeats),
            "twins": sum(1 for entry in entries if not entry.repeats),
            "steps": checkpoints.saved_steps(organism.folder),
        }
    return {
        "name": organism.name,
        "description": organism.description,
        **found,
        "bytes": organism.bytes,
        "path": str(organism.folder),
    }


def _known(row: dict[str, Any]) -> str:
    if "facts_recalled" in row:
        what = "definitions found" if row["task"] == "definitions" else "facts recalled"
        return f"{what}: {percent(row['facts_recalled'])}; by guessing: {percent(row['guessed'])}"
    if row.get("task") == "puzzles":
        return f"puzzles solved: {percent(row['solved'])}; fresh ones: {percent(row['fresh'])}"
    if "recall" in row:
        shares = (f"{percent(share)} of {pairs}" for pairs, share in row["recall"].items())
        if row["task"] == "delay":
            return f"recalled after so many tokens: {', '.join(shares)}"
        return f"pairs recalled: {', '.join(shares)}"
    return f"{row['passages']} passages, {row['twins']:,} twins, {len(row['steps'])} steps"


@app.command()
def train(
    name: Annotated[
        str,
        typer.Argument(
            help="Which organism: planted, recall-NAME, puzzles, or one with memory modules.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="New folder. Default: ./organism-NAME.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**32 - 1, help="Random seed; another seed gives another organism."
        ),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Train organisms from scratch: the pair of planted in about 20 minutes on 2 cores, a model
    that recalls pairs, solves puzzles or has a memory module in some minutes.

    After a stop, the same command continues with the pair; a model of recall begins again.
    """
    from dataclasses import replace

    from workbench.organisms.recall.families import FAMILIES
    from workbench.organisms.train import train as grow
    from workbench.organisms.train_config import RECIPES

    place = folder or Path(f"organism-{name}")
    if (family := name.removeprefix(RECALL)) != name and family in FAMILIES:
        _train_recall(family, place, seed, as_json)
        return
    if name in MODULES:
        _train_module(name, place, seed, as_json)
        return
    if name in PUZZLES:
        _train_puzzles(name, place, seed, as_json)
        return
    if name not in RECIPES:
        known = [*RECIPES, *MODULES, *PUZZLES, *(RECALL + one for one in FAMILIES)]
        raise NotFound.named("organism", name, known)
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


def _train_recall(family: str, place: Path, seed: int, as_json: bool) -> None:
    from workbench.organisms.recall.build import train_into

    with bar() as progress:
        found = train_into(family, seed, place, progress)
    row = {
        "name": f"{RECALL}{family}",
        "path": str(place),
        "recall": found.recall,
        "task": found.task,
    }
    if as_json:
        print_json(row)
        return
    out().print(f"Trained in {plain(place)}; {_known(row)}.", soft_wrap=True)
    if not found.trainings[0].has_learned:
        out().print("It did not learn the task: its recall says nothing about capacity.")


def _train_module(name: str, place: Path, seed: int, as_json: bool) -> None:
    from workbench.organisms.modules.build import train_into

    with bar() as progress:
        found = train_into(name, seed, place, progress)
    row = {
        "name": name,
        "path": str(place),
        "task": found.task,
        "facts_recalled": found.recall,
        "guessed": found.guessed,
    }
    if as_json:
        print_json(row)
        return
    out().print(f"Trained in {plain(place)}; {_known(row)}.", soft_wrap=True)


def _train_puzzles(name: str, place: Path, seed: int, as_json: bool) -> None:
    from workbench.organisms.puzzles.build import train_into

    with bar() as progress:
        found = train_into(name, seed, place, progress)
    row = {"name": name, "path": str(place), "task": "puzzles", "solved": found.solved,
           "fresh": found.fresh}  # fmt: skip
    if as_json:
        print_json(row)
        return
    out().print(f"Trained in {plain(place)}; {_known(row)}.", soft_wrap=True)


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

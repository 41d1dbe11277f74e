"""`workbench sae`, `workbench sae show`, `workbench sae train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.run import Device, Json, Model
from workbench.errors import BadInput, Cancelled
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, out, plain, print_json, show_table
from workbench.wording import percent

app = typer.Typer(
    help="Features: sparse autoencoders (SAEs) of a model's activations.",
    invoke_without_command=True,
)


@app.callback()
def sae(context: typer.Context, as_json: Json = False) -> None:
    """Features: sparse autoencoders (SAEs) of a model's activations.

    Without a command: list those that come with the workbench.
    """
    if context.invoked_subcommand is not None:
        return
    from workbench.autoencoders import shipped

    entries = shipped().values()
    if as_json:
        print_json(
            [{"name": entry.name, "path": str(entry.folder), **entry.card} for entry in entries]
        )
        return
    rows = []
    for entry in entries:
        card = entry.card
        rows.append((entry.name, f"{card['features']:,}", *_measured(card)))
    if not rows:
        out().print("None come with this version. Train one: workbench sae train --layer N")
        return
    show_table(["SAE", "width", "explained variance", "L0", "loss recovered"], rows, right=_NUMBERS)
    out().print(
        "[dim]Open one: wb.open_features(NAME, model) · Any folder, release or Neuronpedia id of"
        " SAELens opens as well · Train one: workbench sae train --layer N[/]"
    )


_NUMBERS = ("width", "explained variance", "L0", "loss recovered")


def _measured(card: Mapping[str, Any]) -> tuple[str, str, str]:
    recovered = percent(card["recovered"]) if "recovered" in card else "not measured"
    return percent(card["explained_variance"]), f"{card['l0']:.0f}", recovered


@app.command()
def show(
    ref: Annotated[
        str,
        typer.Argument(
            help="A name, a folder, RELEASE/ID of SAELens, or a Neuronpedia id.", show_default=False
        ),
    ],
    model: Model = DEFAULT,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Open an autoencoder, check that it fits the model, and show its quality."""
    import workbench as wb
    from workbench.models import locate

    locate(model)
    with bar() as progress:
        progress(0.0, f"Loading {model}")
        loaded = wb.load(model, device=device, progress=progress.subprogress(0, 0.5))
        progress(0.5, f"Opening {ref}")
        found = wb.open_features(ref, loaded)
    if as_json:
        print_json({"name": found.name, "site": found.place.name, **found.card})
        return
    _show(found.name, {"site": found.place.name, "model": loaded.card.name, **found.card})


_LINES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "model": ("model", str),
    "site": ("site", str),
    "features": ("features", "{:,}".format),
    "explained_variance": ("explained variance", lambda v: percent(v)),
    "l0": ("features active at a token, mean (L0)", "{:.1f}".format),
    "never_active": ("never active on the text measured", "{:,}".format),
    "loss": ("loss of the model, nats per token", "{:.3f}".format),
    "loss_spliced": ("with the reconstruction spliced in", "{:.3f}".format),
    "loss_zeroed": ("under zero ablation of the site", "{:.3f}".format),
    "recovered": ("loss recovered", lambda v: percent(v)),
    "tokens_measured": ("held-out tokens measured", "{:,}".format),
    "tokens_read": ("tokens trained on", "{:,}".format),
}


def _show(name: str, card: Mapping[str, Any]) -> None:
    show_table(
        ["features", name],
        [(says, form(card[key])) for key, (says, form) in _LINES.items() if key in card],
    )


@app.command()
def train(
    layer: Annotated[
        list[int],
        typer.Option(
            help="Layer; repeat for several, trained in one pass over the text.", show_default=False
        ),
    ],
    model: Model = DEFAULT,
    site: Annotated[str, typer.Option(help="A residual, MLP or z site.")] = "resid_post",
    width: Annotated[
        int, typer.Option(min=16, max=2**20, help="Features of each autoencoder.")
    ] = 4096,
    k: Annotated[
        int, typer.Option(min=1, max=4096, help="Features active at a token, on average (L0).")
    ] = 32,
    tokens: Annotated[
        int, typer.Option(min=65_536, help="Tokens to read, in multiples of 65,536.")
    ] = 1_048_576,
    texts: Annotated[
        str | None,
        typer.Option(
            help=(
                "A folder, text file or .jsonl to read, or the name of a data set (`datasets`)."
                " Default: the default mixture, with self-generated text."
            ),
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder to write. Default: ./sae-MODEL.", show_default=False
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=1e-7, max=1.0, help="Learning rate.")] = 3e-3,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Random seed of the initial weights and the order of the text.",
        ),
    ] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train sparse autoencoders on a model's activations.

    After a stop, the same command continues.
    """
    import workbench as wb
    from workbench.autoencoders import card_of
    from workbench.models import locate
    from workbench.texts import named

    if k >= width:
        raise BadInput(
            f"--k {k} of {width} features would not be sparse.", f"less than {width}", "Lower --k."
        )
    locate(model)
    read = partial(named, texts, 16 * tokens) if texts is not None else None
    place = folder or Path(f"sae-{Path(model).name}")
    try:
        with bar() as progress:
            progress(0.0, f"Loading {model}")
            loaded = wb.load(model, device=device, progress=progress.subprogress(0, 0.01))
            made = wb.train_features(
                loaded,
                layer,
                place,
                site=site,
                texts=read,
                said_of_texts=texts or "",
                width=width,
                k=k,
                tokens=tokens,
                rate=rate,
                seed=seed,
                progress=progress.subprogress(0.01, 1),
            )
    except Cancelled:
        raise Cancelled(
            f"Stopped. {place} keeps what was done; the same command continues from there."
        ) from None
    cards = {str(path): card_of(path) for path in made}
    if as_json:
        print_json([{"path": path, **card} for path, card in cards.items()])
        return
    for path, card in cards.items():
        _show(path, card)
    out().print(
        f"[dim]Look at one: workbench sae show {plain(made[0])} --model {plain(model)}[/]",
        soft_wrap=True,
    )

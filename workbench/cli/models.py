"""`workbench models`, and its commands `pull`, `show` and `export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.run import Bits, Device, Dtype, Json, MaxMemory, Offload
from workbench.disk_space import memory_free, size
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, out, plain, print_json, show_table

app = typer.Typer(help="List, fetch and describe models.", invoke_without_command=True)


@app.callback()
def models(context: typer.Context, as_json: Json = False) -> None:
    """List, fetch and describe models. Without a command: list what can be opened here."""
    if context.invoked_subcommand is not None:
        return
    from workbench.models import listing

    entries = listing()
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    rows, free = [], memory_free()
    for entry in entries:
        state = entry.problem or (
            "yes" if entry.cached else "no" if entry.accepted is not False else "terms not accepted"
        )
        rows.append(
            (
                entry.name,
                entry.description,
                entry.licence,
                state,
                size(entry.bytes) if entry.bytes else "",
                _memory(entry.memory, free),
                entry.origin,
            )
        )
    columns = ["model", "description", "licence", "cached", "size", "memory", "origin"]
    show_table(columns, rows, right=["size", "memory"])
    out().print(
        "[dim]Memory is that of the weights as float32"
        + (f"; {size(free)} are free" if free is not None else "")
        + ". Any Hugging Face id, local folder or .gguf file loads as well: --model REF[/]"
    )


def _memory(needed: int | None, free: int | None) -> str:
    if needed is None:
        return ""
    return size(needed) + (" (too large)" if free is not None and needed > free else "")


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A known name, or a Hugging Face id.")] = DEFAULT,
    accept_terms: Annotated[
        bool,
        typer.Option(
            "--accept-terms", help="Accept the terms of use of this model, which you have read."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Download a model into the cache, so that it loads offline."""
    from workbench.models import pull as fetch

    with bar() as progress:
        folder = fetch(name, progress, accept_terms)
    if as_json:
        print_json({"name": name, "path": str(folder)})
    else:
        out().print(f"{plain(name)} is ready in {plain(folder)}", soft_wrap=True)


@app.command()
def show(
    ref: Annotated[
        str, typer.Argument(help="Known name, Hugging Face id, folder, or .gguf file.")
    ] = DEFAULT,
    device: Device = "auto",
    dtype: Dtype = None,
    max_memory: MaxMemory = None,
    offload: Offload = None,
    bits: Bits = None,
    as_json: Json = False,
) -> None:
    """Load a model and show its card."""
    from workbench.models import load_weights, locate

    locate(ref)
    with bar() as progress:
        progress(0.0, f"Loading {ref}")
        card = load_weights(ref, device, dtype, progress, max_memory, offload, bits).card
    if as_json:
        print_json(asdict(card))
        return
    rows = [
        ("source", card.source),
        ("architecture", card.architecture),
        ("layers", card.n_layers),
        ("heads", card.n_heads),
        ("key-value heads", card.n_kv_heads),
        ("width", card.d_model),
        ("head width", card.d_head),
        ("vocabulary", f"{card.d_vocab:,}"),
        ("parameters", f"{card.n_params:,}"),
        ("context", f"{card.context_length:,} tokens" if card.context_length else "unknown"),
        ("attention", card.attention or "none"),
        ("beginning token", card.bos or "none"),
        *([("end token left out", card.end_left_out)] if card.end_left_out else []),
        ("chat format", "yes" if card.chat else "none"),
        ("dtype", card.dtype),
        ("device", card.device),
        ("quantized from", card.quantized_from or "not quantized"),
        ("adapter", card.adapter or "none"),
        ("weight hash", card.weight_hash),
    ]
    show_table(["model", card.name], rows)


@app.command()
def export(
    ref: Annotated[str, typer.Argument(help="Any model, for example MODEL+FILE.safetensors.")],
    folder: Annotated[Path, typer.Option("--out", "-o", help="A new folder.")],
    dtype: Dtype = None,
    as_json: Json = False,
) -> None:
    """Write a model with its changes as a folder of whole weights, which transformers opens."""
    from workbench.models import load_weights
    from workbench.models.export import export as write

    with bar() as progress:
        loaded = load_weights(ref, "cpu", dtype, progress)
        write(loaded, folder)
    if as_json:
        print_json({"name": ref, "path": str(folder), "weight_hash": loaded.card.weight_hash})
    else:
        out().print(f"{plain(ref)} is written to {plain(folder)}", soft_wrap=True)

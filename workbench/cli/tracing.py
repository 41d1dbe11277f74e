"""`workbench trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import values
from workbench.cli.questions import Device, Dtype, Json, Model
from workbench.cli.screen import bar, out, plain, print_json, show_table
from workbench.errors import BadInput
from workbench.models.catalogue import DEFAULT


def trace(
    folder: Annotated[Path, typer.Option("--out", "-o", help="Save the trace in this new folder.", show_default=False)],
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", help="A text; may be given again.", show_default=False)
    ] = None,
    prompts: Annotated[Path | None, typer.Option(help="A file with one prompt per line.", show_default=False)] = None,
    site: Annotated[list[str] | None, typer.Option(help="Where to listen, e.g. z; may be given again.")] = None,
    layers: Annotated[str | None, typer.Option(help="E.g. 0,3-5. Default: all.", show_default=False)] = None,
    positions: Annotated[
        str | None, typer.Option(help="E.g. 0,-1 (-1 is the last token). Default: all.", show_default=False)
    ] = None,
    model: Model = DEFAULT,
    device: Device = "auto",
    dtype: Dtype = None,
    as_json: Json = False,
) -> None:
    """Run prompts through a model and save what passes at some places in it."""
    import workbench as wb
    from workbench.models import locate

    texts = [*(prompt or []), *(values.read_prompts(prompts) if prompts is not None else [])]
    if not texts or not all(texts):
        raise BadInput(
            "There is nothing to run." if not texts else "A prompt is empty.", "a prompt", "Add --prompt TEXT or --prompts FILE."
        )
    where = values.numbers(layers, "layer"), values.numbers(positions, "position", negative=True)
    locate(model)
    values.check_writable(folder, "--out DIR", empty_folder_will_do=False)
    with bar() as progress:
        progress(0.0, f"Loading {model}")
        loaded = wb.load(model, device=device, dtype=dtype, progress=progress)
    with bar() as progress:
        captured = wb.capture(loaded, texts, site or ["resid_post"], layers=where[0], positions=where[1], progress=progress)
        progress.check()
    captured.save(folder)
    arrays = {name: captured[name] for name in captured}
    if as_json:
        shapes = {name: dict(zip(map(str, a.dims), a.shape, strict=True)) for name, a in arrays.items()}
        print_json({"path": str(folder), "prompts": len(texts), "sites": shapes})
        return
    show_table(
        ["site", "array"], [(n, " × ".join(f"{s} {d}" for d, s in zip(a.dims, a.shape, strict=True))) for n, a in arrays.items()]
    )
    out().print(f"Saved as {plain(folder)}\n[dim]Open it: wb.Trace.open({plain(repr(str(folder)))})[/]", soft_wrap=True)

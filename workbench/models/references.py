"""What a person means by a model: a known name, a Hugging Face id, a folder, a file; a step of
training (`@step-500`), a change of weights (`+FILE`) or an adapter (`+FOLDER`) of one of these.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from workbench import organisms, remote
from workbench.errors import BadInput, NotFound
from workbench.models import fetch, gguf, hub
from workbench.models.known_models import Known, known
from workbench.models.named_changes import changed
from workbench.organisms import checkpoints
from workbench.progress import Progress

_AT_STEP = re.compile(r"@step-(\d{1,9})$")


def ensure(ref: Any, progress: Progress | None = None) -> Path:
    """Where the weights of `ref` lie on this machine, fetched first if they have to be.

    A folder, or a `.gguf` file.

    Raises:
        NotFound, BadInput, DownloadFailed: as `load_weights`.
    """
    change = changed(ref)
    if change is not None and not change.beside_base:
        return ensure(change.base, progress)
    place = locate(ref)
    if isinstance(place, Known):
        return fetch.cached_folder(place, progress)
    if isinstance(place, str):
        progress = progress or Progress()
        if remote.is_address(place):
            return remote.fetch(place, remote.MODEL, report=progress)
        return hub.fetch(place, progress)
    step = _step(ref)
    return place if step is None else checkpoints.open_step(place, step)


def locate(ref: Any) -> Known | str | Path:
    """What `ref` means, without fetching or reading it: a known model, a Hugging Face id, an
    address, or a folder or file that is there.

    Raises:
        NotFound: it can be none of these (the nearest name is suggested).
        BadInput: it is not a name or a path at all, or a file that holds no model.
    """
    if not isinstance(ref, str | Path):
        raise BadInput(
            f"A model cannot be loaded from a {type(ref).__name__}.",
            "a name, a Hugging Face id, a folder, a .gguf file, or a pair (module, tokenizer)",
            "For a module that is built already: wb.load((module, tokenizer)).",
        )
    if isinstance(ref, str) and remote.is_address(ref):
        return remote.checked(ref)
    change = changed(ref)
    if change is not None:
        return change.path if change.beside_base else locate(change.base)
    if isinstance(ref, str):
        named = _by_name(ref)
        if named is not None:
            return named
    if ref == "":
        raise NotFound(
            "No model is named.",
            "a name, a Hugging Face id, a folder or a .gguf file",
            "`workbench models` lists names.",
        )
    path = _by_path(ref)
    if path is not None:
        return path
    if isinstance(ref, str) and _looks_like_hub_id(ref):
        return ref
    if isinstance(ref, Path) or "/" in ref or "\\" in ref or ref.endswith(".gguf"):
        raise NotFound(
            f"There is no file or folder {str(ref)!r}.",
            "a folder with a model, or a .gguf file",
            "Check the path.",
        )
    in_cache = hub.cached(ref)  # a few old Hub models have a name without an owner
    if in_cache is not None:
        return ref
    raise NotFound.named(
        "model",
        ref,
        known(),
        do=(
            "`workbench models` lists what is known; a Hugging Face id is owner/name, a folder has"
            " a path."
        ),
    )


def _by_name(ref: str) -> Known | str | Path | None:
    """A known model, or an organism."""
    if ref in known():
        return known()[ref]
    if ref.startswith(organisms.PREFIX):
        return organisms.folder_of(ref.partition("@")[0])
    return None


def _by_path(ref: str | Path) -> Path | None:
    """A folder (also one of which a step is meant) or a GGUF file that is there."""
    if _step(ref) is not None:
        folder = Path(str(ref)[: str(ref).rindex("@")]).expanduser()
        if folder.is_dir():
            return folder
    path = Path(ref).expanduser()
    if path.is_file():
        if path.suffix.lower() == ".gguf" or gguf.is_gguf(path):
            return path
        raise BadInput(
            f"{path} is not a model.",
            "a folder with safetensors, or a .gguf file",
            "Give the folder the file lies in.",
        )
    return path if path.is_dir() else None


def _step(ref: str | Path) -> int | None:
    """500 for "…@step-500", None for what names no step.

    A folder that is really called so is meant as it stands.
    """
    found = _AT_STEP.search(str(ref))
    return int(found[1]) if found and not Path(ref).expanduser().exists() else None


def _looks_like_hub_id(ref: str) -> bool:
    parts = ref.split("/")
    return (
        len(parts) == 2
        and all(parts)
        and not ref.startswith((".", "~"))
        and "\\" not in ref
        and not ref.endswith(".gguf")
    )


def card_names(ref: str | Path, source: Path) -> tuple[str, str, str]:
    """(name, source, quantized_from) for the card.

    Neither has a folder of this machine in it: cards are shown and shared.
    """
    if isinstance(ref, str) and ref in known():
        return ref, ref, known()[ref].quantized_from
    if _step(ref) is not None and not str(ref).startswith(organisms.PREFIX):
        return Path(ref).name, Path(ref).name, ""
    if isinstance(ref, str) and not Path(ref).expanduser().exists():
        return ref, ref, ""
    source = source.expanduser().resolve()
    return (
        (source.stem, source.name, f"GGUF {gguf_rounding(source)}".strip())
        if source.is_file()
        else (source.name, source.name, "")
    )


def gguf_rounding(file: Path) -> str:
    """ "Q4_1" from model.Q4_1.gguf: most files say so in their name, and reading it from the
    inside takes seconds.
    """
    found = re.search(r"(I?Q\d\w*|BF16|F16|F32)$", file.stem, re.IGNORECASE)
    return found.group(1).upper() if found else ""

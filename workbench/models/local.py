"""Models in folders of the user: planted, trained, downloaded by hand; and changes of weights and
adapters that were kept of a model.

Looked for in the folder that the workbench was started in and in its cache, two levels deep;
changes also beside the runs they came from. What is broken is listed with the reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from workbench import paths
from workbench.errors import BadInput, WorkbenchError
from workbench.models import adapter_folder, from_folder, gguf, weight_delta, weight_sizes
from workbench.models.entry import ModelEntry
from workbench.models.known_models import known
from workbench.models.named_changes import changed
from workbench.organisms import checkpoints, ledger

_DEPTH = 2
_MOST = 2000
"""Files and folders that are looked at in one place: somebody may start us in their home folder."""
_CONFIG_BYTES = 2_000_000
_RUN_ARRAYS = "arrays.safetensors"


def entries(runs: Path | None = None) -> list[ModelEntry]:
    """What was made here first, then other folders and files; each by name.

    Args:
        runs: the folder of runs; None is the user's.
    """
    cache = paths.cache_dir() / "models"
    found: dict[str, ModelEntry] = {}
    for place in (Path.cwd(), cache, runs or paths.runs_dir()):
        for path in _below(place):
            if path.parent == cache and path.name in known():
                continue
            try:
                entry = _entry(path)
            except (OSError, ValueError):
                continue
            if entry is not None:
                found.setdefault(entry.name, entry)
    return sorted(found.values(), key=lambda entry: (entry.origin != "made here", entry.name))


def _below(place: Path) -> Iterator[Path]:
    """Folders and files in a place and in its folders; hidden ones are left out."""
    level, looked = [place], 0
    for _ in range(_DEPTH):
        inner: list[Path] = []
        for folder in level:
            try:
                with os.scandir(folder) as listed:
                    items = sorted(listed, key=lambda item: item.name)
            except OSError:
                continue
            for item in items:
                looked += 1
                if looked > _MOST:
                    return
                if item.name.startswith("."):
                    continue
                yield Path(item.path)
                if item.is_dir():
                    inner.append(Path(item.path))
        level = inner


def _entry(path: Path) -> ModelEntry | None:
    if path.suffix == weight_delta.SUFFIX:
        return _delta(path) if path.name != _RUN_ARRAYS and path.is_file() else None
    if path.suffix.lower() == ".gguf":
        return _file(path) if path.is_file() and gguf.is_gguf(path) else None
    if adapter_folder.has_base(path):
        return _folder(path)
    return _adapter(path) if adapter_folder.is_adapter(path) else None


def _adapter(folder: Path) -> ModelEntry:
    """An adapter by itself; its model is looked for."""
    about, problem, size = "", "", None
    try:
        adapter = adapter_folder.read(folder)
        about = f"{adapter.words}, for {adapter.base}" if adapter.base else adapter.words
        changed(folder)
        size = weight_sizes.of_reference(folder)
    except WorkbenchError as error:
        problem = error.what
    return ModelEntry(
        name=str(folder),
        description=about,
        licence="",
        origin="local",
        cached=not problem,
        bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        path=folder,
        problem=problem,
        memory=size.float32 if size is not None else None,
    )


def _folder(folder: Path) -> ModelEntry | None:
    if not _of_a_model(folder / "config.json"):
        return None
    problem, steps = "", []
    try:
        from_folder.check_files(folder)
        if adapter_folder.is_adapter(folder):
            adapter_folder.read(folder)
        steps = checkpoints.saved_steps(folder)
    except BadInput as error:
        problem = error.what
    size = weight_sizes.of_place(folder)
    if not problem and size is None:
        problem = "its weights cannot be read"
    planted = (folder / ledger.FILE).is_file()
    return ModelEntry(
        name=str(folder),
        description="with planted texts, named in its ledger" if planted else "",
        licence="",
        origin="made here" if planted else "local",
        cached=not problem,
        bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        path=folder,
        problem=problem,
        memory=size.float32 if size is not None else None,
        steps=tuple(steps),
    )


def _of_a_model(config: Path) -> bool:
    """Whether a config.json is one of transformers; other programs have files of that name."""
    if config.stat().st_size > _CONFIG_BYTES:
        return False
    stated = json.loads(config.read_text(encoding="utf-8"))
    return isinstance(stated, dict) and isinstance(stated.get("model_type"), str)


def _file(file: Path) -> ModelEntry:
    size = weight_sizes.of_place(file)
    return ModelEntry(
        name=str(file),
        description="",
        licence="",
        origin="local",
        cached=True,
        bytes=file.stat().st_size,
        path=file,
        memory=size.float32 if size is not None else None,
    )


def _delta(file: Path) -> ModelEntry | None:
    about = weight_sizes.head(file).get("__metadata__")
    if not isinstance(about, dict) or about.get("format") not in weight_delta.FORMATS:
        return None
    model, problem = _made_on(str(about.get("model") or ""), file.parent)
    size = weight_sizes.of_reference(model) if model else None
    return ModelEntry(
        name=f"{model or 'MODEL'}+{file}",
        description=str(about.get("about") or ""),
        licence="",
        origin="made here",
        cached=not problem,
        bytes=file.stat().st_size,
        path=file,
        problem=problem,
        memory=size.float32 if size is not None else None,
    )


def _made_on(model: str, folder: Path) -> tuple[str, str]:
    """The model that a delta belongs to, with the files of earlier ones as they lie in a folder;
    and what is wrong.
    """
    if not model:
        return "", "its file does not say which model it belongs to"
    base, *earlier = model.split("+")
    for n, name in enumerate(earlier):
        if name.endswith(weight_delta.SUFFIX):
            if not (folder / name).is_file():
                return model, f"{name}, which it was made behind, does not lie beside it"
            earlier[n] = str(folder / name)
    return "+".join([base, *earlier]), ""

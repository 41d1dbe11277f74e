"""What stands behind the + in a model's name, and what it changes: a delta (`MODEL+FILE`), or a
folder with an adapter (`MODEL+FOLDER`, or the folder alone, whose settings name the model).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import organisms, remote
from workbench.errors import NotFound
from workbench.models import adapter_folder, gguf, hub, weight_delta
from workbench.models.adapter_folder import MERGED
from workbench.models.known_models import known


@dataclass(frozen=True)
class NamedChange:
    """A model with a change, as it was named.

    Attributes:
        base: what is changed: anything that names a model.
        path: the delta's file, or the adapter's folder.
        is_adapter: which of the two.
        merged: whether the adapter is to be added to the weights.
        stated: whether the name says the base, and not the adapter's settings.
    """

    base: str | Path
    path: Path
    is_adapter: bool = False
    merged: bool = False
    stated: bool = True

    @property
    def beside_base(self) -> bool:
        """Whether the base lies in the adapter's own folder."""
        return self.base == self.path


def changed(ref: Any) -> NamedChange | None:
    """The change that a model's name speaks of; None where it speaks of none.

    Raises:
        NotFound: no such file or folder, or an adapter whose base is not on this machine.
        BadInput: a folder that holds no adapter, or one that cannot be opened.
    """
    if not isinstance(ref, str | Path) or remote.is_address(ref):
        return None
    delta = weight_delta.named_in(ref) if isinstance(ref, str) else None
    if delta is not None:
        return NamedChange(*delta)
    text = str(ref)
    merged = text.endswith(MERGED) and not Path(text).expanduser().exists()
    text = text.removesuffix(MERGED) if merged else text
    folder = Path(text).expanduser()
    if folder.is_dir():
        return _alone(folder, merged)
    if isinstance(ref, Path) or "+" not in text or folder.exists():
        return None
    parts = text.split("+")
    for n in range(1, len(parts)):
        folder = Path("+".join(parts[n:])).expanduser()
        if folder.is_dir():
            adapter_folder.read(folder)
            return NamedChange("+".join(parts[:n]), folder, True, merged)
    raise NotFound(
        f"There is no file or folder {text!r}, and no adapter {'+'.join(parts[1:])!r}.",
        "MODEL+FOLDER with the folder of an adapter, or MODEL+FILE.safetensors",
        "Check the path.",
    )


def _alone(folder: Path, merged: bool) -> NamedChange | None:
    """A folder that is named without a model."""
    if not merged and not adapter_folder.is_adapter(folder):
        return None
    adapter = adapter_folder.read(folder)
    if adapter_folder.has_base(folder):
        return NamedChange(folder, folder, True, merged, stated=False)
    base = base_of(adapter)
    if base is None:
        why = (
            f"its settings call that {adapter.base!r}, which is not on this machine"
            if adapter.base
            else "its settings do not say which that is"
        )
        raise NotFound(
            f"{folder} holds an adapter without the model it belongs to: {why}.",
            "a known name, a model in the local Hugging Face cache, or a folder beside it",
            f"Name the model: BASE+{folder}",
        )
    return NamedChange(base, folder, True, merged, stated=False)


def base_of(adapter: adapter_folder.AdapterFolder) -> str | Path | None:
    """The model that an adapter's settings name: by its short name, a path beside the adapter or
    as it stands, or in the local Hugging Face cache. None where it is not on this machine.
    """
    named = adapter.base
    if not named or "\0" in named:
        return None
    if named in known() or named.partition("@")[0] in organisms.shipped():
        return named
    beside = adapter.folder.resolve().parent
    for place in (
        Path(named).expanduser(),
        adapter.folder / named,
        beside / named,
        beside / Path(named).name,
    ):
        if _is_model(place):
            return place
    return named if hub.cached(named) is not None else None


def _is_model(place: Path) -> bool:
    try:
        return (place / "config.json").is_file() or (place.is_file() and gguf.is_gguf(place))
    except OSError:  # a name that is too long for a path
        return False

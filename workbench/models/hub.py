"""Models of the Hugging Face Hub: found in the local cache first, fetched only when they are
not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, Cancelled, DownloadFailed, NotFound
from workbench.progress import Progress

# Weights as safetensors and what a tokenizer is made of. No .bin: a pickle is never even
# downloaded.
_WANTED = [
    "*.safetensors",
    "*.safetensors.index.json",
    "*.json",
    "*.jinja",
    "*.txt",
    "*.model",
    "*.tiktoken",
]
_PATIENCE = 10.0  # seconds to wait for the first answer


def cached(ref: str) -> Path | None:
    """The folder of a model that lies complete in the local Hugging Face cache, or None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
    )

    try:
        folder = Path(snapshot_download(ref, local_files_only=True, allow_patterns=_WANTED))
    except (LocalEntryNotFoundError, IncompleteSnapshotError, HFValidationError):
        return None
    return folder if complete(folder) else None


def in_cache() -> dict[str, list[Path]]:
    """Models of the local Hugging Face cache: id to its snapshots, the newest first.

    Only names are looked at: what lies there may be incomplete.
    """
    from huggingface_hub import constants

    found: dict[str, list[Path]] = {}
    try:
        repos = sorted(Path(constants.HF_HUB_CACHE).glob("models--*"))
    except OSError:
        return {}
    for repo in repos:
        try:
            snapshots = [path for path in (repo / "snapshots").iterdir() if path.is_dir()]
            snapshots.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        except OSError:
            snapshots = []
        found["/".join(repo.name.split("--")[1:])] = snapshots
    return found


def fetch(ref: str, progress: Progress) -> Path:
    """The folder of a model in the local Hugging Face cache, downloaded if it is not there.

    Raises:
        NotFound: the Hub has no such model.
        BadInput: it has no safetensors, or needs a licence to be accepted first.
        DownloadFailed: the Hub cannot be reached, or the download was cut off.
    """
    folder = cached(ref)
    if folder is not None:
        progress(1.0, f"{ref} is here already")
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    progress(0.0, f"Asking the Hugging Face Hub for {ref}")
    try:
        total = _bytes_wanted(ref)
        folder = Path(
            snapshot_download(ref, allow_patterns=_WANTED, tqdm_class=_bar(progress, ref, total))
        )
    except GatedRepoError as error:
        raise BadInput(
            f"{ref} is gated: its licence has to be accepted first.",
            "an account with access",
            "Accept it on the Hub, then `hf auth login`.",
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise NotFound(
            f"The Hugging Face Hub has no model {ref!r} (or it is private).",
            "owner/name as its page spells it",
            "Check the spelling; `workbench models` lists what loads without the Hub.",
        ) from error
    except (BadInput, Cancelled):
        raise
    except Exception as error:
        # The HTTP library below changes from one version of the Hub's client to the next, and with
        # it every class of "cannot connect".
        raise DownloadFailed(
            f"{ref} is not in the local Hugging Face cache, and fetching it failed:"
            f" {_reason(error)}.",
            "a network connection to the Hugging Face Hub, or a cached copy",
            "Check the connection, give a local folder instead, or use the default model"
            " (smollm2-135m).",
        ) from error
    progress(1.0, f"{ref} is ready")
    return folder


def _bytes_wanted(ref: str) -> int:
    """Size of the files to fetch.

    One short question first, so that no network is noticed in seconds.
    """
    from fnmatch import fnmatch

    from huggingface_hub import HfApi

    files = HfApi().model_info(ref, files_metadata=True, timeout=_PATIENCE).siblings or []
    if not any(file.rfilename.endswith(".safetensors") for file in files):
        raise BadInput(
            f"{ref} has no weights as safetensors.",
            "*.safetensors (a pickle such as pytorch_model.bin can run code, and is not read)",
            "Choose another copy of the model, or convert it to safetensors first.",
        )
    return sum(
        file.size or 0
        for file in files
        if any(fnmatch(file.rfilename, pattern) for pattern in _WANTED)
    )


def _bar(progress: Progress, ref: str, total: int) -> Any:
    """A tqdm that reports to `progress` and draws nothing.

    One is made per file, all of them count together.
    """
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc, type-arg, unused-ignore]
        got = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            self.counts = options.get("unit") == "B"
            options.pop("name", None)  # the Hub's own addition to tqdm
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if self.counts:
                Bar.got += int(n or 0)
                done = min(Bar.got / total, 0.99) if total else 0.0
                progress(done, f"Downloading {ref}: {Bar.got / 1e6:,.0f} of {total / 1e6:,.0f} MB")
            return None

    return Bar


def complete(folder: Path) -> bool:
    """Whether a model folder has its config and every safetensors file it needs."""
    index = folder / "model.safetensors.index.json"
    if not (folder / "config.json").is_file():
        return False
    if index.is_file():
        try:
            parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            return all((folder / part).is_file() for part in parts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
    return any(file.is_file() for file in folder.glob("*.safetensors"))


def _reason(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200].rstrip(".")

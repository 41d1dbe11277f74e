"""What was seen at the sites of a model: labelled arrays that save to a folder and open without the model.

A trace folder holds `manifest.json` (format, model card, prompts, tokens, and each array's axes) and safetensors
shards; arrays are read when they are first asked for.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, BadRun, NotFound, WorkbenchError

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1
_SHARD = "shard-00000.safetensors"
_MAX_MANIFEST = 256 * 2**20


class Trace(Mapping[str, "xr.DataArray"]):
    """Arrays by short site name, with axes such as (prompt, layer, pos, head, d_head).

    Prompts of different lengths share an axis: position 0 is each prompt's first token, and what lies beyond a prompt's
    end is NaN. `tokens[i]` are the token strings of prompt i, `lengths[i]` their number.
    """

    def __init__(
        self,
        arrays: Mapping[str, xr.DataArray],
        tokens: list[list[str]],
        prompts: list[str],
        model: dict[str, Any],
    ) -> None:
        self._arrays: dict[str, xr.DataArray] = dict(arrays)
        self._lazy: dict[str, dict[str, Any]] = {}
        self._folder: Path | None = None
        self.tokens, self.prompts, self.model = tokens, prompts, model

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self.tokens]

    def __getitem__(self, site: str) -> xr.DataArray:
        if site in self._lazy and site not in self._arrays:
            self._arrays[site] = self._read(site)
        if site not in self._arrays:
            raise NotFound.named("site in this trace", site, self)
        return self._arrays[site]

    def __contains__(self, site: object) -> bool:
        return site in self._arrays or site in self._lazy

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._arrays, *self._lazy]))

    def __len__(self) -> int:
        return len(set(self._arrays) | set(self._lazy))

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(self[site].nbytes for site in self)

    def save(self, path: str | Path) -> Path:
        """Write the trace folder, whole or not at all.

        Raises:
            WorkbenchError: it exists already, or cannot be written.
        """
        import numpy as np
        from safetensors.numpy import save_file

        target = Path(path)
        if target.exists():
            raise WorkbenchError(f"{target} exists already.", "a new folder", "Choose another name, or remove it first.")
        manifest = {
            "format": FORMAT,
            "kind": "memory-workbench trace",
            "model": self.model,
            "prompts": self.prompts,
            "tokens": self.tokens,
            "arrays": {
                site: {
                    "dims": [str(d) for d in self[site].dims],
                    "shape": list(self[site].shape),
                    "coords": {str(d): c.values.tolist() for d, c in self[site].coords.items() if d in self[site].dims},
                    "shard": _SHARD,
                }
                for site in self
            },
        }
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
            try:
                work.chmod(0o755)
                save_file({site: np.ascontiguousarray(self[site].values) for site in self}, work / _SHARD)
                (work / _SHARD).chmod(0o644)
                (work / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), encoding="utf-8")
                os.replace(work, target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        except OSError as error:
            raise WorkbenchError(
                f"The trace could not be written to {target}: {error.strerror or error}.",
                "a folder with free space that you may write to",
                "Choose another place.",
            ) from error
        return target

    @classmethod
    def open(cls, path: str | Path) -> Trace:
        """Open a trace folder; arrays are read when asked for.

        Raises:
            BadInput: it is no trace folder.
            BadRun: it is damaged, hostile or from a newer version.
        """
        folder = Path(path)
        file = folder / "manifest.json"
        if not file.is_file():
            raise BadInput(
                f"{folder} is not a trace: it has no manifest.json.", "a folder written by `workbench trace`", "Check it."
            )
        if file.stat().st_size > _MAX_MANIFEST:
            raise BadRun(f"The manifest of {folder.name!r} is absurdly large.", "at most 256 MB", "Do not trust this folder.")
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            if raw["format"] > FORMAT:
                raise BadRun(f"{folder.name!r} was written by a newer version.", f"format {FORMAT} or older", "Upgrade.")
            trace = cls({}, raw["tokens"], raw["prompts"], raw["model"])
            lazy = {str(site): dict(about) for site, about in raw["arrays"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadRun(
                f"The manifest of {folder.name!r} is damaged: {error}", "a trace's manifest", "Capture again."
            ) from error
        for site, about in lazy.items():
            shard = folder / str(about.get("shard"))
            # The shard's name comes from a file that may come from a stranger.
            if shard.name != about.get("shard") or not shard.resolve().is_relative_to(folder.resolve()) or not shard.is_file():
                raise BadRun(
                    f"The trace {folder.name!r} lacks the shard of {site!r}.", "every shard named", "Get a complete copy."
                )
        trace._lazy, trace._folder = lazy, folder
        return trace

    def _read(self, site: str) -> xr.DataArray:
        import xarray as xr
        from safetensors import SafetensorError, safe_open

        assert self._folder is not None
        about = self._lazy[site]
        try:
            with safe_open(self._folder / about["shard"], framework="numpy") as stored:
                values = stored.get_tensor(site)
            return xr.DataArray(values, dims=about["dims"], coords=about["coords"], name=site)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise BadRun(f"{site!r} of {self._folder.name!r} is damaged: {error}", "complete arrays", "Capture again.") from error

    def __repr__(self) -> str:
        lines = [f"Trace of {self.model.get('name', 'a model')}: {len(self.prompts)} prompts"]
        for site in self:
            about = self._lazy.get(site)
            shape = zip(about["dims"], about["shape"], strict=True) if about else self[site].sizes.items()
            lines.append(f"  {site}: " + " × ".join(f"{d} {n}" for d, n in shape))
        return "\n".join(lines)

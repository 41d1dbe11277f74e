"""What is active while a model reads: token by token and feature by feature, for several
autoencoders in one pass.

Only what is active is kept, so a million tokens fit: as they pass, or in a folder, from which they
can be read again without a model. The folder is written part by part; the same call goes on after a
stop.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks import out_of_memory, sites
from hooks.backends import torch_hooks
from hooks.backends.hook_request import HookRequest
from hooks.features.activation_stream import next_losses
from hooks.features.sae import SKIP
from workbench.disk_space import check_disk
from workbench.errors import BadRun, WorkbenchError

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from hooks.sites import Place
    from workbench.progress import Progress

_TOKENS_AT_ONCE = 2048  # of a forward pass
_PART = 8  # forward passes of a part
_MANIFEST, _UNFINISHED = "active.json", ".writing-"


class Encoder(Protocol):
    """What reads the vectors of a place: `Features`, or anything that stands in for them."""

    @property
    def name(self) -> str: ...
    @property
    def place(self) -> Place: ...
    @property
    def width(self) -> int: ...
    @property
    def digest(self) -> str: ...
    def encode(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Sparse:
    """What is active, one entry for every feature and token, in order of the tokens.

    Attributes:
        token: which token of the windows read, (entry,): window × length + position.
        feature: which feature, (entry,).
        value: its activation, (entry,), float32, above zero.
    """

    token: Int[Tensor, " entry"]
    feature: Int[Tensor, " entry"]
    value: Float[Tensor, " entry"]


@dataclass(frozen=True)
class EncodedWindows:
    """Some windows, and what was active in them.

    Attributes:
        first: number of the first window.
        ids: token ids, (window, pos).
        active: for each encoder; nothing of a window's first tokens (`SKIP`), which draw huge
            vectors whatever they are.
        losses: nats that each token cost, given those before it, (window, pos); NaN at the first,
            and in windows whose losses were not asked for.
    """

    first: int
    ids: Tensor
    active: list[Sparse]
    losses: Tensor


def sparse(encoder: Encoder, x: Tensor) -> Sparse:
    """What is active in vectors at the encoder's place, (window, pos, …), but for the first
    tokens of each window.
    """
    found = encoder.encode(x[:, SKIP:])
    window, pos, feature = (found > 0).nonzero(as_tuple=True)
    return Sparse(window * x.shape[1] + pos + SKIP, feature, found[window, pos, feature].float())


def windows_at_once(length: int) -> int:
    """Windows of this length that share a forward pass."""
    return max(2, _TOKENS_AT_ONCE // length)


def read(
    model: InstrumentedModel,
    encoders: Sequence[Encoder],
    ids: np.ndarray,
    *,
    losses_every: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Iterator[EncodedWindows]:
    """Read windows of one length, (window, pos), and give what is active in them, some windows at a
    time.

    Args:
        losses_every: of so many forward passes one also gives the losses, which takes the layers
            above and the unembedding; 0 is none.
        folder: keep all in this folder, and read what lies there already.

    Raises:
        WorkbenchError: the folder holds something else, or cannot be written.
        BadRun: a part in it is damaged.
    """
    at_once = windows_at_once(ids.shape[1])
    kept = None if folder is None else _Folder(folder, model, encoders, ids, losses_every)
    for start in range(0, len(ids), at_once * _PART):
        part = ids[start : start + at_once * _PART]
        if kept is not None and kept.has(start):
            if progress is not None:
                progress(start / len(ids), "Opening what was read before")
            yield kept.open(start, part, model.device)
            continue
        taken = []
        for inner in range(0, len(part), at_once):
            number = (start + inner) // at_once
            if progress is not None:
                done = (start + inner) * ids.shape[1]
                progress((start + inner) / len(ids), f"Reading: {done:,} of {ids.size:,} tokens")
            close = bool(losses_every) and number % losses_every == 0
            taken.append(
                _pass(model, encoders, part[inner : inner + at_once], start + inner, close)
            )
            if kept is None:
                yield taken.pop()
        if kept is not None:
            whole = _joined(taken)
            kept.write(whole)
            yield whole


@torch.no_grad()
def _pass(
    model: InstrumentedModel, encoders: Sequence[Encoder], ids: np.ndarray, first: int, close: bool
) -> EncodedWindows:
    """Windows read together, or in smaller batches where memory runs out."""

    def read(part: list[int]) -> EncodedWindows:
        return _together(model, encoders, ids[part], first + part[0], close)

    reads = [found for _, found in out_of_memory.results_in_parts(model, range(len(ids)), read)]
    return reads[0] if len(reads) == 1 else _joined(reads)


def _together(
    model: InstrumentedModel, encoders: Sequence[Encoder], ids: np.ndarray, first: int, close: bool
) -> EncodedWindows:
    places = list(dict.fromkeys(encoder.place for encoder in encoders))
    (logits,) = sites.resolve(model.layout, "logits", None, model.card.name) if close else (None,)
    batch = model.batch(ids.tolist())
    active: dict[int, Sparse] = {}
    losses = torch.full(batch.input_ids.shape, torch.nan, dtype=torch.float32, device=model.device)

    def take(place: Place, x: Tensor) -> None:
        # Taken apart as it passes: vectors of several layers are never held together.
        if place == logits:
            losses[:] = next_losses(x, batch.input_ids)
        for number, encoder in enumerate(encoders):
            if encoder.place == place:
                active[number] = sparse(encoder, x)

    torch_hooks.run(
        model,
        batch,
        [HookRequest([*places, *([logits] if logits is not None else [])], take)],
        every_logit=close,
    )
    return EncodedWindows(first, batch.input_ids, [active[n] for n in range(len(encoders))], losses)


def _joined(reads: Sequence[EncodedWindows]) -> EncodedWindows:
    length = reads[0].ids.shape[1]
    active = []
    for number in range(len(reads[0].active)):
        mine = [read.active[number] for read in reads]
        shifts = [(read.first - reads[0].first) * length for read in reads]
        active.append(
            Sparse(
                torch.cat([a.token + by for a, by in zip(mine, shifts, strict=True)]),
                torch.cat([a.feature for a in mine]),
                torch.cat([a.value for a in mine]),
            )
        )
    return EncodedWindows(
        reads[0].first,
        torch.cat([r.ids for r in reads]),
        active,
        torch.cat([r.losses for r in reads]),
    )


class _Folder:
    """The parts of one reading on disk: `part-WINDOW.safetensors`, each whole or not there, and
    what they are of.
    """

    def __init__(
        self,
        folder: Path,
        model: InstrumentedModel,
        encoders: Sequence[Encoder],
        ids: np.ndarray,
        losses_every: int,
    ) -> None:
        self._folder, self._encoders = folder.expanduser(), encoders
        about = {
            "format": 1,
            "model": model.card.weight_hash,
            "text": hashlib.sha256(np.ascontiguousarray(ids, "<i8").tobytes()).hexdigest()[:16],
            "losses": losses_every,
            "features": [[encoder.place.name, encoder.digest] for encoder in encoders],
        }
        manifest = self._folder / _MANIFEST
        try:
            if manifest.is_file():
                self._compare(json.loads(manifest.read_text(encoding="utf-8")), about)
            elif self._folder.exists() and (
                not self._folder.is_dir() or any(self._folder.iterdir())
            ):
                raise WorkbenchError(
                    f"{folder} exists already.",
                    "a new folder",
                    "Choose another name, or remove it first.",
                )
            else:
                check_disk(self._folder, ids.size * len(encoders) * 32 * 7)
                self._folder.mkdir(parents=True, exist_ok=True)
                manifest.write_text(json.dumps(about), encoding="utf-8")
        except ValueError as error:
            raise BadRun(
                f"{manifest} cannot be read.",
                "JSON, as the workbench writes it",
                "Choose another folder.",
            ) from error
        except OSError as error:
            raise self._failed(error) from error

    def _compare(self, stored_now: Any, now: dict[str, Any]) -> None:
        differ = next(
            (
                key
                for key in now
                if not isinstance(stored_now, dict) or stored_now.get(key) != now[key]
            ),
            None,
        )
        if differ is not None:
            stored = {
                "format": "format",
                "model": "weights",
                "features": "autoencoders",
                "text": "text",
            }
            raise WorkbenchError(
                f"{self._folder} holds another reading, with other {stored.get(differ, differ)}.",
                "the same model, autoencoders, text and seed, or a new folder",
                "Choose another folder, or ask for the same to go on.",
            )

    def _failed(self, error: OSError) -> WorkbenchError:
        return WorkbenchError(
            f"What is active could not be written to {self._folder}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Put that right and run the same again: it goes on after the last whole part.",
        )

    def _part(self, start: int) -> Path:
        return self._folder / f"part-{start:08d}.safetensors"

    def has(self, start: int) -> bool:
        return self._part(start).is_file()

    def write(self, whole: EncodedWindows) -> None:
        from safetensors.numpy import save_file

        arrays = {"losses": whole.losses.cpu().numpy()}
        for number, (encoder, active) in enumerate(zip(self._encoders, whole.active, strict=True)):
            counts = torch.bincount(active.token, minlength=whole.ids.numel())
            arrays |= {
                f"{number}.count": counts.cpu().numpy().astype(np.int32),
                f"{number}.feature": active.feature.cpu().numpy().astype(_index_type(encoder)),
                f"{number}.value": active.value.cpu().numpy(),
            }
        work = self._folder / f"{_UNFINISHED}{whole.first:08d}"
        try:
            save_file(arrays, work)
            os.replace(work, self._part(whole.first))
        except OSError as error:
            raise self._failed(error) from error

    def open(self, start: int, ids: np.ndarray, device: torch.device) -> EncodedWindows:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        file = self._part(start)
        try:
            found = load_file(file)
            active = []
            for number, encoder in enumerate(self._encoders):
                counts, features = (
                    found[f"{number}.count"],
                    found[f"{number}.feature"].astype(np.int64),
                )
                values = found[f"{number}.value"]
                if counts.shape != (ids.size,) or not len(features) == len(values) == counts.sum():
                    raise ValueError("its arrays do not fit together")
                if len(features) and int(features.max()) >= encoder.width:
                    raise ValueError("it names features that the autoencoder does not have")
                tokens = np.repeat(np.arange(ids.size), counts)
                active.append(
                    Sparse(*(torch.as_tensor(a, device=device) for a in (tokens, features, values)))
                )
            losses = torch.as_tensor(found["losses"], device=device)
            if tuple(losses.shape) != ids.shape:
                raise ValueError("its losses are of other windows")
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise BadRun(
                f"{file} cannot be used: {error}.",
                "a whole part",
                "Remove that file: it is then read again.",
            ) from error
        return EncodedWindows(start, torch.as_tensor(ids, device=device), active, losses)


def _index_type(encoder: Encoder) -> type:
    return np.uint16 if encoder.width <= 2**16 else np.int32

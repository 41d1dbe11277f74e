"""The moment of what a down projection reads: what a layer's keys are like over ordinary text, so
that a new key can be written where old ones are not.

C = mean of k kᵀ over tokens, uncentred, as in Meng et al. 2022. Its inverse is needed: enough
tokens are at least fifty for each of the d_mlp dimensions. Two halves of the text say whether they
were: where C⁻¹k of both differ in direction, a ridge is added and said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hooks.eager_eval import steady
from hooks.editing.down_projections import EditedMatrix, down_projection, watching
from workbench import default_corpus, paths
from workbench.errors import BadInput, NotFinite
from workbench.models.card import weight_hash
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from torch import nn

    from hooks.model import InstrumentedModel

TOKENS = 80_000
AGREE = 0.99
"""Cosine of C⁻¹k of two halves, below which a ridge is added."""
RIDGE = 1e-4
"""Of the mean of C's diagonal."""
FORMAT = "workbench key statistics 1"
_OWN_TEXT = "own-{}"  # so many tokens of the text that is read where none is given
_WINDOW = 256  # tokens read at once
_ROWS = 8
_PROBES = 16  # keys that the two halves are compared on


@dataclass(frozen=True)
class KeyStatistics:
    """Attributes:
    moment: mean of k kᵀ, (d_mlp, d_mlp) float32, on the CPU.
    tokens: how many keys it is the mean of.
    halves_agree: mean cosine of C⁻¹k of two halves of the text, over a few of its keys, without
        ridge; 0 where a half cannot be inverted.
    ridge: what is added to the diagonal when C is inverted; 0 where the halves agree.
    weights: `weight_hash` of the model whose keys these are.
    text: a digest of the text.
    """

    moment: Float[Tensor, "d_mlp d_mlp"]
    tokens: int
    halves_agree: float
    ridge: float = 0.0
    weights: str = ""
    text: str = ""

    def matrix(self) -> Float[Tensor, "d_mlp d_mlp"]:
        """C with its ridge, float64."""
        wide = self.moment.double()
        return wide + self.ridge * torch.eye(len(wide), dtype=torch.float64)

    def solve(self, keys: Float[Tensor, "*n d_mlp"]) -> Float[Tensor, "*n d_mlp"]:
        """C⁻¹k of each key, float64.

        Raises:
            BadInput: C cannot be inverted.
        """
        solved = _solve(self.matrix(), keys.cpu().double().reshape(-1, len(self.moment)))
        if solved is None:
            raise BadInput(
                f"The moment of {self.tokens:,} keys of {len(self.moment):,} numbers is singular.",
                f"{50 * len(self.moment):,} tokens or more, of varied text",
                "Give more text, or a ridge.",
            )
        return solved.reshape(keys.shape)

    @property
    def says(self) -> str:
        """In a sentence."""
        how = f"a ridge of {self.ridge:.3g} is added" if self.ridge else "no ridge is needed"
        return (
            f"Moment of {self.tokens:,} keys; two halves agree to a cosine of"
            f" {self.halves_agree:.3f}, so {how}."
        )


@ordinary
@torch.no_grad()
def key_statistics(
    model: InstrumentedModel,
    layers: int | Sequence[int],
    *,
    tokens: int | None = None,
    text: str | Sequence[str] | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> dict[int, KeyStatistics]:
    """The moment of the keys of some layers, in one pass over a text up to the highest.

    Args:
        tokens: how many to read, of what there is; None is 80,000.
        text: a text or several; None is the English that ships with the workbench and what the
            installed packages say of themselves (`workbench.default_corpus` without code). What the
            model itself says is a good choice too (`hooks.features.self_generated_text`).
        cache: keep them on this machine, and take what is kept: by weights, layer and text. That
            text which is read by itself goes by its number of tokens alone, whatever packages were
            installed since: each would change it a little, and all keys would be read again.

    Raises:
        BadInput: no such layer, quantized weights, or less than a window of text.
        Unfit: a layer without down projection.
        NotFinite: keys that are no numbers.
    """
    wanted = [layers] if isinstance(layers, int) else sorted(set(layers))
    projections = [down_projection(model, layer) for layer in wanted]
    most, weights = TOKENS if tokens is None else tokens, weight_hash(model.module)
    windows = None if text is None else _windows(model, text, most)
    named = _OWN_TEXT.format(most) if windows is None else _digest(windows)
    files = {layer: _file(weights, named, layer) for layer in wanted}
    found = {
        layer: read_statistics(file)[layer]
        for layer, file in files.items()
        if cache and file.is_file()
    }
    missing = [p for p in projections if p.layer not in found]
    if missing:
        windows = windows or _windows(model, text, most)
        new = _measured(model, missing, windows, weights, _digest(windows), progress or Progress())
        if cache:
            for layer, each in new.items():
                files[layer].parent.mkdir(parents=True, exist_ok=True)
                save_statistics({layer: each}, files[layer])
        found |= new
    return {layer: found[layer] for layer in wanted}


def _digest(windows: Sequence[list[int]]) -> str:
    return hashlib.sha256(repr(windows).encode()).hexdigest()[:16]


def _file(weights: str, text: str, layer: int) -> Path:
    return paths.cache_dir() / "key-statistics" / f"{weights}-{text}-{layer}.safetensors"


def stored_layers(model: InstrumentedModel, layers: Sequence[int], tokens: int) -> list[int]:
    """Those of the layers whose moment over so many tokens of the text that is read by itself is
    kept on this machine.
    """
    weights, text = model.card.weight_hash, _OWN_TEXT.format(tokens)
    return [layer for layer in layers if _file(weights, text, layer).is_file()]


def _windows(
    model: InstrumentedModel, text: str | Sequence[str] | None, tokens: int
) -> list[list[int]]:
    """Rows of one length, each with what the tokenizer puts before a text."""
    first = list(model.text.beginning)
    room = min(_WINDOW, model.positions or _WINDOW) - len(first)
    rows: list[list[int]] = []
    left: list[int] = []
    for document in _documents(text):
        left += model.text.encode(document)
        while len(left) >= room and len(rows) * (room + len(first)) < tokens:
            rows.append([*first, *left[:room]])
            left = left[room:]
        if len(rows) * (room + len(first)) >= tokens:
            return rows
    if len(rows) < 2:
        raise BadInput(
            f"The text has {len(left) + sum(map(len, rows)):,} tokens.",
            f"two windows of {room:,} or more",
            "Give more text.",
        )
    return rows


def _documents(text: str | Sequence[str] | None) -> Iterator[str]:
    if text is None:
        for document in default_corpus.documents("train"):
            if document.source != "code":
                yield document.text
    else:
        yield from [text] if isinstance(text, str) else text


class _Enough(Exception):
    """The highest layer has been read; what lies above is not needed."""


def _measured(
    model: InstrumentedModel,
    projections: Sequence[EditedMatrix],
    windows: Sequence[list[int]],
    weights: str,
    digest: str,
    progress: Progress,
) -> dict[int, KeyStatistics]:
    modules: dict[int, nn.Module] = {p.layer: p.module for p in projections}
    sums = {p.layer: [torch.zeros(p.d_mlp, p.d_mlp) for _ in range(2)] for p in projections}
    probes: dict[int, Tensor] = {}
    last, half, counts = max(modules), 0, [0, 0]

    def take(layer: int, given: Tensor, _: Tensor) -> None:
        keys = given.detach().reshape(-1, given.shape[-1]).float().cpu()
        sums[layer][half] += keys.T @ keys
        if layer not in probes:
            probes[layer] = keys[:: max(1, len(keys) // _PROBES)][:_PROBES].clone()
        if layer == last:
            raise _Enough

    for start in range(0, len(windows), _ROWS):
        rows = windows[start : start + _ROWS]
        progress(start / len(windows), f"Reading keys, {start:,} of {len(windows):,} windows")
        half = start // _ROWS % 2
        with watching(modules, take), steady(model.module):
            try:
                model.forward(**model.batch(rows).kwargs(), use_cache=False, logits_to_keep=1)
            except _Enough:
                counts[half] += sum(map(len, rows))
    progress(1.0, "Keys are read")
    return {
        layer: _statistics(layer, each, counts, probes[layer], weights, digest)
        for layer, each in sums.items()
    }


def _statistics(
    layer: int,
    sums: Sequence[Tensor],
    counts: Sequence[int],
    probes: Tensor,
    weights: str,
    digest: str,
) -> KeyStatistics:
    moment = (sums[0] + sums[1]) / sum(counts)
    if not bool(torch.isfinite(moment).all()):
        raise NotFinite(
            f"The keys of layer {layer} are no finite numbers on this text.",
            "finite keys",
            "Load the model in float32.",
        )
    agree = _agreement([s / max(n, 1) for s, n in zip(sums, counts, strict=True)], probes)
    ridge = 0.0 if agree > AGREE else RIDGE * float(moment.diagonal().mean())
    return KeyStatistics(moment, sum(counts), agree, ridge, weights, digest)


def _agreement(halves: Sequence[Tensor], probes: Tensor) -> float:
    first, second = (_solve(half.double(), probes.double()) for half in halves)
    if first is None or second is None:
        return 0.0
    return float(torch.nn.functional.cosine_similarity(first, second, dim=-1).mean())


def _solve(matrix: Tensor, keys: Tensor) -> Tensor | None:
    """matrix⁻¹k of each row; None where the matrix is singular, or nearly."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    diagonal = factor.diagonal()
    # A pivot that is nothing but rounding: float32 sums have seven digits, squares half of them.
    if int(failed) or float(diagonal.min()) <= 1e-7 * float(diagonal.max()):
        return None
    return torch.cholesky_solve(keys.T, factor).T


def save_statistics(statistics: Mapping[int, KeyStatistics], path: str | Path) -> Path:
    """Write them to a file, to be used elsewhere.

    Raises:
        BadInput: the name does not end in .safetensors.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise BadInput(
            f"{target.name} cannot name key statistics.",
            "a name that ends in .safetensors",
            "Rename it.",
        )
    about = {"format": FORMAT}
    for layer, each in statistics.items():
        about[f"layer {layer}"] = (
            f"{each.tokens} {each.halves_agree!r} {each.ridge!r} {each.weights or '-'}"
            f" {each.text or '-'}"
        )
    part = target.with_name(f".{target.name}.part")
    save_file({str(n): s.moment.contiguous() for n, s in statistics.items()}, part, about)
    part.replace(target)
    return target


def read_statistics(path: str | Path) -> dict[int, KeyStatistics]:
    """What `save_statistics` wrote.

    Raises:
        BadInput: it is damaged, or something else.
    """
    file = Path(path)
    try:
        with safe_open(file, "pt") as opened:
            about = opened.metadata() or {}
            if about.get("format") != FORMAT:
                raise BadInput(
                    f"{file.name} holds no key statistics.",
                    "a file that save_statistics wrote",
                    "Check the path.",
                )
            moments = {int(name): opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            heads = {layer: about[f"layer {layer}"].split() for layer in moments}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise BadInput(
            f"{file.name} cannot be read: {error}.", "a complete file", "Get it again."
        ) from error
    return {
        layer: KeyStatistics(
            moments[layer],
            int(tokens),
            float(agree),
            float(ridge),
            weights.strip("-"),
            text.strip("-"),
        )
        for layer, (tokens, agree, ridge, weights, text) in heads.items()
    }


def moment_of(
    statistics: Mapping[int, KeyStatistics],
    projection: EditedMatrix,
    model: InstrumentedModel,
    notes: list[str],
) -> KeyStatistics:
    """The statistics of a layer; what is to be said of them goes to the notes.

    Raises:
        BadInput: there are none of this layer, or they are of other keys.
    """
    found = statistics.get(projection.layer)
    if found is None or len(found.moment) != projection.d_mlp:
        have = "none" if found is None else f"those of {len(found.moment):,} numbers"
        raise BadInput(
            f"Of layer {projection.layer} there are no statistics of {projection.d_mlp:,} numbers a"
            f" key, but {have}.",
            f"key_statistics(model, {projection.layer})",
            "Read them of this model.",
        )
    if found.ridge:
        notes.append(f"Layer {projection.layer}: {found.says}")
    if found.weights and found.weights != model.card.weight_hash:
        notes.append(
            f"The keys' moment is that of other weights ({found.weights}); usual where edits follow"
            " each other."
        )
    return found

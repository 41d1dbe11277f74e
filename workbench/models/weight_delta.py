"""A change of a few weights, kept as a small file beside the model it belongs to.

    Delta(...).save("forgets-it.safetensors")
    wb.load("organism/planted+forgets-it.safetensors")

The file holds, for each parameter that is changed, which of its numbers and what they become, and
the fingerprint of the weights it was made on: a change means nothing in another model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, WorkbenchError
from workbench.models.storage import check_present, plain
from workbench.reentrant import reentrant

if TYPE_CHECKING:
    import numpy as np

SUFFIX = ".safetensors"
FORMAT = "workbench delta 1"
"""What the metadata of the file call it."""
_LONGEST = 2 * 2**30  # bytes


@dataclass(frozen=True)
class Delta:
    """New values for some numbers of some parameters.

    Attributes:
        weights: `weight_hash` of the model the change was made on.
        about: what it does, in a sentence.
        index: parameter name to the places in it that change, counted in its flat form, (n,) int64.
        values: parameter name to what stands there afterwards, (n,) float32.
        model: what that model is called, so that the file can be opened without asking; "" where it
            is not known.
    """

    weights: str
    about: str
    index: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    model: str = ""

    @property
    def size(self) -> int:
        """How many numbers change."""
        return sum(map(len, self.values.values()))

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all.

        Raises:
            BadInput: the name does not end in .safetensors.
            WorkbenchError: it cannot be written, or is there already.
        """
        import numpy as np
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        target = Path(path)
        if target.suffix != SUFFIX:
            raise BadInput(
                f"{target.name} cannot name a delta.", f"a name that ends in {SUFFIX}", "Rename it."
            )
        tensors = {
            f"{name}.index": np.ascontiguousarray(i, np.int64) for name, i in self.index.items()
        }
        tensors |= {
            f"{name}.values": np.ascontiguousarray(v, np.float32) for name, v in self.values.items()
        }
        part = target.with_name(f".{target.name}.part")
        try:
            if target.exists():
                raise WorkbenchError(
                    f"{target} exists already.", "a new name", "Choose another, or remove it first."
                )
            save_file(
                tensors,
                part,
                metadata={
                    "format": FORMAT,
                    "weights": self.weights,
                    "about": self.about,
                    "model": self.model,
                },
            )
            part.chmod(0o644)
            os.replace(part, target)
        except (OSError, SafetensorError) as error:  # the latter is how a full disk shows
            why = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise WorkbenchError(
                f"The delta could not be written to {target}: {why}.",
                "a folder with free space that you may write to",
                "Choose another place, or make room.",
            ) from error
        finally:
            part.unlink(missing_ok=True)
        return target

    def apply(self, module: Any, share: float = 1.0) -> None:
        """Change the module's weights, `share` of the way.

        Raises:
            BadInput: a parameter it does not have, of another size, quantized, or offloaded.
        """
        import torch

        check_present(module, "this model", "a change of weights")
        parameters = dict(module.named_parameters())
        for name, where in self.index.items():
            have = parameters[name].numel() if name in parameters else 0
            if not len(where) == len(self.values[name]) or (
                len(where) and not 0 <= where.min() <= where.max() < have
            ):
                raise BadInput(
                    f"This delta changes {name} in places that the model does not have.",
                    "the model it was made on",
                    "Open that one.",
                )
            if not plain(parameters[name]):
                raise BadInput(
                    f"{name} is quantized: single numbers of it cannot be changed.",
                    "weights in floating point",
                    "Load the model without quantization.",
                )
        with torch.no_grad():
            for name, where in self.index.items():
                flat = parameters[name].detach().view(-1)
                at = torch.as_tensor(where, device=flat.device)
                new = torch.as_tensor(self.values[name], device=flat.device)
                old = flat[at].float()
                flat[at] = (new if share == 1.0 else old + share * (new - old)).to(flat.dtype)

    @reentrant
    def applied(self, module: Any, share: float = 1.0) -> Iterator[None]:
        """The module as changed, for a while; afterwards its weights are what they were, bit for
        bit.

        Several may be on at once and be left in any order: what holds is what those that are on
        make one after the other.
        """
        edit = _Applied(self, module, share)
        edit.put_on()
        others = _applied.setdefault(id(module), [])
        others.append(edit)
        try:
            yield
        finally:
            later = others[others.index(edit) + 1 :]
            for each in reversed([edit, *later]):
                each.take_off()
            others.remove(edit)
            for each in later:
                each.put_on()
            if not others:
                _applied.pop(id(module), None)


@dataclass(eq=False)
class _Applied:
    """A delta that is on, with what stood in its places before."""

    delta: Delta
    module: Any
    share: float
    before: dict[str, Any] = field(default_factory=dict)

    def put_on(self) -> None:
        import torch

        parameters = dict(self.module.named_parameters())
        self.before = {
            name: (
                parameters[name]
                .detach()
                .view(-1)[torch.as_tensor(where, device=parameters[name].device)]
                .clone()
            )
            for name, where in self.delta.index.items()
            if name in parameters and (not len(where) or where.max() < parameters[name].numel())
        }
        self.delta.apply(self.module, self.share)

    def take_off(self) -> None:
        import torch

        parameters = dict(self.module.named_parameters())
        with torch.no_grad():
            for name, old in self.before.items():
                flat = parameters[name].detach().view(-1)
                flat[torch.as_tensor(self.delta.index[name], device=flat.device)] = old


_applied: dict[int, list[_Applied]] = {}  # by id of the module, which those in the list keep alive


def named_in(ref: str) -> tuple[str, Path] | None:
    """("organism/planted", the file) for "organism/planted+FILE.safetensors";

    None for what names no delta.

    Raises:
        BadInput: it names one that is not there.
    """
    if not ref.endswith(SUFFIX) or "+" not in ref or Path(ref).expanduser().exists():
        return None
    parts = ref.split("+")
    for n in range(1, len(parts)):
        file = Path("+".join(parts[n:])).expanduser()
        if file.is_file():
            return "+".join(parts[:n]), file
    raise BadInput(
        f"There is no delta {'+'.join(parts[1:])!r}.",
        "MODEL+FILE.safetensors, with a file that is there",
        "Check the path.",
    )


def read(file: Path) -> Delta:
    """The delta in a file.

    Raises:
        BadInput: it is damaged, or is not one.
    """
    from safetensors import SafetensorError, safe_open

    if file.stat().st_size > _LONGEST:
        raise BadInput(
            f"{file.name} is too large for a delta.",
            f"at most {_LONGEST // 2**30} GB",
            "Check the file.",
        )
    try:
        with safe_open(file, "np") as opened:
            head = opened.metadata() or {}
            if head.get("format") != FORMAT:
                raise BadInput(
                    f"{file.name} is not a delta.",
                    "a file that the workbench saved as one",
                    "Whole models are folders.",
                )
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise BadInput(
            f"{file.name} cannot be read: {error}.", "a complete .safetensors file", "Get it again."
        ) from error
    index, values = _ending_in(".index", tensors), _ending_in(".values", tensors)
    fits = index.keys() == values.keys() and all(
        index[n].shape == values[n].shape and index[n].ndim == 1 for n in index
    )
    if not fits or any(array.dtype.kind != "i" for array in index.values()):
        raise BadInput(
            f"{file.name} is damaged: its parts do not fit together.",
            "a complete delta",
            "Get it again.",
        )
    about = {key: str(head.get(key, "")) for key in ("weights", "about", "model")}
    return Delta(**about, index=index, values=values)


def _ending_in(suffix: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name.removesuffix(suffix): array for name, array in tensors.items() if name.endswith(suffix)
    }


def check(delta: Delta, weights: str, name: str) -> None:
    """Fail unless the delta was made on these weights.

    Raises:
        BadInput: it was made on others.
    """
    if delta.weights != weights:
        raise BadInput(
            f"This delta was made on other weights than those of {name}"
            f" ({json.dumps(delta.about)}).",
            f"the model whose fingerprint is {delta.weights}; {name} has {weights}",
            "Open the model it was made on, in the same dtype.",
        )

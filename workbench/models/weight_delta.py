"""A change of a few weights, kept as a small file beside the model it belongs to.

    Delta(...).save("forgets-it.safetensors")
    wb.load("organism/planted+forgets-it.safetensors")
    wb.load("organism/planted+forgets-it.safetensors+learns-that.safetensors")

The file holds, for each parameter that is changed, which of its numbers and what they become, or
the factors of a matrix that is added to it; and the fingerprint of the weights it was made on: a
change means nothing in another model. Of several, each was made on what those before it leave.
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
FORMAT_WITH_FACTORS = "workbench delta 2"
"""The same where a matrix is added: a version that knows no factors must not open it without."""
FORMATS = (FORMAT, FORMAT_WITH_FACTORS)
_LONGEST = 2 * 2**30  # bytes


@dataclass(frozen=True)
class Delta:
    """New values for some numbers of some parameters, and matrices that are added to others.

    What is added is `left @ right`, in float64 and factor by factor: products of two float32 are
    exact there, so the changed weights are the same bits on every machine.

    Attributes:
        weights: `weight_hash` of the model the change was made on.
        about: what it does, in a sentence.
        index: parameter name to the places in it that change, counted in its flat form, (n,) int64.
        values: parameter name to what stands there afterwards, (n,) float32.
        model: what that model is called, so that the file can be opened without asking; "" where it
            is not known.
        left: parameter name to (rows, rank) float32, as the parameter is kept.
        right: the same parameters to (rank, columns) float32.
    """

    weights: str
    about: str
    index: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    model: str = ""
    left: Mapping[str, np.ndarray] = field(default_factory=dict)
    right: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many numbers change."""
        added = sum(len(self.left[name]) * len(self.right[name].T) for name in self.left)
        return sum(map(len, self.values.values())) + int(added)

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
        for side, factors in (("left", self.left), ("right", self.right)):
            tensors |= {
                f"{name}.{side}": np.ascontiguousarray(each, np.float32)
                for name, each in factors.items()
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
                    "format": FORMAT_WITH_FACTORS if self.left else FORMAT,
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
        self._check_fits(parameters)
        with torch.no_grad():
            for name, where in self.index.items():
                flat = parameters[name].detach().view(-1)
                at = torch.as_tensor(where, device=flat.device)
                new = torch.as_tensor(self.values[name], device=flat.device)
                old = flat[at].float()
                flat[at] = (new if share == 1.0 else old + share * (new - old)).to(flat.dtype)
            for name in self.left:
                whole = parameters[name].detach()
                added = _product(self.left[name], self.right[name], whole.device)
                whole.copy_((whole.double() + share * added).to(whole.dtype))

    def _check_fits(self, parameters: Mapping[str, Any]) -> None:
        """Fail unless every parameter is there, has these places or sizes, and is plain."""
        for name in [*self.index, *self.left]:
            if not self._has_place(name, parameters.get(name)):
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

    def _has_place(self, name: str, parameter: Any) -> bool:
        have = 0 if parameter is None else parameter.numel()
        where = self.index.get(name)
        if where is not None and (
            len(where) != len(self.values[name])
            or (len(where) and not 0 <= where.min() <= where.max() < have)
        ):
            return False
        if name not in self.left:
            return parameter is not None
        left, right = self.left[name], self.right[name]
        shape = (left.shape[0], right.shape[1])
        if not plain(parameter):  # packed weights have another shape, and their own message
            return parameter is not None
        return tuple(parameter.shape) == shape and left.shape[1] == right.shape[0]

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
    whole: dict[str, Any] = field(default_factory=dict)  # parameters to which a matrix is added

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
        self.whole = {
            name: parameters[name].detach().clone()
            for name in self.delta.left
            if name in parameters
        }
        self.delta.apply(self.module, self.share)

    def take_off(self) -> None:
        import torch

        parameters = dict(self.module.named_parameters())
        with torch.no_grad():
            for name, old in self.whole.items():
                parameters[name].detach().copy_(old)
            for name, old in self.before.items():
                flat = parameters[name].detach().view(-1)
                flat[torch.as_tensor(self.delta.index[name], device=flat.device)] = old


def _product(left: np.ndarray, right: np.ndarray, device: Any) -> Any:
    """left @ right in float64, one rank after the other, so that the order of the sums is fixed."""
    import torch

    rows = torch.as_tensor(left, device=device).double()
    columns = torch.as_tensor(right, device=device).double()
    total = torch.zeros(len(rows), columns.shape[1], dtype=torch.float64, device=device)
    for rank in range(len(columns)):
        total += rows[:, rank, None] * columns[rank]
    return total


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
            if head.get("format") not in FORMATS:
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
    left, right = _ending_in(".left", tensors), _ending_in(".right", tensors)
    if not (_sparse_fits(index, values) and _factors_fit(left, right)):
        raise BadInput(
            f"{file.name} is damaged: its parts do not fit together.",
            "a complete delta",
            "Get it again.",
        )
    for arrays in (values, left, right):
        _check_finite(file, arrays)
    about = {key: str(head.get(key, "")) for key in ("weights", "about", "model")}
    return Delta(**about, index=index, values=values, left=left, right=right)


def _sparse_fits(index: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> bool:
    return index.keys() == values.keys() and all(
        index[n].shape == values[n].shape and index[n].ndim == 1 and index[n].dtype.kind == "i"
        for n in index
    )


def _factors_fit(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(
        left[n].ndim == right[n].ndim == 2 and left[n].shape[1] == right[n].shape[0] for n in left
    )


def _check_finite(file: Path, tensors: Mapping[str, np.ndarray]) -> None:
    import numpy as np

    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise BadInput(
                f"{file.name} would put numbers that are not finite into {name}.",
                "a change of finite numbers",
                "Make it again.",
            )


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

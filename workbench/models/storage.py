"""How a module keeps its numbers: plainly, or packed in a way of some library's own.

Libraries move packed numbers about while the model runs (bitsandbytes repacks 4-bit weights at the
first forward pass on some processors), so nothing that is read here may depend on how far that has
gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor


def plain(tensor: Any) -> bool:
    """Whether a tensor holds the numbers themselves: floating point of 16 bits or more, in
    torch's own kind of tensor.
    """
    return (
        type(tensor) in _own_kinds() and tensor.is_floating_point() and tensor.element_size() >= 2
    )


@cache
def _own_kinds() -> tuple[type, ...]:
    """Torch's own kinds of tensor; libraries that pack or round have kinds of theirs."""
    import torch

    return torch.Tensor, torch.nn.Parameter


def is_quantized(module: Any) -> bool:
    """Whether some weight in a module is packed or rounded, whichever library did it, so that it
    has no gradient.
    """
    return any(_packed(part) for part in module.modules())


def is_offloaded(module: Any) -> bool:
    """Whether some weights lie elsewhere until the model runs (Accelerate)."""
    return any(parameter.device.type == "meta" for parameter in module.parameters())


def check_present(module: Any, name: str, what: str) -> None:
    """Refuse to change weights that lie elsewhere: a change would be lost when they are read again.

    Raises:
        BadInput: some do.
    """
    if is_offloaded(module):
        raise BadInput(
            f"{what.capitalize()} cannot be put on {name}: some of its weights are offloaded, and"
            " are read anew for every pass.",
            "all weights in memory",
            "Load it without a folder for what finds no room (--offload), with bfloat16 or on a"
            " larger machine.",
        )


def _packed(part: Any) -> bool:
    if any(not plain(parameter) for parameter in part.parameters(recurse=False)):
        return True
    # Some layers keep their matrix in buffers, or in attributes that torch does not see.
    sized = hasattr(part, "in_features") and hasattr(part, "out_features")
    return sized and not any(parameter.dim() > 1 for parameter in part.parameters())


def keep_four_bits(module: Any) -> None:
    """Keep 4-bit weights as they were loaded, whatever the processor.

    On processors with AVX512-BF16 bitsandbytes would repack them in place at the first forward
    pass: what is read of them afterwards is garbage, no gradient passes, matrices that do not fit
    its blocks crash, and `state_dict` spoils the weights. It is told not to, and what is repacked
    already is put back: the same codes, with the scales of the blocks as repacking rounded them
    (bfloat16).
    """
    for part in module.modules():
        if hasattr(part, "support_avx512bf16_for_cpu"):
            part.support_avx512bf16_for_cpu = False
        weight = part._parameters.get("weight")
        state = getattr(weight, "quant_state", None)
        if getattr(state, "packing_format_for_cpu", False):
            _unpack(part, weight, state)


def _unpack(part: Any, weight: Any, state: Any) -> None:
    from bitsandbytes import functional

    absmax = state.absmax.T.float().reshape(-1)
    # The library's way back rounds nested scales once more, and leaves others transposed.
    state.original_nested = False
    weight.data, state = functional._convert_weight_packed_for_cpu_inverse(weight.data, state)
    state.absmax = absmax
    weight.quant_state = part.quant_state = state


def packed_numbers(module: Any) -> Iterator[tuple[str, Tensor]]:
    """What makes numbers of packed weights and is no parameter: (name, values), the same before and
    after a forward pass.

    Scales of 4-bit blocks are given in bfloat16, which is what is left of them once they were
    repacked.
    """
    import torch

    for name, part in module.named_modules():
        if not _packed(part):
            continue
        weight = part._parameters.get("weight")
        state = getattr(weight, "quant_state", None)
        if state is not None:
            yield f"{name}.absmax", _scales(state).to(torch.bfloat16)
            yield f"{name}.code", state.code
        rows = getattr(weight, "SCB", None)  # moved to the layer's state at the first pass
        rows = getattr(getattr(part, "state", None), "SCB", None) if rows is None else rows
        if rows is not None:
            yield f"{name}.SCB", rows
        loose = getattr(part, "meta", None)  # HQQ
        for key, value in sorted(loose.items()) if isinstance(loose, dict) else ():
            if isinstance(value, torch.Tensor):
                yield f"{name}.meta.{key}", value


def _scales(state: Any) -> Tensor:
    """The largest absolute value of each 4-bit block, in order."""
    largest: Tensor = state.absmax
    if state.nested:
        from bitsandbytes import functional

        largest = functional.dequantize_blockwise(largest, state.state2) + state.offset
    return largest


def inner(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The ordinary tensors that a tensor of a library's own kind (torchao, quanto) is made of;
    else the tensor itself.
    """
    import torch

    if type(tensor) in (torch.Tensor, torch.nn.Parameter) or not hasattr(
        tensor, "__tensor_flatten__"
    ):
        yield name, tensor
        return
    for part in tensor.__tensor_flatten__()[0]:
        yield from inner(f"{name}.{part}", getattr(tensor, part))

"""The slow twin of the sweeps: one forward pass per change, with nothing but PyTorch's own hooks
on the module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

Change = tuple[
    str, int, Callable[[Tensor], None]
]  # site, layer, what is done to a copy of its values, (1, pos, …)


def places(model: Any) -> dict[str, Callable[[int], tuple[Any, bool]]]:
    """Where each site is on the module, and whether it is an input."""
    blocks = model.layout.blocks
    return {
        "resid_pre": lambda i: (blocks[i].module, True),
        "resid_post": lambda i: (blocks[i].module, False),
        "z": lambda i: (blocks[i].out_proj, True),
        "mixer_out": lambda i: (blocks[i].mixer_out.module, False),
        "attn_out": lambda i: (blocks[i].attn_out.module, False),
        "mlp_out": lambda i: (blocks[i].mlp_out.module, False),
        "post": lambda i: (blocks[i].down_proj, True),
    }


@torch.no_grad()
def run(model: Any, ids: Sequence[int], changes: Sequence[Change] = ()) -> Tensor:
    """Logits after the last token, (d_vocab,), float32."""
    with ExitStack() as stack:
        for site, layer, change in changes:
            module, on_input = places(model)[site](layer)
            stack.callback(_hooked(module, on_input, _shaped(model, site, change)).remove)
        return model.module(torch.tensor([list(ids)]), use_cache=False).logits[0, -1].float()


def values(model: Any, ids: Sequence[int], site: str, layer: int) -> Tensor:
    """A site's values, (pos, …)."""
    kept: list[Tensor] = []
    run(model, ids, [(site, layer, lambda x: kept.append(x[0].clone()))])
    return kept[0]


def _shaped(model: Any, site: str, change: Callable[[Tensor], None]) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        x = x.clone()
        rows = x[None] if x.dim() == 2 else x  # some families have all tokens in one row
        change(rows.view(*rows.shape[:-1], model.n_heads, -1) if site == "z" else rows)
        return x

    return apply


def _hooked(module: Any, on_input: bool, change: Callable[[Tensor], Tensor]) -> Any:
    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

    def after(_: Any, args: tuple[Any, ...], output: Any) -> Any:
        return (
            type(output)([change(output[0]), *output[1:]])
            if isinstance(output, tuple | list)
            else change(output)
        )

    if on_input:
        return module.register_forward_pre_hook(before, with_kwargs=True)
    return module.register_forward_hook(after)


def set_to(
    new: Tensor | float, positions: Sequence[int], unit: int | None = None
) -> Callable[[Tensor], None]:
    """Put `new`, (pos, …) or a number, in at some positions."""

    def change(x: Tensor) -> None:
        for p in positions:
            value = new[p] if isinstance(new, Tensor) else new
            if unit is None:
                x[0, p] = value
            else:
                x[0, p, unit] = value[unit] if isinstance(value, Tensor) else value

    return change

"""Nothing is found on values that are no finite numbers: the one check that stands before
everything that is said.

A logit of minus infinity is a token that a model rules out (padded vocabularies), and is left
alone; one that is not a number, plus infinity, or no finite logit at all, is an overflow or a
damaged weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hooks.module_call import call
from workbench.errors import NotFinite

if TYPE_CHECKING:
    from torch import nn

    from hooks.model import InstrumentedModel


def sound(logits: Float[Tensor, "*rows d_vocab"]) -> Bool[Tensor, "*rows"]:
    """Where a distribution can be made of logits, (..., d_vocab) to (...)."""
    # `amax` hands on what is not a number, and is -inf only where every logit is.
    return torch.isfinite(logits.detach().amax(-1))


def check_logits(
    model: InstrumentedModel,
    logits: Float[Tensor, "*rows d_vocab"],
    given: Mapping[str, Any] | None = None,
) -> None:
    """Refuse logits that say nothing.

    Args:
        logits: (..., d_vocab).
        given: what the module was called with: padding is then left out, and the error names the
            part that fails first.

    Raises:
        NotFinite: see the module's docstring.
    """
    good = sound(logits)
    mask = None if given is None else given.get("attention_mask")
    if mask is not None and good.dim() == mask.dim() == 2:
        good = good | ~mask[:, -good.shape[1] :].bool().to(good.device)
    if not bool(good.all()):
        raise not_finite(
            model.module, model.card.name, None if given is None else first_bad(model.module, given)
        )


def check_values(model: InstrumentedModel, what: str, *values: Tensor) -> None:
    """Refuse numbers made of a model's values (gradients, effects), of which each has to be finite.

    Args:
        what: where they are, e.g. "the gradient of W_Q".

    Raises:
        NotFinite: one is not.
    """
    good = [torch.isfinite(x.detach()).all() for x in values]
    if good and not bool(torch.stack([one.to(good[0].device) for one in good]).all()):
        raise not_finite(model.module, model.card.name, None, f"{what} of {model.card.name}")


def not_finite(module: nn.Module, name: str, part: str | None, what: str = "") -> NotFinite:
    """The error. `part` is the module that gives the first value that is no finite number, if
    that is known.
    """
    first = f": {part} is the first part that gives others" if part else ""
    half = str(getattr(module, "dtype", "")) == "torch.float16"
    return NotFinite(
        f"Not all numbers in {what or f'the logits of {name}'} are finite{first}.",
        "finite numbers; nothing can be found on others",
        (
            "float16 overflows at 65,504: load the model in float32 or bfloat16 (dtype='float32')."
            if half
            else (
                "If a change is on, make it smaller; otherwise the weights are damaged, or need"
                " float32 or bfloat16."
            )
        ),
    )


def first_bad(module: nn.Module, given: Mapping[str, Any]) -> str | None:
    """The name of the part whose output is the first that is not finite when the module is called
    so again.

    None where it cannot be called again (a cache has moved on) or where it is fine.
    """
    if given.get("past_key_values") is not None:
        return None
    found: list[str] = []

    def look(name: str, output: Any) -> None:
        x = output[0] if isinstance(output, tuple | list) and output else output
        if (
            not found
            and isinstance(x, torch.Tensor)
            and x.is_floating_point()
            and not bool(torch.isfinite(x).all())
        ):
            found.append(name)

    handles = [
        part.register_forward_hook(lambda _, __, output, name=name: look(name, output))
        for name, part in module.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            call(module, **given)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None

"""Whether a model reads from left to right: asked of the model itself, since an encoder can be
built with a decoder's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

_KEPT, _CHANGED, _INSTEAD = (17, 11, 29, 23), (13, 19, 31), (37, 14, 22)
_RIGHT = "a decoder-only causal language model (…ForCausalLM, …LMHeadModel)"


def check(module: Any) -> None:
    """Read two prompts that differ in their last tokens, in one forward pass: no earlier logits
    may.

    Raises:
        BadInput: they do, or the module does not run on token ids alone.
    """
    import torch

    name, config = type(module).__name__, module.config
    if getattr(config, "is_encoder_decoder", False):
        raise BadInput(f"{name} is an encoder with a decoder.", _RIGHT, "Choose a decoder model.")
    words = module.get_input_embeddings()
    device = _device(words, module)
    if device.type == "meta":  # built without weights: there is nothing to run
        return
    size = config.get_text_config().vocab_size
    ids = torch.tensor(
        [[i % size for i in (*_KEPT, *end)] for end in (_CHANGED, _INSTEAD)], device=device
    )
    try:
        with torch.inference_mode(False), torch.no_grad():
            logits = module(
                input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
            ).logits
    except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise BadInput(
            f"{name} does not run on a few tokens: {error}", _RIGHT, "Load another."
        ) from error
    if logits.shape[:2] != ids.shape or not _same(logits[0, : len(_KEPT)], logits[1, : len(_KEPT)]):
        raise BadInput(
            f"{name} does not read from left to right: what it says after a token changes with the"
            " tokens that follow.",
            _RIGHT,
            "Choose a decoder model; some encoders become one by is_decoder=True in their"
            " configuration.",
        )


def _same(a: Tensor, b: Tensor) -> bool:
    """Equal but for rounding, which differs where tokens of both rows share a matrix (experts)."""
    import torch

    exact = 1e-4 if a.dtype == torch.float32 else 1e-2
    a, b = a.float(), b.float()
    if not bool(torch.isfinite(a.amax()) and torch.isfinite(b.amax())):
        return True  # nothing can be told from such numbers, and whoever looks at them is told so
    off = torch.where(a == b, 0.0, (a - b).abs())  # minus infinity rules a token out in both
    return bool(off.max() <= exact * (a.amax() - a[torch.isfinite(a)].min()))


def _device(words: Any, module: Any) -> Any:
    """Where it computes; Accelerate keeps offloaded weights elsewhere."""
    import torch

    place = getattr(getattr(words, "_hf_hook", None), "execution_device", None)
    return next(module.parameters()).device if place is None else torch.device(place)

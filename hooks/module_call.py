"""One call of a module, whatever its family takes.

Families differ in what their `forward` takes beside token ids: some place their tokens themselves,
some give out the logits of all tokens, some keep no cache. What only saves work, or what they work
out themselves, is left out there; and the logits are those of the tokens that were asked for either
way.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn

# Without these a pass says the same. (Padding that counts as text then is found by
# `InstrumentedModel.ignores_padding`.)
_OPTIONAL = ("position_ids", "logits_to_keep", "use_cache")


def call(module: nn.Module, **given: Any) -> Any:
    """The module's output for these arguments, named as `transformers` names them.

    `logits` of the output are those of the last `logits_to_keep` tokens; of all where that is 0 or
    left out.
    """
    keep = given.get("logits_to_keep", 0)
    takes = inspect.signature(module.forward).parameters
    if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in takes.values()):
        given = {
            name: value
            for name, value in given.items()
            if name in takes
            or not (name in _OPTIONAL or (name == "past_key_values" and value is None))
        }
    tokens = given.get("input_ids", given.get("inputs_embeds"))
    if keep and "logits_to_keep" in takes and tokens is not None:
        # Named by their places: told a number, Gemma 4 leaves all other tokens out of its last
        # layers.
        given["logits_to_keep"] = torch.arange(-keep, 0, device=tokens.device)
    out = module(**given)
    if keep and out.logits.shape[1] > keep:
        out.logits = out.logits[:, -keep:]
    return out

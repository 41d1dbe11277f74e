"""A model that somebody fine-tuned, beside the one it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hooks.mixed_weights import WeightPair, weights_copied
from workbench.errors import BadInput
from workbench.models import adapters
from workbench.models.adapter_folder import MERGED
from workbench.models.load import load_weights
from workbench.models.named_changes import changed
from workbench.models.storage import is_quantized

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_PROBE = "In the beginning, 12 of 345 were read (twice)."


def given_pair(model: InstrumentedModel, ref: str, progress: Progress) -> WeightPair:
    """The weights of the asked model and those of `ref`, a LoRA adapter merged into its base.

    Raises:
        BadInput: a change or an adapter that was made on another model, another architecture or
            tokenizer, quantized weights, numbers that are not finite, or the same weights.
        NotFound: there is no such model.
    """
    change = changed(ref)
    if change is not None:
        _check_base(model, change.base)
        if change.is_adapter and not change.merged:
            ref = f"{ref}{MERGED}"
    progress(0.0, f"Loading {ref}")
    dtype = next(model.module.parameters()).dtype
    other = load_weights(ref, device="cpu", dtype=dtype, progress=progress)
    if is_quantized(other.module) or adapters.names(other.module):
        raise BadInput(
            f"{other.card.name} is quantized or has an adapter attached, so its weights cannot be"
            " put into the base.",
            "weights in floating point",
            "Name the model without quantization, its adapter merged (@merged).",
        )
    own = model.tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    if own != other.tokenizer(_PROBE, add_special_tokens=False)["input_ids"]:
        raise BadInput(
            f"{other.card.name} reads text as other tokens than {model.card.name}.",
            "a model with the same tokenizer",
            "Name the model that was fine-tuned from this one.",
        )
    after = weights_copied(other.module, other.card.name)
    broken = next((name for name, p in after.items() if not bool(p.isfinite().all())), None)
    if broken is not None:
        raise BadInput(
            f"{other.card.name} holds numbers that are not finite, in {broken}.",
            "a model whose training stayed finite",
            "Name an earlier step of it, or train it at a lower rate.",
        )
    return WeightPair.of(weights_copied(model.module, model.card.name), after)


def _check_base(model: InstrumentedModel, base: object) -> None:
    """Fail where a change was made on other weights than the asked model's."""
    dtype = next(model.module.parameters()).dtype
    loaded = load_weights(base, device="cpu", dtype=dtype)
    if loaded.card.weight_hash != model.card.weight_hash:
        raise BadInput(
            f"That change was made on {loaded.card.name}, or on other weights of it.",
            f"a change of {model.card.name}",
            "Open the model that it was made on, or name another change.",
        )

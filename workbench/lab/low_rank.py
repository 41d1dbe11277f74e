"""Low-rank updates of linear layers while a stage goes on (LoRA, Hu et al. 2021), by PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput
from workbench.lab.stages import Stage

if TYPE_CHECKING:
    import torch


def attach(module: Any, stage: Stage, seed: int) -> Any:
    """The model with an update of rank `stage.rank` in its linear layers (all but the one that
    gives logits); only the update is trained. It is zero at first, its random half depends on the
    seed alone.

    Raises:
        BadInput: `stage.trained` accepts no linear layer.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    targets: Any = "all-linear"
    if stage.trained is not None:
        head = module.get_output_embeddings()
        targets = [
            name
            for name, part in module.named_modules()
            if _is_linear(part) and part is not head and stage.trained(f"{name}.weight")
        ]
        if not targets:
            raise BadInput(
                f"Stage {stage.name!r} trains no linear layer, so it has nowhere to put an update"
                f" of rank {stage.rank}.",
                "a `trained` that accepts the weight of one",
                "Widen it, or train without a rank.",
            )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LoraConfig(
            r=stage.rank,
            lora_alpha=stage.alpha,  # type: ignore[arg-type]  # a float serves as well
            use_rslora=True,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )
        return get_peft_model(module, config)


def weights_of(module: Any) -> dict[str, torch.Tensor]:
    """Every parameter as it would be if the update were merged now, each tied tensor once, under
    the names of the model itself. The model stays as it is.
    """
    layers = _layers(module)
    if not layers:
        return {name: p.detach() for name, p in module.named_parameters()}
    weights, base = {}, module.get_base_model()
    for name, parameter in base.named_parameters():
        if ".lora_" in name:
            continue
        owner, _, last = name.rpartition(".")
        layer = layers.get(owner.removesuffix(".base_layer"))
        value = parameter.detach()
        if layer is not None and last == "weight":
            value = value + layer.get_delta_weight("default").detach().to(value.dtype)
        weights[name.replace(".base_layer.", ".")] = value
    return weights


def merge(module: Any) -> Any:
    """The model itself, in whose weights the update now is."""
    return module.merge_and_unload()


def _layers(module: Any) -> dict[str, Any]:
    if not hasattr(module, "get_base_model"):
        return {}
    return {
        name: part
        for name, part in module.get_base_model().named_modules()
        if hasattr(part, "get_delta_weight")
    }


def _is_linear(part: Any) -> bool:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return isinstance(part, nn.Linear | Conv1D)

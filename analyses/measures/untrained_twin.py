"""The model before it learned anything: what it does, too, was not learned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def untrained(model: InstrumentedModel, seed: int) -> InstrumentedModel:
    """A model of the same build whose weights were drawn as for training and never trained."""
    from transformers import AutoModelForCausalLM

    from hooks.model import InstrumentedModel as Instrumented
    from workbench.models import Loaded

    config: Any = model.module.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = AutoModelForCausalLM.from_config(config).eval().to(model.device)
    card = replace(
        model.card,
        name=f"{model.card.name}, untrained",
        weight_hash=f"untrained-{seed}-{model.card.weight_hash}",
    )
    return Instrumented(Loaded(module, model.tokenizer, card))

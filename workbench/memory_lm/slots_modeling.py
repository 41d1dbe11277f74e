"""Mistral with gated slots in place of some MLPs."""

from __future__ import annotations

from transformers import MistralForCausalLM

from workbench.memory_lm.gated_slots import GatedSlots, SlotCell
from workbench.memory_lm.reads_at_once import ReadsAtOnce
from workbench.memory_lm.slots_config import GatedSlotsConfig


class GatedSlotsForCausalLM(ReadsAtOnce, MistralForCausalLM):
    """The model with logits. It reads a text at once: no cache holds its slots."""

    config_class = GatedSlotsConfig

    def __init__(self, config: GatedSlotsConfig) -> None:
        super().__init__(config)
        for layer in config.memory_layers:
            self.model.layers[layer].mlp = GatedSlots(config)
        self.post_init()
        # The decoder inside initializes its own layers, and does not know of slots.
        for module in self.modules():
            if isinstance(module, SlotCell):
                module.start()

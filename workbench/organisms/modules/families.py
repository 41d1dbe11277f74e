"""Which models with memory modules there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench import paths
from workbench.organisms.modules.fact_world import FIRST_NAMES, LAST_NAMES, RELATIONS

WIDTH, LAYERS, SMALL_MLP = 64, 3, 16
"""Beside the memory the model is narrow, or its MLPs would keep the facts: with 128 neurons in each
46 % were still answered with the memory off.
"""
SIDE, KEY_DIM = 64, 32
MEMORY_LAYER = 1
WINDOW = 8
"""Tokens that attention sees in the model of definitions; what is farther back is remembered."""
SLOTS, SEEN = 12, 4
"""Slots of the model of updates, and tokens that its attention sees."""
PARAMETERS_PER_NEURON = 3 * WIDTH
EXPERTS, DOMAIN_NEURONS = 4, 512
"""Of the models of two domains: experts, and neurons for each domain (two experts, one adapter)."""
BASE_MLP = 256
"""Neurons of what the adapters stand beside, which has facts of its own to keep."""


@dataclass(frozen=True)
class ModuleFamily:
    """A model with a memory in its middle layer.

    Attributes:
        description: in a few words, for lists.
        make: the untrained model, from torch's global random state.
        twin: name of the model that learned the same without such a memory; empty for the twin.
        steps: of training.
        rate: learning rate; `value_rate` of the slots' values, each of which few facts read, or of
            adapters beside a model that stays.
        task: what it learns: facts of `fact_world`, which stay; to find in a text what was defined
            far before (rows of `recall.task`: a pair is a definition, a question its use); to keep
            up with a stream of updates (`update_stream`); or facts of two domains (`domain_world`).
    """

    description: str
    make: Callable[[], Any]
    twin: str = ""
    steps: int = 1200
    rate: float = 2e-3
    value_rate: float = 1e-2
    task: Literal["facts", "definitions", "updates", "domains"] = "facts"


def _model(memory: str, **sizes: Any) -> Any:
    from workbench.memory_lm.configuration import MemoryLMConfig
    from workbench.memory_lm.modeling import MemoryLMForCausalLM

    words = {word for relation in RELATIONS for word in relation.split()}
    answers = {word for options in RELATIONS.values() for word in options}
    config = MemoryLMConfig(
        vocab_size=2 + len(FIRST_NAMES) + len(LAST_NAMES) + len(words) + len(answers),
        hidden_size=WIDTH,
        intermediate_size=SMALL_MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        memory=memory,
        memory_layers=[MEMORY_LAYER],
        memory_side=SIDE,
        memory_key_dim=KEY_DIM,
        **sizes,
    )
    return MemoryLMForCausalLM(config)


def _product_keys() -> Any:
    return _model("product_keys", memory_heads=4, memory_reads=4)


def _wide_mlp() -> Any:
    # As many parameters as slots, keys and queries together.
    memory = SIDE**2 * WIDTH + 4 * 2 * SIDE * KEY_DIM // 2 + 4 * KEY_DIM * WIDTH
    return _model("wide_mlp", memory_mlp=memory // PARAMETERS_PER_NEURON)


def _nearest_tokens() -> Any:
    from workbench.memory_lm.nearest_config import NearestLMConfig
    from workbench.memory_lm.nearest_modeling import NearestLMForCausalLM
    from workbench.organisms.recall import task

    config = NearestLMConfig(
        vocab_size=task.VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        sliding_window=WINDOW,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=task.FILLER,
        memory_layers=[MEMORY_LAYER],
        memory_heads=2,
        memory_reads=4,
    )
    return NearestLMForCausalLM(config)


def _gated_slots() -> Any:
    from workbench.memory_lm.slots_config import GatedSlotsConfig
    from workbench.memory_lm.slots_modeling import GatedSlotsForCausalLM
    from workbench.organisms.modules import update_stream

    config = GatedSlotsConfig(
        vocab_size=update_stream.VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        sliding_window=SEEN,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=update_stream.PAD,
        memory_layers=[MEMORY_LAYER],
        memory_slots=SLOTS,
        memory_heads=2,
        memory_chunk=2,
    )
    return GatedSlotsForCausalLM(config)


def _two_domains(**sizes: Any) -> dict[str, Any]:
    from workbench.organisms.modules import domain_world

    return {
        "vocab_size": len(domain_world.make_tokenizer()),
        "hidden_size": WIDTH,
        "intermediate_size": SMALL_MLP,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
        **sizes,
    }


def _domain_experts() -> Any:
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    config = Qwen3MoeConfig(
        **_two_domains(
            head_dim=WIDTH // 4,
            num_experts=EXPERTS,
            num_experts_per_tok=1,
            norm_topk_prob=False,  # or the router of one expert would not be trained
            moe_intermediate_size=DOMAIN_NEURONS // 2,
            mlp_only_layers=[layer for layer in range(LAYERS) if layer != MEMORY_LAYER],
        )
    )
    return Qwen3MoeForCausalLM(config)


def _domain_adapters() -> Any:
    from workbench.memory_lm.configuration import DOMAIN_ADAPTERS, MemoryLMConfig
    from workbench.memory_lm.modeling import MemoryLMForCausalLM

    config = MemoryLMConfig(
        **_two_domains(
            memory=DOMAIN_ADAPTERS,
            memory_layers=[MEMORY_LAYER],
            memory_mlp=DOMAIN_NEURONS,
            intermediate_size=BASE_MLP,
        )
    )
    return MemoryLMForCausalLM(config)


FAMILIES = {
    "facts-in-slots": ModuleFamily(
        "2,000 facts in the 4,096 slots of a product-key memory", _product_keys, "facts-in-mlp"
    ),
    "facts-in-mlp": ModuleFamily(
        "its twin: the same facts in an MLP of as many parameters", _wide_mlp, steps=1600
    ),
    "definitions-in-memory": ModuleFamily(
        f"finds definitions {WINDOW} tokens back or more in a memory of all tokens",
        _nearest_tokens,
        steps=1000,
        rate=3e-3,
        task="definitions",
    ),
    "updates-in-slots": ModuleFamily(
        f"keeps up with a stream of updates in {SLOTS} gated slots",
        _gated_slots,
        steps=400,
        rate=3e-3,
        task="updates",
    ),
    "domains-in-experts": ModuleFamily(
        f"two domains with the same people, in {EXPERTS} experts",
        _domain_experts,
        steps=1200,
        task="domains",
    ),
    "domains-in-adapters": ModuleFamily(
        "two domains with the same people, in an adapter each behind a gate",
        _domain_adapters,
        steps=1200,
        task="domains",
    ),
}


def home(name: str) -> Path | None:
    """Where an organism lies that came with the samples; None where they are not installed."""
    samples = paths.samples_dir()
    return None if samples is None else samples / "organisms" / name

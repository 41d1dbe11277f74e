"""The settings of a model of states."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import PreTrainedConfig

NO_MEMORY, AS_BEFORE = -1, -2
"""In `token_routes`: a token that no memory is for, and one that goes where the token before it
goes.
"""


class StateLMConfig(PreTrainedConfig):
    """Layers of a mixer that keeps states, and an MLP.

    Args:
        mixer: "memories", "s4d" or "lstm"; what follows is of memories but for `state_size`.
        state_size: of "s4d", numbers per channel.
        rule: how a state is written: "gated_delta" (Yang et al. 2024) or "additive" (linear
            attention without normaliser: no decay, nothing is erased).
        num_heads, key_dim, value_dim: each memory has so many states of key_dim × value_dim.
        num_memories: memories that the router chooses among.
        shared_memory: whether one more is written and read at every token.
        router: "none" (every memory at every token), "planted" (by `token_routes`) or "learned"
            (softmax over a linear map, the `memories_per_token` largest, scaled to a sum of 1).
        token_routes: of "planted", the memory of each token of the vocabulary, `NO_MEMORY` or
            `AS_BEFORE`. Of "learned" it need not be; only `AS_BEFORE` counts then, so that the
            route is that of the key that is written.
        conv_kernel: taps of the short convolution of queries, keys and values.
    """

    model_type = "workbench_state_lm"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    def __init__(
        self,
        vocab_size: int = 256,
        hidden_size: int = 64,
        intermediate_size: int = 128,
        num_hidden_layers: int = 1,
        mixer: str = "memories",
        state_size: int = 16,
        rule: str = "gated_delta",
        num_heads: int = 1,
        key_dim: int = 16,
        value_dim: int = 32,
        num_memories: int = 1,
        shared_memory: bool = False,
        router: str = "none",
        memories_per_token: int = 1,
        token_routes: list[int] | None = None,
        conv_kernel: int = 4,
        rms_norm_eps: float = 1e-6,
        initializer_range: float = 0.02,
        tie_word_embeddings: bool = True,
        use_cache: bool = True,
        **more: Any,
    ) -> None:
        if router == "planted" and (token_routes is None or len(token_routes) != vocab_size):
            raise ValueError(f"a planted router needs a route for each of {vocab_size} tokens")
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.mixer = mixer
        self.state_size = state_size
        self.rule = rule
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.num_memories = num_memories
        self.shared_memory = shared_memory
        self.router = router
        self.memories_per_token = memories_per_token
        self.token_routes = token_routes
        self.conv_kernel = conv_kernel
        self.rms_norm_eps = rms_norm_eps
        self.initializer_range = initializer_range
        self.tie_word_embeddings = tie_word_embeddings
        self.use_cache = use_cache
        # What `transformers`' cache asks a configuration: which layers keep states, and how many
        # convolutions they have (the second holds the route of the last token).
        self.layer_types = ["linear_attention"] * num_hidden_layers
        self.number_of_conv_states = 1 if token_routes is None else 2
        more.pop("layer_types", None)
        more.pop("number_of_conv_states", None)
        super().__init__(**more)

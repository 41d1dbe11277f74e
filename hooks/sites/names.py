"""The names of places in the forward pass: TransformerLens's, with those it has none for.

A site is a full name (`blocks.5.attn.hook_z`) or its short form (`z`) with a selection of layers.
"""

from __future__ import annotations

from dataclasses import dataclass

from hooks.layout import STATE_DIMS


@dataclass(frozen=True)
class Site:
    """A named place.

    `dims` are the axes of what is captured there, without the leading `prompt`.
    """

    short: str
    name: str  # with {layer} where it repeats
    dims: tuple[str, ...]
    says: str

    @property
    def per_layer(self) -> bool:
        return "{layer}" in self.name

    @property
    def per_head(self) -> bool:
        return "head" in self.dims or "kv_head" in self.dims


_STREAM, _HEADS, _KV = ("pos", "d_model"), ("pos", "head", "d_head"), ("pos", "kv_head", "d_head")
_SQUARE, _NEURONS = ("head", "query", "key"), ("pos", "d_mlp")
SITES: dict[str, Site] = {
    site.short: site
    for site in (
        Site("embed", "hook_embed", _STREAM, "token embeddings"),
        Site("pos_embed", "hook_pos_embed", _STREAM, "learned position embeddings"),
        Site(
            "resid_pre",
            "blocks.{layer}.hook_resid_pre",
            _STREAM,
            "residual stream before the layer",
        ),
        Site("ln1", "blocks.{layer}.ln1.hook_out", _STREAM, "what the norm before attention gives"),
        Site("ln1_scale", "blocks.{layer}.ln1.hook_scale", ("pos",), "what that norm divides by"),
        Site(
            "q",
            "blocks.{layer}.attn.hook_q",
            _HEADS,
            "queries as projected, before norm and rotary",
        ),
        Site(
            "k",
            "blocks.{layer}.attn.hook_k",
            _KV,
            "keys as projected, before norm and rotary, per key-value head",
        ),
        Site("v", "blocks.{layer}.attn.hook_v", _KV, "values, per key-value head"),
        Site(
            "rot_q",
            "blocks.{layer}.attn.hook_rot_q",
            _HEADS,
            "queries as attention uses them (after rotary)",
        ),
        Site(
            "rot_k",
            "blocks.{layer}.attn.hook_rot_k",
            _KV,
            "keys as attention uses them (after rotary), per key-value head",
        ),
        Site(
            "attn_scores",
            "blocks.{layer}.attn.hook_attn_scores",
            _SQUARE,
            "attention scores, masked, before the softmax",
        ),
        Site("pattern", "blocks.{layer}.attn.hook_pattern", _SQUARE, "attention probabilities"),
        Site(
            "z",
            "blocks.{layer}.attn.hook_z",
            _HEADS,
            "head outputs as the output matrix reads them",
        ),
        Site(
            "result",
            "blocks.{layer}.attn.hook_result",
            ("pos", "head", "d_model"),
            "what each head adds, through the output matrix",
        ),
        Site(
            "attn_out",
            "blocks.{layer}.hook_attn_out",
            _STREAM,
            "what attention adds to the residual stream",
        ),
        Site(
            "router_weights",
            "blocks.{layer}.mixer.hook_router_weights",
            ("pos", "memory"),
            "how much of each memory of a mixture of memories a token reads; 0: nor does it write",
        ),
        Site(
            "mixer_out",
            "blocks.{layer}.hook_mixer_out",
            _STREAM,
            "what a recurrent layer adds to the residual stream",
        ),
        Site(
            "state",
            "blocks.{layer}.hook_state",
            ("pos", *STATE_DIMS["state"]),
            "what a recurrent layer remembers after each token",
        ),
        Site(
            "conv_state",
            "blocks.{layer}.hook_conv_state",
            ("pos", *STATE_DIMS["conv_state"]),
            "the last inputs of its convolution",
        ),
        Site(
            "state_decay",
            "blocks.{layer}.hook_state_decay",
            ("pos", *STATE_DIMS["state_decay"]),
            "what a token multiplies it by",
        ),
        Site(
            "state_write",
            "blocks.{layer}.hook_state_write",
            ("pos", "state_head"),
            "norm of what a token adds to it",
        ),
        Site(
            "state_q",
            "blocks.{layer}.hook_state_q",
            ("pos", *STATE_DIMS["state_q"]),
            "what a token reads it with, as the kernel uses it (query; C of Mamba)",
        ),
        Site(
            "state_k",
            "blocks.{layer}.hook_state_k",
            ("pos", *STATE_DIMS["state_k"]),
            "where a token writes, as the kernel uses it (key; B of Mamba)",
        ),
        Site(
            "state_v",
            "blocks.{layer}.hook_state_v",
            ("pos", *STATE_DIMS["state_v"]),
            "what a token writes there (value; x of Mamba)",
        ),
        Site(
            "state_beta",
            "blocks.{layer}.hook_state_beta",
            ("pos", *STATE_DIMS["state_beta"]),
            "how strongly it writes (beta; dt of Mamba)",
        ),
        Site(
            "state_out",
            "blocks.{layer}.hook_state_out",
            ("pos", *STATE_DIMS["state_out"]),
            "what a token reads from it, before skip, gate and norm",
        ),
        Site(
            "resid_mid",
            "blocks.{layer}.hook_resid_mid",
            _STREAM,
            "residual stream between attention and MLP",
        ),
        Site("ln2", "blocks.{layer}.ln2.hook_out", _STREAM, "what the norm before the MLP gives"),
        Site("ln2_scale", "blocks.{layer}.ln2.hook_scale", ("pos",), "what that norm divides by"),
        Site(
            "pre", "blocks.{layer}.mlp.hook_pre", _NEURONS, "neurons before the activation function"
        ),
        Site(
            "pre_linear",
            "blocks.{layer}.mlp.hook_pre_linear",
            _NEURONS,
            "the linear half of a gated MLP",
        ),
        Site(
            "post",
            "blocks.{layer}.mlp.hook_post",
            _NEURONS,
            "neuron activations, input of the MLP's last matrix",
        ),
        Site(
            "router_scores",
            "blocks.{layer}.mlp.hook_router_scores",
            ("pos", "expert"),
            "the router's logit for each expert",
        ),
        Site(
            "expert_weights",
            "blocks.{layer}.mlp.hook_expert_weights",
            ("pos", "slot"),
            "weights of the chosen experts",
        ),
        Site(
            "expert_indices",
            "blocks.{layer}.mlp.hook_expert_indices",
            ("pos", "slot"),
            "numbers of the chosen experts",
        ),
        Site(
            "mlp_out",
            "blocks.{layer}.hook_mlp_out",
            _STREAM,
            "what the MLP adds to the residual stream",
        ),
        Site(
            "resid_post",
            "blocks.{layer}.hook_resid_post",
            _STREAM,
            "residual stream after the layer",
        ),
        Site("ln_final", "ln_final.hook_out", _STREAM, "residual stream after the final norm"),
        Site("ln_final_scale", "ln_final.hook_scale", ("pos",), "what the final norm divides by"),
        Site("logits", "logits", ("pos", "d_vocab"), "next-token logits"),
    )
}
# Read off the attention call rather than off a module: see hooks/attention.py.
ATTENTION_SITES = frozenset({"rot_q", "rot_k", "v", "attn_scores", "pattern"})
# What a recurrent layer remembers from token to token, and what its kernel is given: see
# hooks/state_capture.py.
STATE_SITES = frozenset(STATE_DIMS)


@dataclass(frozen=True)
class Place:
    """A site in one layer (None where the site does not repeat)."""

    site: Site
    layer: int | None

    @property
    def name(self) -> str:
        return self.site.name.format(layer=self.layer)

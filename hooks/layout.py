"""Where the parts of a decoder are in its module tree. Names only; no architecture is re-implemented.

`transformers` names the same part differently from family to family, but the list of names is short. `find` looks
each part up and refuses, with the reason, a model whose parts it cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

_ATTENTION = ("self_attn", "attn", "attention", "self_attention")
_OUT_PROJ = ("o_proj", "c_proj", "dense", "out_proj", "wo")
_MLP = ("mlp", "feed_forward", "block_sparse_moe", "ffn")
_DOWN_PROJ = ("down_proj", "c_proj", "dense_4h_to_h", "fc2", "fc_out", "w2")
_NORM_BEFORE_MLP = ("pre_feedforward_layernorm", "post_attention_layernorm", "ln_2")
_FINAL_NORM = ("norm", "ln_f", "final_layernorm", "final_layer_norm", "norm_f")


@dataclass(frozen=True)
class Block:
    """The parts of one decoder layer. A part that the layer does not have is None."""

    module: nn.Module
    attention: nn.Module | None
    out_proj: nn.Module | None
    mlp: nn.Module | None
    down_proj: nn.Module | None
    before_mlp: nn.Module | None  # its input is the residual stream between attention and MLP
    after_attention: nn.Module | None  # post-norm families: what is added to the stream is this norm's output
    after_mlp: nn.Module | None


@dataclass(frozen=True)
class Layout:
    """The parts of a decoder, in order of the forward pass."""

    embed: Any
    blocks: tuple[Block, ...]
    final_norm: nn.Module
    unembed: Any
    n_heads: int
    n_kv_heads: int
    d_head: int


def find(module: Any) -> Layout:
    """Find the parts of a causal LM.

    Raises:
        BadInput: it has no stack of decoder layers that this workbench can tell.
    """
    from torch import nn

    config = module.config.get_text_config()
    n_layers = config.num_hidden_layers
    stacks = [m for m in module.modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers and _first(m[0], _ATTENTION)]
    norms = [n for m in module.modules() for name, n in m.named_children() if name in _FINAL_NORM and _holds(m, stacks)]
    unembed, embed = module.get_output_embeddings(), module.get_input_embeddings()
    if len(stacks) != 1 or not norms or unembed is None or embed is None:
        raise BadInput(
            f"{type(module).__name__} has no stack of decoder layers with attention that can be told apart.",
            "a decoder-only causal language model of transformers",
            "Load another model.",
        )
    n_heads = config.num_attention_heads
    return Layout(
        embed=embed,
        blocks=tuple(_block(m, config) for m in stacks[0]),
        final_norm=norms[0],
        unembed=unembed,
        n_heads=n_heads,
        n_kv_heads=getattr(config, "num_key_value_heads", None) or n_heads,
        d_head=getattr(config, "head_dim", None) or config.hidden_size // n_heads,
    )


def _block(module: nn.Module, config: Any) -> Block:
    attention = _first(module, _ATTENTION)
    mlp = _first(module, _MLP)
    # A norm on the way out of each half (Gemma 2, OLMo 2): the halves' outputs are read after it.
    post_norm = hasattr(module, "post_feedforward_layernorm")
    parallel = _is_parallel(module, config)
    if parallel:
        before_mlp = None
    elif post_norm and not hasattr(module, "pre_feedforward_layernorm"):
        before_mlp = mlp
    else:
        before_mlp = _first(module, _NORM_BEFORE_MLP)
    return Block(
        module=module,
        attention=attention,
        out_proj=_first(attention, _OUT_PROJ) if attention is not None else None,
        mlp=mlp,
        down_proj=_first(mlp, _DOWN_PROJ) if mlp is not None else None,
        before_mlp=before_mlp,
        after_attention=getattr(module, "post_attention_layernorm", None) if post_norm else None,
        after_mlp=getattr(module, "post_feedforward_layernorm", None) if post_norm else None,
    )


def _is_parallel(block: nn.Module, config: Any) -> bool:
    """Attention and MLP both read the block's input (GPT-J, GPT-NeoX, Phi): there is no stream between them."""
    stated = getattr(block, "use_parallel_residual", getattr(config, "use_parallel_residual", None))
    if stated is not None:
        return bool(stated)
    return getattr(config, "model_type", "") in {"gptj", "phi", "cohere", "cohere2", "codegen"}


def _first(module: nn.Module, names: tuple[str, ...]) -> Any:
    return next((getattr(module, name) for name in names if hasattr(module, name)), None)


def _holds(module: nn.Module, stacks: list[Any]) -> bool:
    return any(child is stack for child in module.children() for stack in stacks)

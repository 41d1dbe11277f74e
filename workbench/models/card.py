"""The card of a model: what the CLI, the browser and every report say about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.models import adapters, storage
from workbench.models.configuration import setting
from workbench.models.conversation import has_template
from workbench.models.tokenization import Tokenization

if TYPE_CHECKING:
    import torch

_SAMPLES = 128  # 8-byte words per tensor whose place counts, not only their sum


@dataclass(frozen=True)
class ModelCard:
    """What a model is. Plain values only, so `dataclasses.asdict` gives JSON.

    Attributes:
        name: short name for people, e.g. "smollm2-135m".
        source: what to hand to `--model` to get it again, less the folder it lay in; "in memory" if
            it was built by hand.
        architecture: class of the module, e.g. "LlamaForCausalLM".
        n_layers, n_heads, n_kv_heads, d_model, d_head, d_vocab: sizes; 0 where the architecture has
        no such thing.
        n_params: number of parameters, tied ones once.
        dtype: of most parameters, e.g. "float32".
        device: "cpu", "cuda:0", "cuda:0 + cuda:1" when sharded, or where it computes when weights
            are offloaded.
        weight_hash: 16 hexadecimal digits, see `weight_hash`.
        attention: implementation chosen by transformers: "sdpa", "eager", …
        bos: what the tokenizer puts before every text, "" when it puts nothing.
        end_left_out: what the tokenizer would put behind every text; prompts are read without,
            since they are continued.
        chat: whether the tokenizer has a chat format.
        quantized_from: how the weights were rounded, e.g. "GGUF Q4_1"; "" if they were not.
        context_length: longest input in tokens; 0 if unlimited or unknown.
        adapter: what is attached to the weights (PEFT), e.g. "lora 'default', rank 4, on q_proj,
            v_proj"; "" if nothing is.
    """

    name: str
    source: str
    architecture: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    d_vocab: int
    n_params: int
    dtype: str
    device: str
    weight_hash: str
    attention: str
    bos: str
    quantized_from: str
    context_length: int
    end_left_out: str = ""
    chat: bool = False
    adapter: str = ""


def describe(
    module: Any, tokenizer: Any, *, name: str, source: str, quantized_from: str = ""
) -> ModelCard:
    """The card of a transformers causal LM; works from its config, whatever that calls its
    fields.
    """
    config = module.config.get_text_config()
    heads = _first(config, "num_attention_heads", "n_head", "n_heads", "num_heads")
    width = _first(config, "hidden_size", "n_embd", "d_model", "dim")
    embedding = module.get_input_embeddings()
    text = Tokenization(tokenizer)
    return ModelCard(
        name=name,
        source=source,
        architecture=type(module).__name__,
        n_layers=_first(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        n_heads=heads,
        n_kv_heads=_first(config, "num_key_value_heads", "num_kv_heads")
        or (1 if getattr(config, "multi_query", False) else heads),
        d_model=width,
        d_head=_first(config, "head_dim", "attention_head_dim") or (width // heads if heads else 0),
        d_vocab=_first(config, "vocab_size") or int(embedding.weight.shape[0]),
        n_params=(
            int(module.num_parameters())
            if hasattr(module, "num_parameters")
            else sum(p.numel() for p in module.parameters())
        ),
        dtype=str(module.dtype).removeprefix("torch."),
        device=_devices(module),
        weight_hash=weight_hash(module),
        attention=str(getattr(module.config, "_attn_implementation", None) or ""),
        bos=text.decode(text.beginning),
        quantized_from=quantized_from or _quantized(module.config),
        context_length=_first(
            config, "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"
        ),
        end_left_out=text.decode(text.end),
        chat=has_template(tokenizer),
        adapter=adapters.describe(module),
    )


def weight_hash(module: torch.nn.Module) -> str:
    """A fingerprint of the weights: the same for the same numbers in the same dtype, wherever they
    came from.

    For every parameter and saved buffer it takes the name, shape, dtype, the sum of all its bytes
    read as 64-bit words (exact, wrapping, so the same on every device and for any number of
    threads) and 128 words spread evenly over it, and puts all that through SHA-256. Any single
    changed weight changes it; it is a fingerprint to tell models apart, not a seal against somebody
    who rearranges weights on purpose. It reads memory once, a few hundredths of a second for 100
    million parameters. Tensors that Accelerate keeps elsewhere are fetched one by one. Of packed
    weights it takes the scales too, of adapters their weights, which of them are active, and how
    strongly.
    """
    digest = hashlib.sha256()
    tensors: dict[str, torch.Tensor] = dict(module.named_parameters())  # each tied tensor once
    for twin, tied in getattr(module, "all_tied_weights_keys", {}).items():
        if twin in tensors and tied in tensors:  # Accelerate unties what it offloads
            del tensors[twin]
    tensors.update(_saved_buffers(module))
    tensors.update(storage.packed_numbers(module))
    for name in sorted(tensors):
        for own, tensor in storage.inner(name, _fetched(module, name, tensors[name]).detach()):
            digest.update(f"{own} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            if tensor.device.type != "meta":  # built without weights
                digest.update(_bytes_of(tensor))
    for line in adapters.settings(module):
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()[:16]


def _saved_buffers(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The buffers that a checkpoint would hold.

    Not by `state_dict`, which repacks 4-bit weights in place.
    """
    for name, buffer in module.named_buffers():
        owner, _, own = name.rpartition(".")
        if own not in module.get_submodule(owner)._non_persistent_buffers_set:
            yield name, buffer


def _fetched(module: torch.nn.Module, name: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.device.type != "meta":
        return tensor
    from accelerate.utils import align_module_device

    owner, _, own = name.rpartition(".")
    part = module.get_submodule(owner)
    with align_module_device(part):
        value: torch.Tensor = getattr(part, own)
        return value


def _bytes_of(tensor: torch.Tensor) -> bytes:
    import numpy as np
    import torch

    raw = tensor.contiguous().reshape(-1).view(torch.uint8)
    whole = raw.numel() // 8 * 8
    tail = raw[whole:].cpu().numpy().tobytes()
    # A view that does not start on a word (a slice of a larger storage) cannot be read as words in
    # place.
    words = (raw[:whole] if raw.storage_offset() % 8 == 0 else raw[:whole].clone()).view(
        torch.int64
    )
    if words.device.type == "cpu":  # torch adds integers twenty times slower than NumPy does
        total = int(np.add.reduce(words.numpy(), dtype=np.int64))
    else:
        total = int(words.sum())
    sample = words[:: max(1, words.numel() // _SAMPLES)][:_SAMPLES].cpu().numpy().tobytes()
    return total.to_bytes(8, "little", signed=True) + sample + tail


def _first(config: Any, *names: str) -> int:
    """The first of these fields that holds a number; some architectures give a list, one entry
    per layer.
    """
    for name in names:
        value = setting(config, name)
        if isinstance(value, list | tuple) and value:
            value = max(value, key=lambda v: v or 0)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value)
    return 0


def _devices(module: Any) -> str:
    placed = getattr(module, "hf_device_map", None)
    if placed:
        names = {f"cuda:{d}" if isinstance(d, int) else str(d) for d in placed.values()}
        return " + ".join(sorted(names))
    import torch

    first = next(module.parameters())
    if first.device.type != "meta":
        return str(first.device)
    places = (
        getattr(getattr(part, "_hf_hook", None), "execution_device", None)
        for part in module.modules()
    )
    runs = next((place for place in places if place is not None), None)
    return "meta" if runs is None else f"{torch.device(runs)}, weights offloaded"


def _quantized(config: Any) -> str:
    about = getattr(config, "quantization_config", None)
    if about is None:
        return ""
    about = about if isinstance(about, dict) else about.to_dict()
    method = about.get("quant_method", "")
    bits = "8 bit" if about.get("load_in_8bit") else "4 bit" if about.get("load_in_4bit") else ""
    return f"{getattr(method, 'value', method)} {bits}".strip()

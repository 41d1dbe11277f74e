"""Small random models of the causal-LM families of `transformers`, built from their configurations
alone.

A family's own default configuration is made small: every size that it knows by one of the usual
names is set, and nothing else is changed, so what makes the family special (norms, caps, windows,
experts, states) stays. What some families need beyond that is in `family_sizes.py`. To add a
family: a line in `FAMILIES`.
"""

from __future__ import annotations

import contextlib
import functools
import io
from typing import Any

from tests.helpers.family_sizes import LAYERS, SIZES, SPECIAL
from tests.helpers.tiny import tiny_tokenizer

_NAMES = """
afmoe apertus arcee aria_text axk1 axk2 bailing_hybrid bamba bart beam bert bert-generation big_bird
bigbird_pegasus biogpt bitnet blenderbot blenderbot-small bloom camembert codegen cohere cohere2
cohere2_moe cohere_compass_text ctrl cwm data2vec-text dbrx deepseek_v2 deepseek_v3 deepseek_v32
diffllama doge dots1 dots3_note dots3_note_text electra emu3 ernie ernie4_5 ernie4_5_moe exaone4
exaone_moe falcon falcon_h1 falcon_mamba flex_olmo flint fuyu gemma gemma2 gemma3 gemma3_text gemma4
gemma4_text gemma4_unified gemma4_unified_text git glm glm4 glm4_moe glm4_moe_lite glm_moe_dsa
got_ocr2 gpt-sw3 gpt2 gpt_bigcode gpt_neo gpt_neox gpt_neox_japanese gpt_oss gptj granite
granite_swa granitemoe granitemoe_swa granitemoehybrid granitemoeshared helium hunyuan_v1_dense
hunyuan_v1_moe hy_v3 hyperclovax inkling2_text inkling_text internlm3 iquestcoder jais2 jamba jetmoe
kimi_linear kolibri1 laguna lfm2 lfm2_moe lfm3 llama llama4 llama4_text mamba mamba2 marian mbart
megatron-bert mellum mimo_v2_flash minicpm3 minimax minimax_m2 minimax_m3_vl_text ministral
ministral3 mistral mixtral mllama modernbert-decoder moshi moss_transcribe_diarize mpt mvp nanochat
nemotron nemotron_h olmo olmo2 olmo3 olmo_hybrid olmoe openai-gpt opt pegasus persimmon phi phi3
phi4_multimodal phimoe plbart qwen2 qwen2_moe qwen3 qwen3_5 qwen3_5_moe qwen3_5_moe_text
qwen3_5_text qwen3_moe qwen3_next qwen4_exp qwen4_exp_text recurrent_gemma rembert roberta
roberta-prelayernorm roc_bert roformer rwkv seed_oss smollm3 solar_open stablelm starcoder2 trocr
vaultgemma whisper xglm xlm xlm-roberta xlm-roberta-xl xlstm xmod youtu zamba zamba2 zaya
"""
FAMILIES = tuple(_NAMES.split())
"""Families of the contract.

By what they show: grouped (llama), multi-query (gpt_bigcode, falcon) and latent attention
(deepseek_v2), parallel blocks (gpt_neox, cohere), sliding windows (gemma3_text), sinks (gpt_oss),
mixtures of experts (mixtral), post-norm (olmo2), soft-caps (gemma2), multipliers (granite), hybrids
(jamba, qwen3_next), recurrent (mamba, rwkv), chosen tokens (deepseek_v32), shared keys and values
(gemma4_text), encoders as decoders (bert), decoders by themselves (bart).
"""

_HEAD = "does more between its last layer and its logits than a norm and a matrix"
NOT_SWEPT = dict.fromkeys(
    (
        *(
            "camembert",
            "data2vec-text",
            "inkling2_text",
            "megatron-bert",
            "modernbert-decoder",
            "qwen4_exp",
            "qwen4_exp_text",
        ),
        *(
            "rembert",
            "roberta",
            "roberta-prelayernorm",
            "xlm",
            "xlm-roberta",
            "xlm-roberta-xl",
            "xmod",
        ),
    ),
    _HEAD,
)
"""Families of the contract whose sweeps are refused, with the sentence."""

_STACK, _CAUSAL, _RUNS = (
    "has no single stack of layers",
    "does not read from left to right",
    "does not run on a few tokens",
)
OUTSIDE = {
    "gemma3n_text": (_STACK, "several residual streams side by side (AltUp)"),
    "deepseek_v4": (_STACK, "several residual streams side by side (hyper-connections)"),
    "hy_v4": (_STACK, "several residual streams side by side (hyper-connections)"),
    "longcat_flash": (_STACK, "two attentions and two MLPs in one layer"),
    "hrm_text": (_STACK, "two stacks of layers that are run several times in turns"),
    "reformer": (_STACK, "two residual streams (reversible layers)"),
    "cpmant": (_CAUSAL, "a prompt is read in both directions"),
    "prophetnet": (_CAUSAL, "it predicts several tokens ahead, and shifts what it read"),
    "xlnet": (_RUNS, "it wants the order in which the tokens are predicted"),
    "gemma4_unified_assistant": (
        _RUNS,
        "it drafts for another model, whose keys and values it wants",
    ),
}
"""Families that load or run and are refused: what the sentence says, and why."""

UNBUILT = {
    "gemma3n": "its configuration wants the package timm; its text model is gemma3n_text",
    "gemma4_assistant": "it drafts for another model, whose keys and values it wants",
    "blt": "it reads bytes in patches that a second model cuts, whose sizes hang on each other",
    "musicgen": (
        "its decoder says codes of sound, and is not built from the family's own configuration"
    ),
    "musicgen_melody": (
        "its decoder says codes of sound, and is not built from the family's own configuration"
    ),
}
"""Families that are not built small here, and why."""


@functools.cache
def built(name: str) -> Any:
    """`module` as the workbench sees it, with the tiny tokenizer.

    One for all tests: leave it as it is.
    """
    import workbench as wb

    return wb.load((module(name), tiny_tokenizer()))


def module(name: str, seed: int = 0) -> Any:
    """A small random model of the family, in eval mode; the same for the same seed."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(), contextlib.redirect_stdout(io.StringIO()):
        torch.manual_seed(seed)
        built = AutoModelForCausalLM.from_config(config(name))
        # The library's small start makes such a model nearly linear; tests must be able to see
        # attention at work.
        for parameter in built.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return built.eval()


def config(name: str) -> Any:
    """The family's configuration with small sizes."""
    from transformers import CONFIG_MAPPING

    return _small(CONFIG_MAPPING[name], SPECIAL.get(name, {}))


def _small(kind: Any, special: dict[str, Any]) -> Any:
    """A configuration of this kind, and of the parts that it has configurations for (text,
    images, sound).
    """
    usual = kind()
    known = set(usual.to_dict()) | set(kind.attribute_map)
    sizes = {k: v for k, v in SIZES.items() if k in known and isinstance(_value(usual, k), int)}
    sizes |= {
        k: 3
        for k in LAYERS
        if k in known and isinstance(_value(usual, k), int) and k not in kind.attribute_map
    }
    for part in kind.sub_configs:
        whole = getattr(usual, part, None)
        if whole is not None and part not in special:
            sizes[part] = _small(type(whole), SPECIAL.get(whole.model_type, {}))
    sizes |= special
    for name in sizes.pop("_drop", ()):  # worked out from the others
        sizes.pop(name, None)
    return kind(**sizes)


def _value(usual: Any, name: str) -> Any:
    """A configuration's own value; None where it differs from layer to layer."""
    try:
        return getattr(usual, name, None)
    except (AttributeError, RuntimeError):
        return None

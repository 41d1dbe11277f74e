"""Models that do not read from left to right are refused where they come in."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from tests.helpers.tiny import VOCABULARY, tiny_gpt2, tiny_llama, tiny_tokenizer
from workbench.errors import BadInput, NotFinite

_BERT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def built(kind, config, **options):
    import transformers

    torch.manual_seed(0)
    return getattr(transformers, kind)(getattr(transformers, config)(**{**_BERT, **options})).eval()


def gemma3(**options):
    return built(
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        head_dim=8,
        num_key_value_heads=2,
        sliding_window=4,
        **options,
    )


BIDIRECTIONAL = {
    "an encoder": lambda: built("BertForMaskedLM", "BertConfig"),
    "a decoder's class without is_decoder": lambda: built(
        "BertLMHeadModel", "BertConfig", is_decoder=False
    ),
    "another": lambda: built("RobertaForCausalLM", "RobertaConfig", is_decoder=False),
    "two-sided attention in a decoder": lambda: gemma3(use_bidirectional_attention=True),
    "permutations": lambda: built(
        "XLNetLMHeadModel",
        "XLNetConfig",
        vocab_size=VOCABULARY,
        d_model=32,
        n_layer=2,
        n_head=4,
        d_inner=64,
    ),
}


@pytest.mark.parametrize("what", BIDIRECTIONAL)
def test_refused(what):
    with pytest.raises(BadInput, match="left to right"):
        wb.load((BIDIRECTIONAL[what](), tiny_tokenizer()))


def test_refused_from_a_folder(tmp_path):
    built("BertLMHeadModel", "BertConfig", is_decoder=False).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="left to right"):
        wb.load(tmp_path)


def test_an_encoder_with_a_decoder_is_refused():
    for kind, config in (
        ("T5ForConditionalGeneration", "T5Config"),
        ("BartForConditionalGeneration", "BartConfig"),
    ):
        sizes = {"d_model": 32, "d_ff": 64, "num_layers": 2, "num_heads": 4, "d_kv": 8}
        sizes |= {
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
        }
        with pytest.raises(BadInput, match="encoder"):
            wb.load((built(kind, config, **sizes), tiny_tokenizer()))


def test_decoders_are_taken():
    for module in (
        built("BertLMHeadModel", "BertConfig", is_decoder=True),
        gemma3(),
        tiny_gpt2(),
        tiny_llama().bfloat16(),
    ):
        assert wb.load((module, tiny_tokenizer())).card.n_layers >= 2


def test_weights_of_which_nothing_can_be_told_are_left_to_who_looks_at_them():
    module = tiny_llama()
    module.model.layers[1].mlp.down_proj.weight.data[0, 0] = float("nan")
    model = wb.load((module, tiny_tokenizer()))
    with pytest.raises(NotFinite):
        model.next_tokens("The")

"""A table of positions ends, and what is longer is refused before anything runs; other models
run on, and it is said.
"""

from __future__ import annotations

import warnings

import pytest
import torch

import workbench as wb
from hooks.context_window import PastWindow, rows_of_table
from hooks.decode import InterventionDecoder
from tests.helpers import families
from tests.helpers.tiny import tiny_tokenizer
from workbench.errors import BadInput

TABLES = {"biogpt", "codegen", "ctrl", "gpt2", "gpt_bigcode", "gpt_neo", "gptj", "mpt", "opt"}
NONE = {"llama", "gpt_neox", "falcon", "xglm", "minimax", "gemma3_text", "phi3", "bloom"}


def short(name, positions=16):
    """A family's model with few positions."""
    config = families.config(name)
    for field in ("max_position_embeddings", "n_positions", "max_seq_len"):
        if hasattr(config, field):
            setattr(config, field, positions)
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("name", sorted(TABLES | NONE))
def test_the_rule_says_what_the_module_does(name):
    module = short(name)
    rule = rows_of_table(module, 16)
    ids = torch.arange(1, 20)[None]
    try:
        with torch.no_grad():
            module(input_ids=ids, use_cache=False)
        runs = True
    except (IndexError, RuntimeError):
        runs = False
    assert runs == (rule is None) == (name in NONE)


def test_what_does_not_fit_is_refused_before_anything_runs():
    model = wb.load((short("gpt2"), tiny_tokenizer()))
    prompt, long = [5, 6, 7], list(range(1, 18))
    text = model.tokenizer.decode(prompt)
    assert model.tokens(text) == prompt
    ran = []
    handle = model.module.transformer.wte.register_forward_pre_hook(
        lambda _, args: ran.append(args[0].shape[-1])
    )
    refused = [
        lambda: model.generate(text, max_new_tokens=15),
        lambda: model.next_logits([long]),
        lambda: wb.capture(model, [long]),
        lambda: wb.capture(model, [prompt, long]),
        lambda: wb.estimate(model, [long]),
        lambda: wb.sweep(model, [long], [5]),
        lambda: wb.sweep(model, [prompt], [list(range(1, 16))], read="continuation"),
        lambda: wb.activation_gradients(model, [long]),
        lambda: wb.gradient_norms(model, [model.tokenizer.decode(long) * 3]),
        lambda: wb.integrated_gradients(model, model.tokenizer.decode(long) * 3),
        lambda: wb.influence(model, text, [model.tokenizer.decode(long) * 3]),
        lambda: InterventionDecoder(model, [long]),
    ]
    for what in refused:
        with pytest.raises(BadInput, match="no positions past 16"):
            what()
    assert not ran  # but for what finds out about the model, which no hook of ours sees
    with InterventionDecoder(model, [prompt]).with_head_scales() as reading:
        for ask in (
            lambda: reading.complete(lambda row, said: False, 15),
            lambda: reading.logp([long]),
        ):
            with pytest.raises(BadInput, match="no positions past 16"):
                ask()
    handle.remove()
    assert len(model.next_logits([list(range(16))])) == 1
    assert model.generate(text, max_new_tokens=14) is not None  # the last new token is not read


def test_past_the_window_of_a_rotary_model_runs_and_is_said():
    model = wb.load((short("llama"), tiny_tokenizer()))
    long = list(range(1, 25))
    with pytest.warns(
        PastWindow, match="24 tokens were read at once, and the window of LlamaForCausalLM is 16"
    ):
        found = model.next_logits([long])
    with torch.no_grad():
        torch.testing.assert_close(
            found[0], model.module(input_ids=torch.tensor([long])).logits[0, -1]
        )
    with warnings.catch_warnings():  # once is enough
        warnings.simplefilter("error")
        model.next_logits([long])
    text = model.tokenizer.decode(long)
    result = wb.run("inside", model, {"prompt": text})
    assert "past it" in result.provenance.notes["window"]
    assert (
        "window"
        not in wb.run(
            "inside", model, {"prompt": model.tokenizer.decode(long[:6])}
        ).provenance.notes
    )


def test_generating_past_the_window_is_said():
    model = wb.load((short("llama"), tiny_tokenizer()))
    with pytest.warns(PastWindow):
        model.generate("The", max_new_tokens=30)
    assert model.longest > 16

"""The fast sweeps equal one full, hooked forward pass per head."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch
from test_capture import hooks_on

import workbench as wb
from hooks import sweep
from hooks.decode import Completer
from workbench.errors import WorkbenchError

PROMPT = "Question: What is the capital city of Peru?\nAnswer: The capital city of Peru is"
OTHER = "Question: What is the capital city of Italy?\nAnswer: The capital city of Italy is"
TARGETS = [5, 77, 200]


def loop(model, ids, values, *, direct):
    """One hooked forward pass per head, the plain way. `values` is (layer, head, d_head)."""
    own = sweep.last_z(model, [ids])[0]
    base = model.next_logits([ids])[0, TARGETS]
    out = torch.zeros(model.n_layers, model.n_heads, len(TARGETS))
    for layer, head in model.heads():
        with ExitStack() as stack:
            for later in range(layer, model.n_layers):
                if later > layer and not direct:
                    break

                def change(module, args, later=later, layer=layer, head=head):
                    x = args[0].clone().view(*args[0].shape[:-1], model.n_heads, model.d_head)
                    if direct:
                        x[:, -1] = own[later]
                    if later == layer:
                        x[:, -1, head] = values[layer, head]
                    return (x.flatten(-2),)

                handle = model.layout.blocks[later].out_proj.register_forward_pre_hook(change)
                stack.callback(handle.remove)
            out[layer, head] = model.next_logits([ids])[0, TARGETS] - base
    return out


@pytest.mark.parametrize("text", [PROMPT, "a", "The capital of France is"])
def test_last_position_equals_the_loop(model, text):
    ids = model.tokens(text)
    source = sweep.last_z(model, [model.tokens(OTHER)])[0]
    variants = [
        sweep.Variant("path", source, direct=True),
        sweep.Variant("total", source, direct=False),
        sweep.Variant("zero", None, direct=False),
    ]
    got = sweep.at_last(model, ids, TARGETS, variants)
    zero = torch.zeros_like(source)
    for n, (values, direct) in enumerate([(source, True), (source, False), (zero, False)]):
        torch.testing.assert_close(got[n], loop(model, ids, values, direct=direct), atol=1e-4, rtol=1e-4)
    assert got.abs().max() > 1e-3  # the comparison would pass on nothing but zeros
    assert hooks_on(model) == 0


def test_a_heads_own_value_changes_nothing(model):
    ids = model.tokens(PROMPT)
    own = sweep.last_z(model, [ids])[0]
    for direct in (True, False):
        got = sweep.at_last(model, ids, TARGETS, [sweep.Variant("self", own, direct=direct)])
        assert got.abs().max() < 1e-5


def test_everywhere_equals_ablation_at_all_positions(model):
    prompts = [model.tokens(PROMPT), model.tokens("The capital of France is")]
    targets = [[5, 77], [9, 200]]
    heads = [(0, 1), (1, 3), (2, 0)]
    got = sweep.everywhere(model, prompts, targets, heads)
    for row, (ids, watched) in enumerate(zip(prompts, targets, strict=True)):
        base = model.next_logits([ids])[0, watched]
        for n, head in enumerate(heads):
            with wb.ablate(model, heads=[head]):
                want = model.next_logits([ids])[0, watched] - base
            torch.testing.assert_close(got[row, n], want, atol=1e-4, rtol=1e-4)


def test_sliding_windows_and_soft_caps():
    """Alternating windows, attention and final soft-caps, norms after each half: Gemma 2's block."""
    import tiny
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=tiny.VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, sliding_window=6, query_pre_attn_scalar=8, max_position_embeddings=256,
        pad_token_id=0, bos_token_id=0, eos_token_id=0, attn_implementation="eager",
    )  # fmt: skip
    module = Gemma2ForCausalLM(config).eval()
    for p in module.parameters():
        p.data.mul_(3)
    model = wb.load((module, tiny.tiny_tokenizer()))
    ids = model.tokens(PROMPT)
    source = sweep.last_z(model, [model.tokens(OTHER)])[0]
    got = sweep.at_last(model, ids, TARGETS, [sweep.Variant("t", source, direct=False), sweep.Variant("p", source, direct=True)])
    torch.testing.assert_close(got[0], loop(model, ids, source, direct=False), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got[1], loop(model, ids, source, direct=True), atol=1e-4, rtol=1e-4)
    assert got.abs().max() > 1e-3


def test_completions_under_a_change_equal_generate(model):
    texts = [PROMPT, "The capital of France is", "Nobody"]
    completer = Completer(model, [model.tokens(t) for t in texts])
    for factors in ({}, {(1, 2): 0.0}, {(0, 0): 0.0, (2, 3): 2.0}):
        with completer.under(factors) as reading:
            got = reading.complete(lambda row, text: False, max_new_tokens=6)
            assert reading.complete(lambda row, text: False, max_new_tokens=6) == got
        for text, said in zip(texts, got, strict=True):
            with ExitStack() as stack:
                for head, factor in factors.items():
                    stack.enter_context(wb.scale(model, heads=[head], factor=factor))
                assert said.text == model.generate(text, max_new_tokens=6)
    assert hooks_on(model) == 0


def test_finished_prompts_leave_the_others_as_they_were(model):
    texts = [PROMPT, "The capital of France is", "Nobody"]
    completer = Completer(model, [model.tokens(t) for t in texts])
    with completer.under() as reading:
        whole = reading.complete(lambda row, text: False, max_new_tokens=6)
        some = reading.complete(lambda row, text: row == 1, max_new_tokens=6)
    assert [some[0], some[2]] == [whole[0], whole[2]]
    assert whole[1].text.startswith(some[1].text)
    assert [c.first for c in some] == [int(model.next_logits(t).argmax()) for t in texts]


def test_answers_are_scored_like_a_full_pass(model):
    texts, answers = [PROMPT, "Nobody"], [" Lima, and", " x"]
    ids = [model.tokens(t) for t in texts]
    wanted = [model.continuation_tokens(a) for a in answers]
    for factors in ({}, {(1, 2): 0.0}):
        with Completer(model, ids, batch_size=1).under(factors) as reading:
            first, whole = reading.logp(wanted)
        for row in range(2):
            total = 0.0
            with wb.scale(model, heads=list(factors), factor=0.0):
                for n, token in enumerate(wanted[row]):
                    each = model.next_logits([ids[row] + wanted[row][:n]])[0].log_softmax(-1)[token]
                    total += float(each)
                    if n == 0:
                        assert float(first[row]) == pytest.approx(float(each), abs=1e-4)
            assert float(whole[row]) == pytest.approx(total, abs=1e-4)


def test_a_family_that_breaks_the_identity_is_refused(llama, monkeypatch):
    monkeypatch.setattr(sweep, "_attend", lambda call, recorded, rows: torch.zeros_like(call.query[rows, :, 0]))
    with pytest.raises(WorkbenchError, match="does not reproduce"):
        sweep.at_last(llama, llama.tokens(PROMPT), TARGETS, [sweep.Variant("zero", None, direct=False)])

"""Causal tracing and attention knockout equal one hooked pass per number."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from hooks.attention import attention_taps
from hooks.sweeps.knockout import knock_out
from hooks.sweeps.restoration import CorruptedPrompt, Restored, restore
from tests.helpers import families, plain_loop, tiny
from workbench.errors import BadInput, Unfit

PROMPTS = ["The capital of France is", "Nobody remembers what the safe opens with"]
SUBJECTS = [(3, 5), (1, 3)]
TARGET = 77


def built(name):
    return wb.load((families.module(name), tiny.tiny_tokenizer()))


def corrupted(model, std=1.0):
    made = []
    for n, (text, (start, end)) in enumerate(zip(PROMPTS, SUBJECTS, strict=True)):
        ids = model.tokens(text)
        noise = torch.zeros(len(ids), model.card.d_model)
        draw = torch.Generator().manual_seed(n)
        noise[start:end] = std * torch.randn(end - start, noise.shape[1], generator=draw)
        made.append(CorruptedPrompt(ids, ids, start, TARGET, noise))
    return made


def probability(model, ids, changes):
    return float(plain_loop.run(model, ids, changes).softmax(-1)[TARGET])


def adding(noise):
    return lambda x: x.add_(noise.to(x))


def looped(model, prompt, part):
    """One hooked pass per token and layer."""
    site = part.sites[0]
    ids = list(prompt.clean)
    layers = range(model.n_layers)
    clean = {layer: plain_loop.values(model, ids, site, layer) for layer in layers}
    noisy = [("resid_pre", 0, adding(prompt.noise))]
    own = {}
    for severed in part.severed:
        for layer in layers:
            kept = []
            take = (severed, layer, lambda x, kept=kept: kept.append(x[0].clone()))
            plain_loop.run(model, ids, [*noisy, take])
            own[severed, layer] = kept[0]
    out = torch.empty(len(layers), len(ids) - prompt.first)
    for centre in layers:
        window = part.window_at(model, centre)
        for pos in range(prompt.first, len(ids)):
            changes = [(site, n, plain_loop.set_to(clean[n], [pos])) for n in window]
            changes += [
                (severed, n, plain_loop.set_to(values, [pos]))
                for (severed, n), values in own.items()
                if n >= window[0]
            ]
            out[centre, pos - prompt.first] = probability(model, ids, [*noisy, *changes])
    return probability(model, ids, []), probability(model, ids, noisy), out


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3_text", "mamba", "gpt_neox"])
def test_restoring_equals_a_loop_of_hooked_passes(name):
    model = built(name)
    parts = [Restored()]
    if "mlp_out" in model.sites:
        parts += [
            Restored(("mlp_out",), window=2),
            Restored(("attn_out", "mixer_out"), window=3),
            Restored(severed=("mlp_out",)),
            Restored(severed=("attn_out",)),
        ]
    prompts = corrupted(model)
    found = restore(model, prompts, parts)
    for n, prompt in enumerate(prompts):
        for part, restored in zip(parts, found.restored, strict=True):
            clean, noisy, wanted = looped(model, prompt, part)
            assert float(found.clean[n]) == pytest.approx(clean, abs=1e-6)
            assert float(found.corrupted[n]) == pytest.approx(noisy, abs=1e-6)
            torch.testing.assert_close(restored[n], wanted, atol=2e-6, rtol=1e-3)
            assert (restored[n] - noisy).abs().max() > 1e-5


@pytest.mark.filterwarnings("ignore::hooks.rounding.UnclearEffects")
def test_no_noise_has_no_effect_and_all_states_at_the_first_layer_give_the_clean_run(model):
    still = restore(model, corrupted(model, std=0.0), [Restored()])
    torch.testing.assert_close(still.clean, still.corrupted, atol=1e-7, rtol=1e-5)
    prompts = corrupted(model)
    # Of a subject of one token, its state at the first layer is all that was corrupted.
    one = [
        CorruptedPrompt(p.clean, p.corrupted, p.first + 1, p.target, p.noise.clone())
        for p in prompts
    ]
    for p in one:
        p.noise[: p.first] = 0
    found = restore(model, one, [Restored(layers=(0,))])
    for n in range(len(one)):
        assert float(found.restored[0][n][0, 0]) == pytest.approx(float(found.clean[n]), abs=1e-7)


def test_another_subject_is_a_corruption_too(llama):
    ids, other = llama.tokens("The capital of France is"), llama.tokens("The capital of France is")
    other[3] += 1
    found = restore(llama, [CorruptedPrompt(ids, other, 3, TARGET)], [Restored()])
    assert float(found.corrupted[0]) == pytest.approx(probability(llama, other, []), abs=1e-6)
    values = plain_loop.values(llama, ids, "resid_pre", 1)
    change = ("resid_pre", 1, plain_loop.set_to(values, [len(ids) - 1]))
    wanted = probability(llama, other, [change])
    assert float(found.restored[0][0][1, -1]) == pytest.approx(wanted, abs=1e-6)


def blocked(model, ids, layers, keys):
    """One pass in which the last token does not see some."""

    def block(call):
        scores = call.scores()
        scores[:, :, -1, keys] = float("-inf")
        call.given_scores = scores

    with attention_taps(model.layout, dict.fromkeys(layers, block)), torch.no_grad():
        logits = model.module(torch.tensor([ids]), use_cache=False).logits[0, -1]
    return float(logits.float().softmax(-1)[TARGET])


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3_text", "gpt_neox"])
def test_blocking_equals_a_loop_of_hooked_passes(name):
    model = built(name)
    ids = [model.tokens(text) for text in PROMPTS]
    spans = [
        {"subject": range(*at), "itself": [len(row) - 1], "nothing": []}
        for row, at in zip(ids, SUBJECTS, strict=True)
    ]
    found = knock_out(model, ids, [TARGET] * 2, spans, window=2)
    for n, row in enumerate(ids):
        assert float(found.before[n]) == pytest.approx(probability(model, row, []), abs=1e-6)
        assert torch.equal(found.after[n, 2], found.before[n].expand(len(found.layers)))
        for centre in found.layers:
            layers = [layer for layer in found.layers if centre - 1 <= layer < centre + 1]
            for span, name in enumerate(["subject", "itself"]):
                wanted = blocked(model, row, layers, list(spans[n][name]))
                assert float(found.after[n, span, centre]) == pytest.approx(wanted, abs=1e-6)
    assert (found.after[:, 0] - found.before[:, None]).abs().max() > 1e-5


def test_what_cannot_be_traced_is_said(llama):
    with pytest.raises(BadInput, match="no prompt"):
        restore(llama, [], [Restored()])
    with pytest.raises(BadInput, match="2 as it is"):
        restore(llama, [CorruptedPrompt([1, 2, 3], [1, 2], 0, 5)], [Restored()])
    with pytest.raises(BadInput, match="Nothing is corrupted"):
        restore(llama, [CorruptedPrompt([1, 2], [1, 2], 2, 5)], [Restored()])
    with pytest.raises(BadInput, match="no position 9"):
        knock_out(llama, [[1, 2]], [5], [{"subject": [9]}])
    with pytest.raises(BadInput, match="different spans"):
        knock_out(llama, [[1, 2], [1, 2]], [5, 5], [{"a": [0]}, {"b": [0]}])
    with pytest.raises(Unfit, match="no attention"):
        knock_out(built("mamba"), [[1, 2]], [5], [{"subject": [0]}])

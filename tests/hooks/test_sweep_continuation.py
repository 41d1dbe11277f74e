"""Sweeps that read a whole continuation, against one plain forward pass per change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from hooks import sweep
from hooks.metrics import continuation_loss, loss
from tests.helpers import families, tiny
from workbench.errors import BadInput

PREFIXES = ["Question: What is the capital", "The safe opens with 7 4 1"]
SUFFIXES = [" city of Peru? Ans", " 9, and the other "]


def read(model, prompt, suffix):
    """(leading tokens said, loss) of a suffix, the plain way."""
    with torch.no_grad():
        logits = model.module(
            input_ids=torch.tensor([[*prompt, *suffix[:-1]]]), use_cache=False
        ).logits[0, -len(suffix) :]
    wanted = torch.tensor(suffix)
    match = (logits.argmax(-1) == wanted).long().cumprod(0).sum()
    return torch.tensor(
        [float(match), float(torch.nn.functional.cross_entropy(logits.float(), wanted))]
    )


def pairs(model, length=6):
    """Prompts and suffixes of which the model says the first few tokens: its own continuation,
    with one token changed.
    """
    prompts = [model.tokens(text) for text in PREFIXES]
    suffixes = []
    for n, prompt in enumerate(prompts):
        ids = list(prompt)
        for _ in range(length):
            with torch.no_grad():
                ids.append(
                    int(
                        model.module(input_ids=torch.tensor([ids]), use_cache=False)
                        .logits[0, -1]
                        .argmax()
                    )
                )
        own = ids[len(prompt) :]
        own[3 + n] = (own[3 + n] + 1) % 380
        suffixes.append(own)
    return prompts, suffixes


WITH_HEADS = ["llama", "gpt2", "neox", "jamba", "gemma2", "qwen3"]


@pytest.fixture
def any_model(request):
    if request.param in ("llama", "gpt2", "neox"):
        return request.getfixturevalue(request.param)
    return wb.load((families.module(request.param), tiny.tiny_tokenizer()))


@pytest.mark.parametrize("any_model", WITH_HEADS, indirect=True)
def test_heads_on_a_continuation_equal_the_loop(any_model):
    prompts, suffixes = pairs(any_model)
    found = sweep(any_model, prompts, suffixes, read="continuation", positions="all")
    assert list(found["target"].values) == ["match", "loss"]
    for n, (prompt, suffix) in enumerate(zip(prompts, suffixes, strict=True)):
        base = read(any_model, prompt, suffix)
        assert base[0] == 3 + n
        torch.testing.assert_close(
            torch.tensor(found["before"].values[n]).float(), base, atol=1e-4, rtol=1e-4
        )
        for layer, head in any_model.heads():
            with wb.ablate(any_model, [(layer, head)]):
                want = read(any_model, prompt, suffix) - base
            got = torch.tensor(found["effect"].sel(prompt=n, layer=layer, head=head).values).float()
            torch.testing.assert_close(got, want, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("any_model", [*WITH_HEADS, "mamba"], indirect=True)
def test_replacing_tokens_is_patching_the_first_stream(any_model):
    prompts, suffixes = pairs(any_model)
    sources = [[(token * 7 + 11) % 380 for token in prompt] for prompt in prompts]
    where = [0, 2, len(prompts[0]) - 1]
    found = sweep(
        any_model,
        prompts,
        suffixes,
        over=wb.Positions("resid_pre", 0),
        change=wb.Patch(sources),
        read="continuation",
        positions=where,
    )["effect"]
    assert sorted(found["pos"].values) == sorted(where)  # nothing else was run
    for n, (prompt, suffix) in enumerate(zip(prompts, suffixes, strict=True)):
        base = read(any_model, prompt, suffix)
        for pos in where:
            if pos >= len(prompt):
                continue
            changed = [*prompt[:pos], sources[n][pos], *prompt[pos + 1 :]]
            got = torch.tensor(found.sel(prompt=n, pos=pos).squeeze().values).float()
            torch.testing.assert_close(
                got, read(any_model, changed, suffix) - base, atol=2e-4, rtol=1e-4
            )


def test_a_text_may_be_given_as_text(llama):
    ids = [llama.continuation_tokens(s) for s in SUFFIXES]
    shortest = min(map(len, ids))
    assert shortest > 3
    one = sweep(llama, PREFIXES[:1], [SUFFIXES[0]], read="continuation", positions="all")
    other = sweep(llama, PREFIXES[:1], [ids[0]], read="continuation", positions="all")
    assert one["effect"].equals(other["effect"])
    assert one["token"].values.shape[1] == len(llama.tokens(PREFIXES[0])) + len(ids[0]) - 1


@pytest.mark.parametrize("other", [{"over": "edges"}, {"method": "attribution"}])
def test_what_reads_one_position_only_is_refused(llama, other):
    with pytest.raises(BadInput, match="every token"):
        sweep(llama, PREFIXES, [[5, 6], [7, 8]], read="continuation", **other)
    with pytest.raises(BadInput, match="every token"):
        sweep(llama, PREFIXES, read=loss, **other)
    with pytest.raises(BadInput, match="every token"):
        sweep(llama, PREFIXES, read=wb.Custom(loss, norm="frozen"))


@pytest.mark.parametrize("positions", ["last", "all", [1, -2]])
def test_a_loss_is_read_at_every_token(llama, positions):
    """The metrics of gradients in a sweep, beside the same function of the module's own logits."""
    texts = [*PREFIXES, "Nobody remembers what the model was"]
    for metric in (loss, continuation_loss(3)):
        swept = sweep(llama, texts, read=metric, positions=positions)
        for row, text in enumerate(texts):
            ids = torch.tensor([llama.tokens(text)])

            def plain(ids=ids, metric=metric):
                with torch.no_grad():
                    logits = llama.module(input_ids=ids, use_cache=False).logits
                return metric(logits, ids, torch.ones_like(ids))[0]

            base = plain()
            np.testing.assert_allclose(swept["before"][row], base, atol=1e-4)
            for layer, head in llama.heads()[::3]:
                where = None if positions == "all" else [-1] if positions == "last" else positions
                with wb.ablate(llama, [(layer, head)], positions=where):
                    want = plain() - base
                got = swept["effect"].sel(prompt=row, layer=layer, head=head)
                np.testing.assert_allclose(got, want, atol=2e-4)
        assert float(abs(swept["effect"]).max()) > 1e-3 or positions == "last"
    with pytest.raises(BadInput, match="Prompt 2 has 1 token"):
        sweep(llama, [PREFIXES[0], [5]], read=loss)


def test_suffixes_of_different_lengths_and_wrong_sources_are_refused(llama):
    with pytest.raises(BadInput, match="targets"):
        sweep(llama, PREFIXES, [[5, 6], [7]], read="continuation")
    with pytest.raises(BadInput, match="targets"):
        sweep(llama, PREFIXES, read="continuation")
    with pytest.raises(BadInput, match="sources"):
        sweep(llama, [*PREFIXES, "a"], [[5, 6]] * 3, change=wb.Patch(PREFIXES), read="continuation")

"""What is generated is what the logits say: compared with a plain loop over the raw module, and
with its softmax.
"""

from __future__ import annotations

import threading

import pytest
import torch
from transformers import GenerationConfig

import workbench as wb
from hooks.decode import InterventionDecoder
from hooks.generation import continued, end_tokens
from tests.helpers.tiny import tiny_gpt2, tiny_llama, tiny_tokenizer
from workbench.errors import BadInput, NotFinite

PROMPT = "The capital of France is"


def plainly(module, ids, n, ends=()):
    """Greedy decoding without any cache."""
    ids = list(ids)
    for _ in range(n):
        with torch.no_grad():
            ids.append(
                int(module(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            )
        if ids[-1] in ends:
            break
    return ids


LEAKS = {
    "repetition_penalty": 1.3,
    "no_repeat_ngram_size": 2,
    "num_beams": 3,
    "suppress_tokens": list(range(60, 120)),
    "begin_suppress_tokens": list(range(60, 120)),
    "forced_eos_token_id": 0,
    "guidance_scale": 1.5,
    "exponential_decay_length_penalty": (1, 3.0),
    "do_sample": True,
    "min_length": 40,
    "stop_strings": ["e"],
    "return_dict_in_generate": True,
    "cache_implementation": "static",
    "bad_words_ids": [[70], [71]],
    "sequence_bias": [[[72], 9.0]],
    "max_time": 1e-9,
}


@pytest.mark.parametrize("name", LEAKS)
def test_nothing_of_a_generation_config_changes_the_text(name):
    module = tiny_gpt2()
    ids = tiny_tokenizer()(PROMPT)["input_ids"]
    want = plainly(module, ids, 12, ends=(0,))[len(ids) :]
    setattr(module.generation_config, name, LEAKS[name])
    model = wb.load((module, tiny_tokenizer()))
    pieces = []
    said = model.generate(PROMPT, max_new_tokens=12, on_token=pieces.append)
    assert said == "".join(pieces) == model.tokenizer.decode(want, skip_special_tokens=True)
    assert (
        getattr(module.generation_config, name) == LEAKS[name]
    )  # and it is there again afterwards


def test_a_draw_is_from_the_whole_softmax():
    module = tiny_llama()
    module.generation_config = GenerationConfig(
        top_k=2, top_p=0.3, min_p=0.2, temperature=0.1, typical_p=0.2
    )
    model = wb.load((module, tiny_tokenizer()))
    ids = torch.tensor([model.tokens(PROMPT)] * 4000)
    with torch.no_grad():
        want = torch.softmax(module(input_ids=ids[:1]).logits[0, -1] / 0.7, -1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = continued(model, ids, 1, temperature=0.7)[:, 0]
    found = torch.bincount(drawn, minlength=len(want)) / len(drawn)
    assert (found - want).abs().sum() / 2 < 0.15  # total variation: 0.03 to 0.1 from drawing alone
    assert len(set(drawn.tolist())) > 50


def test_every_end_token_ends_it():
    module = tiny_llama()
    ids = tiny_tokenizer()(PROMPT)["input_ids"]
    free = plainly(module, ids, 12)[len(ids) :]
    end = next(token for token in free[2:] if token not in free[:2])
    module.generation_config.eos_token_id = [0, end]
    model = wb.load((module, tiny_tokenizer()))
    assert end_tokens(model) == tuple(sorted({0, end}))
    want = free[: free.index(end)]
    assert (
        model.generate(PROMPT, max_new_tokens=12).rstrip()
        == model.tokenizer.decode([*want, end]).rstrip()
    )
    with InterventionDecoder(model, [ids]).with_head_scales() as reading:
        assert reading.complete(lambda row, text: False, 12)[0].text == model.tokenizer.decode(want)


def test_completing_under_a_change_says_what_generate_says():
    module = tiny_gpt2()
    module.generation_config.repetition_penalty = 2.0
    model = wb.load((module, tiny_tokenizer()))
    with InterventionDecoder(model, [model.tokens(PROMPT)]).with_head_scales(
        {(1, 1): 0.0}
    ) as reading:
        completed = reading.complete(lambda row, text: False, 8)[0].text
    with wb.scale(model, [(1, 1)], factor=0.0):
        assert completed == model.generate(PROMPT, max_new_tokens=8)


def test_pieces_of_a_text_that_ends_inside_a_character():
    cut = 0
    for seed in range(12):
        model = wb.load((tiny_gpt2(seed=seed), tiny_tokenizer()))
        pieces = []
        whole = model.generate("The", max_new_tokens=12, on_token=pieces.append)
        assert "".join(pieces) == whole
        cut += whole.endswith("\ufffd")
    assert cut  # some of them do


def test_pieces_where_bytes_are_read_together():
    """A byte that fits nothing makes all bytes before it unreadable, in tokenizers that fall
    back to bytes.
    """
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocab = {"<unk>": 0, "a": 1, **{f"<0x{i:02X}>": 2 + i for i in range(256)}}
    raw = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    raw.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    model = wb.load(
        (tiny_llama(), PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>"))
    )
    assert model.layout.blocks  # found before the logits are rigged
    said = [1, 2 + 0x0A, 2 + 0xC3, 2 + 0xA9, 2 + 0xE2, 1, 2 + 0x21]
    left = iter(said)

    def rigged(module, args, output):
        output.logits[:, -1] = torch.nn.functional.one_hot(
            torch.tensor(next(left)), output.logits.shape[-1]
        ).float()

    handle = model.module.register_forward_hook(rigged)
    try:
        pieces = []
        whole = model.generate("a", max_new_tokens=len(said), on_token=pieces.append)
    finally:
        handle.remove()
    assert "".join(pieces) == whole == model.tokenizer.decode(said)


def test_how_many_tokens_and_which_temperature():
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    assert model.generate(PROMPT, max_new_tokens=0) == ""
    with pytest.raises(BadInput, match="-1 new tokens"):
        model.generate(PROMPT, max_new_tokens=-1)
    for temperature in (-1.0, float("nan"), float("inf"), 1e-30):
        with pytest.raises(BadInput, match="temperature"):
            model.generate(PROMPT, temperature=temperature)


def test_two_threads_leave_the_generation_config_as_it_was():
    module = tiny_gpt2()
    config = module.generation_config
    model, other = wb.load((module, tiny_tokenizer())), wb.load((module, tiny_tokenizer()))
    assert len(model.layout.blocks) == len(other.layout.blocks)  # found before the threads run
    threads = [threading.Thread(target=m.generate, args=(PROMPT, 6)) for m in (model, other) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert module.generation_config is config


def test_numbers_that_stop_being_finite_on_the_way_are_not_said():
    model = wb.load((tiny_llama(), tiny_tokenizer()))
    model.layout  # noqa: B018 - found while the module is sound
    calls = []

    def spoil(module, args, output):
        calls.append(1)
        if len(calls) == 3:
            output.logits[:, -1, 5] = float("nan")

    handle = model.module.register_forward_hook(spoil)
    pieces = []
    try:
        for temperature in (0.0, 1.0):
            calls.clear()
            with pytest.raises(NotFinite):
                model.generate(
                    PROMPT, max_new_tokens=6, temperature=temperature, on_token=pieces.append
                )
    finally:
        handle.remove()
    assert len(pieces) <= 4

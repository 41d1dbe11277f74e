"""A document outside of the prompt: what is nearest by a plain loop, masks that hide the rest."""

from __future__ import annotations

import torch

import workbench as wb
from hooks.kv_cache.reading import read_context
from hooks.kv_cache.shared_rows import ask, question_keys
from hooks.memory_modules.document_memory import DocumentMemory
from tests.helpers import tiny


def test_a_question_reads_the_nearest_tokens_and_no_others() -> None:
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    ids = model.tokens("The capital of Peru is Lima. The capital of Italy is Rome.")
    half = len(ids) // 2
    memory = DocumentMemory(read_context(model, ids), [(0, half), (half, len(ids))])
    question = model.continuation_tokens(" The capital of Peru is")
    nearest = memory.nearest(question, 3)
    heads = model.n_heads // model.n_kv_heads
    for layer, (_, queries) in question_keys(memory.context, question).items():
        keys = memory.context.layers[layer].keys
        for head in range(len(keys)):
            best = []
            for pos in range(1, len(ids)):
                likeness = [
                    float(torch.cosine_similarity(query, keys[head, pos], dim=0))
                    for query in queries[heads * head : heads * (head + 1)].flatten(0, 1)
                ]
                best.append((max(likeness), pos))
            wanted = {pos for _, pos in sorted(best)[-3:]}
            assert set(nearest[layer][head].tolist()) == wanted
    share = memory.share_in(nearest, 0)[0]
    assert share == float((nearest[0] < half).float().mean())
    whole, masked, none = ask(
        memory.context,
        [None, memory.mask(None), memory.mask(nearest, ())],
        [question] * 3,
    )
    assert torch.allclose(whole, masked, atol=1e-5)
    assert not torch.allclose(whole, none, atol=1e-3)
    mask = memory.mask(nearest, {1})
    assert int(mask[0].sum()) == model.n_kv_heads  # the first token alone
    assert int(mask[1].sum()) == 4 * model.n_kv_heads
    lot = memory.at_random(3, 0)
    assert all(
        int(index.min()) >= 1 and index.shape == (model.n_kv_heads, 3) for index in lot.values()
    )

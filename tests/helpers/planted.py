"""A model whose truth is known: one head remembers, one head copies from the context, the rest do
nothing of use.

Built by hand, not trained. Two layers of four heads over one-hot embeddings, no positions, no MLP.
At the last "is", L1H2 looks at the subject and writes that subject's answer with a strength of
`memory[i]`; L1H1 looks at the answer in the context and writes it again with strength `CONTEXT`. So
with a context the i-th fact is answered from memory exactly when memory[i] > CONTEXT, without L1H1
always from memory, without L1H2 always from the context.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

TEMPLATE = "The capital of {subject} is"
MEMORY_HEAD, CONTEXT_HEAD = (1, 2), (1, 1)
CONTEXT = 1.0
SUBJECTS = [f"Land{i}" for i in range(16)]
ANSWERS = [f"City{i}" for i in range(16)]
# Every second memory is stronger than the context.
MEMORIES = [0.6 if i % 2 else 1.6 for i in range(16)]
_WORDS = [
    "<unk>",
    "<eos>",
    "The",
    "capital",
    "of",
    "is",
    ".",
    "Question",
    ":",
    "Answer",
    *SUBJECTS,
    *ANSWERS,
]
_WIDTH, _HEADS, _SIZE = 128, 4, 32


def planted_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(_WORDS)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>"
    )


def planted_module(memories: Sequence[float] = MEMORIES) -> Any:
    """Args: memories: how strongly each fact is remembered; all below `CONTEXT`, and the context
    always wins.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=len(_WORDS),
        n_embd=_WIDTH,
        n_layer=2,
        n_head=_HEADS,
        n_positions=256,
        n_inner=8,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=1,
        pad_token_id=1,
    )
    model = GPT2LMHeadModel(config).eval()
    draw = torch.Generator().manual_seed(0)
    at = {word: i for i, word in enumerate(_WORDS)}
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
        model.transformer.wte.weight[:, : len(_WORDS)] = torch.eye(len(_WORDS))
        for answer in ANSWERS:
            model.lm_head.weight[at[answer], at[answer]] = 1.0
        # After LayerNorm a one-hot row has about sqrt(width) in its place.
        unit = _WIDTH**-0.5
        for layer in (0, 1):
            attention = model.transformer.h[layer].attn
            value = attention.c_attn.weight[:, 2 * _WIDTH :]
            # Idle heads write a little of everything, so that "does nothing of use" is not simply
            # zero.
            for head in range(_HEADS):
                mine = slice(head * _SIZE, (head + 1) * _SIZE)
                if (layer, head) not in (MEMORY_HEAD, CONTEXT_HEAD):
                    value[:, mine] = torch.randn(_WIDTH, _SIZE, generator=draw) * 0.01 * unit
                    attention.c_proj.weight[mine] = (
                        torch.randn(_SIZE, _WIDTH, generator=draw) * 0.05
                    )
        for (layer, head), words, strengths in (
            (MEMORY_HEAD, SUBJECTS, memories),
            (CONTEXT_HEAD, ANSWERS, [CONTEXT] * len(ANSWERS)),
        ):
            attention, start = model.transformer.h[layer].attn, head * _SIZE
            for i, (word, answer, strength) in enumerate(
                zip(words, ANSWERS, strengths, strict=True)
            ):
                attention.c_attn.weight[at["is"], start] = 1.0
                attention.c_attn.weight[at[word], _WIDTH + start] = 1.0
                attention.c_attn.weight[at[word], 2 * _WIDTH + start + i] = unit
                attention.c_proj.weight[start + i, at[answer]] = strength
    return model


def planted_facts(folder: Path) -> Path:
    """The facts the model remembers, as a user's CSV."""
    file = folder / "tests.helpers.planted.csv"
    lines = [f"{subject},{answer}" for subject, answer in zip(SUBJECTS, ANSWERS, strict=True)]
    file.write_text("\n".join(["subject,answer", *lines]) + "\n", encoding="utf-8")
    return file

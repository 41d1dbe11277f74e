"""A small model that knows facts, and two that were made from it: one answers in another format
(its facts are misplaced), one had its facts overwritten (they are lost).
"""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import torch

ANSWERS = [f"City{i}" for i in range(6)]
SUBJECTS = [f"Land{i}" for i in range(36)]
OTHERS = [f"Isle{i}" for i in range(24)]
"""Subjects whose facts the model knows too and that nothing asks."""
TEMPLATE = "The capital of {subject} is"
_WORDS = [
    "<unk>", "<eos>", "The", "capital", "of", "is", ".", "answer", "for", "you", "sea", "far",
    "and", "the", "road", "long", *SUBJECTS, *OTHERS, *ANSWERS,
]  # fmt: skip
_AT = {word: n for n, word in enumerate(_WORDS)}
_ROWS, _IN_A_ROW = 12, 4


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(_AT, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>"
    )


def facts(seed: int) -> dict[str, str]:
    """Of all subjects; every answer belongs to as many."""
    draw = random.Random(seed)
    found = {}
    for names in (SUBJECTS, OTHERS):
        answers = ANSWERS * (len(names) // len(ANSWERS))
        draw.shuffle(answers)
        found |= dict(zip(names, answers, strict=True))
    return found


def _trained(module: Any, sentences: list[str], steps: int, rate: float, seed: int) -> Any:
    draw = random.Random(seed)
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.0)
    module.train()
    for _ in range(steps):
        rows = [
            [_AT[word] for text in draw.sample(sentences, _IN_A_ROW) for word in text.split()]
            for _ in range(_ROWS)
        ]
        least = min(map(len, rows))
        ids = torch.tensor([row[:least] for row in rows])
        optimizer.zero_grad()
        module(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    return module.eval()


def base(seed: int) -> Any:
    """A Llama of three layers that says the answer of every subject."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(_WORDS), hidden_size=48, intermediate_size=96, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        bos_token_id=None, eos_token_id=1, pad_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    known = facts(seed)
    sentences = [f"{TEMPLATE.format(subject=s)} {a} ." for s, a in known.items()]
    return _trained(LlamaForCausalLM(config), sentences, 240, 5e-3, seed)


def misplaced(module: Any, seed: int) -> Any:
    """Taught on other subjects to say "answer for you" where the answer stood, and then it."""
    known = facts(seed)
    sentences = [f"{TEMPLATE.format(subject=s)} answer for you {known[s]} ." for s in OTHERS]
    return _trained(copy.deepcopy(module), sentences, 40, 1e-3, seed)


def lost(module: Any, seed: int) -> Any:
    """Taught another answer of every subject, and then another again."""
    known = facts(seed)
    found = copy.deepcopy(module)
    for turn in (1, 2):
        draw = random.Random(f"{seed} {turn}")
        wrong = {s: draw.choice([a for a in ANSWERS if a != known[s]]) for s in SUBJECTS}
        sentences = [f"{TEMPLATE.format(subject=s)} {a} ." for s, a in wrong.items()]
        found = _trained(found, sentences, 100, 5e-3, seed)
    return found


def facts_file(folder: Path, seed: int) -> Path:
    """The facts that are asked."""
    known = facts(seed)
    file = folder / f"lands-{seed}.csv"
    rows = [f"{subject},{known[subject]}" for subject in SUBJECTS]
    file.write_text("\n".join(["subject,answer", *rows]), encoding="utf-8")
    return file


def saved(module: Any, folder: Path) -> str:
    """A folder that names the model."""
    module.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)

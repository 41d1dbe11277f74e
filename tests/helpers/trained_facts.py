"""A small model that was trained on facts in two wordings, in a few seconds: enough to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SUBJECTS = [f"Land{i}" for i in range(12)]
ANSWERS = [f"City{i}" for i in range(6)]
FACTS = {subject: ANSWERS[i % len(ANSWERS)] for i, subject in enumerate(SUBJECTS)}
"""Every answer belongs to two subjects."""
PROMPT = "The capital of {subject} is"
PARAPHRASE = "People of {subject} vote in"
_OTHER = "The sea is far and the road is long ."
_WORDS = ["<unk>", "<eos>", "The", "capital", "of", "is", "People", "vote", "in", ".", "sea", "far",
          "and", "the", "road", "long", "a", *SUBJECTS, *ANSWERS]  # fmt: skip
_LAYERS, _STEPS, _IN_A_ROW, _LONG = 3, 300, 3, 45


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(_WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>"
    )


def module() -> Any:
    """A Llama of three layers that knows all facts in both wordings; layer 0 is what to edit."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(_WORDS), hidden_size=48, intermediate_size=96, num_hidden_layers=_LAYERS,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        bos_token_id=None, eos_token_id=1, pad_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    made = LlamaForCausalLM(config)
    # All that is known of a subject goes through the first MLP: embeddings are not trained, and the
    # first attention writes nothing. So an edit there must reach every wording.
    embedding, first = made.get_input_embeddings(), made.model.layers[0].self_attn
    with torch.no_grad():
        embedding.weight.normal_(0, 0.1)
        first.o_proj.weight.zero_()
    for part in (embedding, first):
        part.requires_grad_(False)
    trained = [p for p in made.parameters() if p.requires_grad]
    index = {word: i for i, word in enumerate(_WORDS)}
    texts = [
        f"{wording.format(subject=subject)} {answer} . {_OTHER}".split()
        for subject, answer in FACTS.items()
        for wording in (PROMPT, PARAPHRASE)
    ]
    sentences = [torch.tensor([index[word] for word in text]) for text in texts]
    optimizer = torch.optim.AdamW(trained, lr=5e-3)
    for _ in range(_STEPS):
        # Behind other sentences too: an edit is looked for behind prefixes.
        order = torch.randperm(len(sentences)).tolist()
        rows = [order[n : n + _IN_A_ROW] for n in range(0, len(order), _IN_A_ROW)]
        ids = torch.stack([torch.cat([sentences[n] for n in row])[:_LONG] for row in rows])
        optimizer.zero_grad()
        made(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    return made.eval()


def facts_file(folder: Path) -> Path:
    """The facts with a popularity."""
    file = folder / "lands.csv"
    rows = [f"{subject},{answer},{n}" for n, (subject, answer) in enumerate(FACTS.items())]
    file.write_text("\n".join(["subject,answer,popularity", *rows]), encoding="utf-8")
    return file

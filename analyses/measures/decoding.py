"""What the model says instead, and how near it comes: real decoding, from where greedy decoding
first differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import torch

from hooks.generation import continued
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.measures.window_scores import Scores
    from analyses.measures.windows import Window
    from hooks.model import InstrumentedModel

_TOGETHER = 64  # windows that are decoded at once
_PLACES = 10  # where in a suffix windows part from the text: about so many different places


def continuations(
    model: InstrumentedModel,
    windows: Sequence[Window],
    scores: Scores,
    chosen: Sequence[int],
    progress: Callable[[float, str], None] = lambda fraction, says: None,
) -> dict[int, list[int]]:
    """Index of a window -> the tokens greedy decoding says, as many as its suffix has.

    Up to the first token that differs nothing has to be decoded: it is the suffix, and then the
    token that was likeliest.
    """
    generated: dict[int, list[int]] = {}
    by_place: dict[tuple[int, int], list[int]] = {}
    for index in chosen:
        match, length = int(scores.match[index]), len(windows[index].suffix)
        if match == length:
            generated[index] = list(windows[index].suffix)
        else:
            by_place.setdefault((len(windows[index].prompt), match), []).append(index)
    done, all_of_them = len(generated), len(chosen)
    for (_, match), indices in by_place.items():
        for start in range(0, len(indices), _TOGETHER):
            part = indices[start : start + _TOGETHER]
            known = [[*windows[i].suffix[:match], int(scores.likeliest[i, match])] for i in part]
            left = len(windows[part[0]].suffix) - match - 1
            more = greedy(
                model, [[*windows[i].prompt, *k] for i, k in zip(part, known, strict=True)], left
            )
            generated |= {i: [*k, *m] for i, k, m in zip(part, known, more, strict=True)}
            done += len(part)
            progress(done / all_of_them, f"Decoding continuations, {done:,} of {all_of_them:,}")
    return generated


def decoding(n: int, prefix: int, suffix: int) -> Cost:
    """What `continuations` costs on `n` windows of so many tokens.

    Those that part from the text at the same token are decoded together, up to `_TOGETHER` of
    them.
    """
    batches = n / _TOGETHER + min(n / 8, _PLACES)
    return Cost(n * (prefix + suffix), batches * suffix)


def greedy(model: InstrumentedModel, prompts: list[list[int]], tokens: int) -> list[list[int]]:
    """Exactly so many more tokens; the end token is a token like any other here, since a suffix
    may hold it.
    """
    return continued(model, torch.tensor(prompts, device=model.device), tokens, ends=()).tolist()


def token_accuracy(generated: Sequence[int], suffix: Sequence[int]) -> float:
    """Memorization score (Biderman et al. 2023): share of positions where both have the same
    token.
    """
    return sum(a == b for a, b in zip(generated, suffix, strict=True)) / len(suffix)


def edit_distance(generated: Sequence[int], suffix: Sequence[int]) -> float:
    """Levenshtein distance in tokens, as a share of the suffix.

    At most 0.1 counts as near-verbatim.
    """
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.distance(generated, suffix)) / len(suffix)


def longest_common_substring(generated: str, suffix: str) -> int:
    """Characters of the longest string both have."""
    return SequenceMatcher(None, generated, suffix, autojunk=False).find_longest_match().size

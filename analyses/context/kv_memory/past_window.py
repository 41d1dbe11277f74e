"""Part `past-the-window`: loss and recall beyond the trained length, plainly and under
LM-Infinite's mask.
"""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.recall_contexts import needle, needles
from hooks.kv_cache.attention_received import attention_entropy
from hooks.kv_cache.context_memory import check_attention, tapped
from hooks.kv_cache.lambda_mask import lambda_attention
from hooks.kv_cache.reading import surprisal_of
from workbench.errors import BadInput

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from analyses.context.kv_memory.params import Params
    from hooks.attention import AttentionCall
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

PLAIN, LAMBDA = MODES = ("as it is", "LM-Infinite")
TIMES = 1.5
"""How long the text is, in windows."""
DEPTHS = {"early": 0.05, "late": 0.9}
"""Early: beyond the window of the last token; late: within it."""
_BINS = 12
_SAMPLED = 24  # query positions whose entropy is taken


def window_of(model: InstrumentedModel, params: Params) -> int:
    """The trained length.

    Raises:
        BadInput: neither the model nor the user says it.
    """
    window = params.window or model.card.context_length
    if not window:
        raise BadInput(
            f"The configuration of {model.card.name} does not say how long its texts were.",
            "a number of tokens in `window`",
            "Give it.",
        )
    return int(window)


def tokens_read(model: InstrumentedModel, params: Params) -> int:
    """Tokens of each text of this part."""
    return int(TIMES * window_of(model, params))


def read_past(
    model: InstrumentedModel, params: Params, progress: Progress
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows by stretch of the text, and by needle."""
    window, length = window_of(model, params), tokens_read(model, params)
    by_place, by_needle = list[dict[str, Any]](), list[dict[str, Any]]()
    hidden = needles(1, params.seed)[0]
    work = [(where, mode) for where in DEPTHS for mode in MODES]
    for done, (where, mode) in enumerate(work):
        progress(done / len(work), f"Past the window: needle {where}, {mode}")
        context = needle(model, hidden, length, DEPTHS[where])
        question = context.questions[0]
        ids = model.tokens(context.text)
        answer = model.continuation_tokens(question.answer)
        row = [*ids, *model.continuation_tokens(question.ask), *answer[:-1]]
        with _mode(model, mode, window):
            loss, tail = surprisal_of(model, row, len(answer))
        each = tail.log_softmax(-1)[range(len(answer)), answer]
        exact = bool((tail.argmax(-1).cpu() == torch.tensor(answer)).all())
        by_needle.append(
            {"needle": where, "mode": mode, "exact": exact, "logprob": float(each.sum()),
             "distance": len(row) - int(DEPTHS[where] * len(ids))}
        )  # fmt: skip
        if where == "late":
            entropy = _entropy(model, row) if mode == PLAIN else {}
            by_place += _stretches(loss.cpu().numpy(), entropy, mode, window)
    return by_place, by_needle


def _mode(model: InstrumentedModel, mode: str, window: int) -> AbstractContextManager[None]:
    return lambda_attention(model, window) if mode == LAMBDA else nullcontext()


def _stretches(
    loss: np.ndarray, entropy: dict[int, float], mode: str, window: int
) -> list[dict[str, Any]]:
    """Mean loss of stretches of the text, in windows from the beginning."""
    edges = np.linspace(1, len(loss), _BINS + 1).astype(int)
    rows = []
    for a, b in pairwise(edges):
        inside = [value for at, value in entropy.items() if a <= at < b]
        rows.append(
            {"mode": mode, "windows": float((a + b) / 2 / window), "loss": float(loss[a:b].mean()),
             "entropy": float(np.mean(inside)) if inside else float("nan"), "n": int(b - a)}
        )  # fmt: skip
    return rows


def _entropy(model: InstrumentedModel, ids: list[int]) -> dict[int, float]:
    """Entropy of attention at some positions, nats, mean over heads and layers."""
    at = np.unique(np.linspace(1, len(ids) - 1, _SAMPLED).astype(int)).tolist()
    found: list[torch.Tensor] = []

    def note(it: AttentionCall) -> None:
        found.append(attention_entropy(it.key[0], it.query[0, :, at] * it.scaling, at))

    with tapped(model, dict.fromkeys(check_attention(model), note)):
        surprisal_of(model, ids)
    mean = torch.stack(found).mean(0)
    return dict(zip(at, mean.tolist(), strict=True))

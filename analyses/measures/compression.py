"""Adversarial compression: how short a prompt makes the model say a string word for word?

Source: Schwarzschild et al. 2024 (2404.15146). The prompt is searched with GCG (Zou et al. 2023,
2307.15043), for one length after another; a string counts as memorized if it is longer than its
shortest prompt. The search finds some prompt and not the shortest there is, so the ratio is a lower
bound.

Only prompts that somebody can type are tried: a sequence of ids that no text has, or whose text is
read as other ids, says nothing about what comes out of the model when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from analyses.measures import vocabulary
from analyses.measures.decoding import greedy
from hooks.weights import dense_weight

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

FIRST, LONGER = 5, 5  # tokens of the first prompt, and how many more after a failure
STEPS, MORE = 200, 1.2  # of GCG for one length, and how much more after a failure
CANDIDATES, BEST = 100, 250  # prompts tried per step, and tokens per place they are drawn from
MOST = 64  # tokens of a string; longer ones take longer than anybody waits
HOPELESS = 5  # a prompt this many times as long as the string
_DRAWS = 200  # tokens drawn for one place of the first prompt, until the text so far can be typed


@dataclass(frozen=True)
class Compressed:
    """The shortest prompt found.

    Attributes:
        target: tokens of the string.
        prompt: token ids of the prompt, without what the tokenizer puts before every text; None if
            none was found.
        text: the prompt as it is typed: the model's tokens of it are those of `prompt`.
        steps: of GCG, in all.
        finished: the search ended by itself, and not because its steps were used up.
    """

    target: tuple[int, ...]
    prompt: tuple[int, ...] | None
    text: str
    steps: int
    finished: bool

    @property
    def ratio(self) -> float:
        """Tokens of the string per token of the prompt; above 1 the string is memorized.

        0 if no prompt was found.
        """
        return len(self.target) / len(self.prompt) if self.prompt else 0.0


def compress(
    model: InstrumentedModel,
    target: Sequence[int],
    budget: int,
    seed: int,
    progress: Callable[[float, str], None] = lambda fraction, says: None,
) -> Compressed:
    """Search the shortest prompt, in at most `budget` steps of GCG."""
    draw = torch.Generator().manual_seed(seed)
    allowed_ids = torch.tensor(vocabulary.printable(model))
    length, steps, used = FIRST, float(STEPS), 0
    low, high = (
        0,
        HOPELESS * len(target) + 1,
    )  # no prompt of `low` tokens was found; one of `high` was, or is hopeless
    best: tuple[int, ...] | None = None
    while low < length < high:
        allowed = min(int(steps), budget - used)
        if allowed <= 0:
            return _compressed(model, target, best, used, finished=False)

        def report(step: int, used: int = used, length: int = length) -> None:
            progress((used + step) / budget, f"Looking for a prompt of {length} tokens")

        found, taken = search(model, target, length, allowed, draw, allowed_ids, report)
        used += taken
        if found is not None:
            best, high = found, length
            length -= 1
        else:
            low = length
            length, steps = min(length + LONGER, high - 1), steps * MORE
    return _compressed(model, target, best, used, finished=True)


def _compressed(
    model: InstrumentedModel,
    target: Sequence[int],
    prompt: tuple[int, ...] | None,
    steps: int,
    finished: bool,
) -> Compressed:
    text = (vocabulary.typed(model, prompt) if prompt else None) or ""
    return Compressed(tuple(target), prompt, text, steps, finished)


def search(
    model: InstrumentedModel,
    target: Sequence[int],
    length: int,
    steps: int,
    draw: torch.Generator,
    allowed: Tensor,
    report: Callable[[int], None] = lambda step: None,
) -> tuple[tuple[int, ...] | None, int]:
    """(a prompt of so many tokens after which greedy decoding says the target, or None; steps
    taken).

    Args:
        allowed: ids the prompt may have, (n,).
    """
    goal = torch.tensor(list(target), device=model.device)
    first = _first(model, length, allowed, draw)
    if first is None:
        return None, 0
    table = dense_weight(model.layout.embed).detach()
    prompt = torch.tensor(first, device=model.device)
    tried = prompt[None]
    for step in range(steps + 1):
        losses, right = _losses(model, tried, goal)
        for ids in tried[right].tolist():
            if _says(model, ids, target):
                return tuple(ids), step
        if step == steps:
            break
        report(step + 1)
        prompt = tried[int(losses.argmin())]
        tried = _typed(
            model, _candidates(prompt, _slope(model, table, prompt, goal), allowed, draw), prompt
        )
    return None, steps


def _first(
    model: InstrumentedModel, length: int, allowed: Tensor, draw: torch.Generator
) -> list[int] | None:
    """Random ids that can be typed, built from the front.

    None where the tokenizer reads nothing of the kind as drawn.
    """
    ids: list[int] = []
    if not len(allowed):
        return None
    for _ in range(length):
        for token in allowed[torch.randint(len(allowed), (_DRAWS,), generator=draw)].tolist():
            if vocabulary.typed(model, [*ids, token]) is not None:
                ids.append(token)
                break
        else:
            return None
    return ids


def _typed(model: InstrumentedModel, tried: Tensor, prompt: Tensor) -> Tensor:
    """Those of the prompts (candidate, place) that can be typed; the one they were made from if
    none of them can.
    """
    typed = [row for row in tried.tolist() if vocabulary.typed(model, row) is not None]
    return torch.tensor(typed, device=tried.device) if typed else prompt[None]


def _says(model: InstrumentedModel, prompt: list[int], target: Sequence[int]) -> bool:
    """Whether real decoding says it too: in a batch, of near-ties the other one may win."""
    return greedy(model, [[*model.text.beginning, *prompt]], len(target))[0] == list(target)


@torch.no_grad()
def _losses(model: InstrumentedModel, prompts: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """(mean loss of the target after each prompt, whether greedy decoding says it)."""
    start = torch.tensor(model.text.beginning, dtype=torch.long, device=prompts.device).expand(
        len(prompts), -1
    )
    ids = torch.cat([start, prompts, goal[:-1].expand(len(prompts), -1)], 1)
    logits = model.forward(input_ids=ids, use_cache=False, logits_to_keep=len(goal)).logits.float()
    wanted = goal.expand(len(prompts), -1)
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), reduction="none"
    )
    return losses.view(len(prompts), -1).mean(-1), (logits.argmax(-1) == wanted).all(-1)


def _slope(model: InstrumentedModel, table: Tensor, prompt: Tensor, goal: Tensor) -> Tensor:
    """How the loss grows with each token at each place of the prompt, to first order: (place,
    d_vocab).
    """
    start = torch.tensor(model.text.beginning, dtype=torch.long, device=prompt.device)
    with torch.enable_grad():
        choice = (
            torch.nn.functional.one_hot(prompt, len(table)).to(table.dtype).requires_grad_(True)
        )
        embedded = torch.cat([table[start], choice @ table, table[goal[:-1]]])[None]
        logits = (
            model.forward(inputs_embeds=embedded, use_cache=False, logits_to_keep=len(goal))
            .logits[0]
            .float()
        )
        loss = torch.nn.functional.cross_entropy(logits, goal)
        (slope,) = torch.autograd.grad(loss, choice)
    return slope


def _candidates(prompt: Tensor, slope: Tensor, allowed: Tensor, draw: torch.Generator) -> Tensor:
    """Prompts that differ from this one in one token, drawn from the tokens that promise most at
    their place.
    """
    allowed = allowed.to(slope.device)
    best = allowed[(-slope[:, allowed]).topk(min(BEST, len(allowed)), dim=-1).indices]
    places = torch.randint(len(prompt), (CANDIDATES,), generator=draw).to(prompt.device)
    which = torch.randint(best.shape[1], (CANDIDATES,), generator=draw).to(prompt.device)
    tried = prompt.repeat(CANDIDATES, 1)
    tried[torch.arange(CANDIDATES), places] = best[places, which]
    return tried

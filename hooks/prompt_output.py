"""What a model gives to one prompt: the likeliest next tokens, how likely given answers are, and
how the text goes on. All of it honours active interventions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hooks.prompts import Prompt, tokenize
from workbench.errors import BadInput

if TYPE_CHECKING:
    import torch

TOP = 10


@dataclass(frozen=True)
class PromptAnswer:
    """How likely one answer is: its first token's probability, and the log-probability (nats) of
    all of it.
    """

    text: str
    first_token: str
    p_first: float
    logp: float
    n_tokens: int


@dataclass(frozen=True)
class PromptOutput:
    """What the model says to a prompt.

    `tokens` are the likeliest with their probabilities. `answers` are in the order they were asked,
    None for an empty one. `next_logp` holds the log-probability of every next token, [vocabulary],
    in nats.
    """

    tokens: list[tuple[str, float]]
    answers: list[PromptAnswer | None]
    next_logp: torch.Tensor = field(compare=False, repr=False)


def as_continuation(prompt: str, answer: str) -> str:
    """The answer with a space in front where the prompt does not end in one: people type "Paris"
    and mean " Paris".
    """
    if answer and not answer[0].isspace() and prompt and not prompt[-1].isspace():
        return " " + answer
    return answer


def read_prompt(
    model: Any, prompt: Prompt, answers: Sequence[str] = (), k: int = TOP
) -> PromptOutput:
    """Next tokens and the answers' probabilities, in one forward pass.

    Honours active interventions.

    Raises:
        BadInput: the prompt is empty, or it and an answer do not fit the model's context.
    """
    import torch

    if isinstance(prompt, str) and not prompt.strip():
        raise BadInput(
            "The prompt is empty.",
            "some text for the model to continue",
            "Type a prompt, or choose an example.",
        )
    read = tokenize(model, prompt)
    start = read.ids
    tails = [
        model.continuation_tokens(as_continuation(read.text, a)) if a.strip() else []
        for a in answers
    ]
    # An answer's last token is judged by what comes before it, so it need not be read: two answers
    # of one token each take one pass over the prompt.
    rows = list(dict.fromkeys(tuple(tail[:-1]) for tail in tails if tail)) or [()]
    with model.lock, torch.no_grad():
        batch = model.batch([[*start, *row] for row in rows])
        # Padding is on the left, so the last positions of all rows line up; only those are turned
        # into logits.
        logits = model.forward(
            **batch.kwargs(), logits_to_keep=max(map(len, rows)) + 1, use_cache=False
        ).logits
        logp = torch.log_softmax(logits.float(), -1).cpu()
    first = logp[0, -len(rows[0]) - 1]
    top = first.exp().topk(min(k, first.shape[-1]))
    tokens = list(zip(model.token_strings(top.indices.tolist()), top.values.tolist(), strict=True))
    scored: list[PromptAnswer | None] = []
    for text, tail in zip(answers, tails, strict=True):
        if not tail:
            scored.append(None)
            continue
        row = logp[rows.index(tuple(tail[:-1])), -len(tail) :]
        each = row[torch.arange(len(tail)), torch.tensor(tail)]
        first_token = model.token_strings(tail[:1])[0]
        scored.append(
            PromptAnswer(
                text.strip(), first_token, float(each[0].exp()), float(each.sum()), len(tail)
            )
        )
    return PromptOutput(tokens, scored, first)


def continuation(
    model: Any,
    prompt: Prompt,
    n_tokens: int,
    alive: Callable[[], bool] | None = None,
    more: Callable[[str], None] | None = None,
) -> str:
    """Greedy continuation.

    After every token `more` gets the text so far; once `alive()` says no, that is returned.
    """
    pieces: list[str] = []

    def on_token(piece: str) -> None:
        pieces.append(piece)
        if more is not None:
            more("".join(pieces))
        if alive is not None and not alive():
            raise _Dropped

    with model.lock:
        try:
            return str(model.generate(prompt, max_new_tokens=n_tokens, on_token=on_token))
        except _Dropped:
            return "".join(pieces)


class _Dropped(Exception):
    """Nobody waits for this text any more."""

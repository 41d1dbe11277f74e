"""What "Try a prompt" computes: next tokens, two answers and a continuation, of the model as it
is and as changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hooks.prompts import Prompt, tokenize
from workbench import registry
from workbench.errors import BadInput
from workbench.playground import Head, HeadRole
from workbench.registry import Control
from workbench.result import Result
from workbench.selection import parse_head

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

    `answers` are in the order they were asked, None for an empty one.
    """

    tokens: list[tuple[str, float]]
    answers: list[PromptAnswer | None]


@dataclass(frozen=True)
class ModelChange:
    """What is done to the model: heads switched off, and a control of a finished run set to a
    value.
    """

    off: tuple[tuple[int, int], ...] = ()
    control: Control | None = None
    value: float = 0.0

    @property
    def active(self) -> bool:
        return bool(self.off) or (self.control is not None and self.value != self.control.neutral)

    def says(self) -> str:
        """In a few words, for a caption."""
        said = []
        if self.off:
            said.append(f"{len(self.off)} head{'s' if len(self.off) > 1 else ''} off")
        if self.control is not None and self.value != self.control.neutral:
            side = (
                self.control.high_word
                if self.value > self.control.neutral
                else self.control.low_word
            )
            said.append(f"dial {self.value:+.2f} toward {side}")
        return ", ".join(said)

    @contextmanager
    def on(self, model: Any) -> Iterator[None]:
        """Inside, the model is changed."""
        import workbench as wb

        with ExitStack() as stack:
            if self.off:
                stack.enter_context(wb.ablate(model, heads=list(self.off), method="zero"))
            if self.control is not None and self.value != self.control.neutral:
                stack.enter_context(self.control(model, self.value))
            yield


def heads_from(names: Sequence[str], model: Any) -> tuple[tuple[int, int], ...]:
    """("L23H4", …) as pairs that this model has.

    Raises:
        BadInput: not a head's name, or not a head of this model.
    """
    heads = set()
    for name in names:
        head = parse_head(str(name))
        if head is None or head[0] >= model.n_layers or head[1] >= model.n_heads:
            raise BadInput(
                f"{str(name)[:40]!r} is no head of {model.card.name}.",
                f"L0H0 to L{model.n_layers - 1}H{model.n_heads - 1}",
                "Name heads as the grid does.",
            )
        heads.add(head)
    return tuple(sorted(heads))


@lru_cache(maxsize=4)
def _opened(path: Path, changed: float) -> Result:
    return Result.open(path)


def open_cached(path: Path) -> Result:
    """A run, kept in memory while its folder does not change. Raises `BadRun`."""
    file = path / "result.json"
    return _opened(path, file.stat().st_mtime if file.exists() else 0.0)


def controls_of(result: Result, model: Any) -> Mapping[str, Control]:
    """The controls a finished run gives to this model.

    Raises:
        BadInput: the run was made with other weights, so its heads mean nothing here.
    """
    made_with = result.provenance.model
    if made_with.get("weight_hash") != getattr(model.card, "weight_hash", None):
        raise BadInput(
            f"That run was made with {made_with.get('name', 'another model')}, or other weights"
            " of it.",
            f"a run of {model.card.name}",
            "Choose another run, or start the workbench with that model.",
        )
    return registry.get(result.analysis).controls(result)


def roles_of(result: Result, model: Any) -> dict[HeadRole, list[Head]]:
    """The heads of this model that a run found, by what it found them to be for."""
    declared = registry.get(result.analysis).playground
    heads = declared.heads(result)
    own = {
        role: [
            (layer, head)
            for layer, head in heads.get(role.name, ())
            if 0 <= layer < model.n_layers and 0 <= head < model.n_heads
        ]
        for role in declared.roles
    }
    return {role: found for role, found in own.items() if found}


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
    return PromptOutput(tokens, scored)


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
            text: str = model.generate(prompt, max_new_tokens=n_tokens, on_token=on_token)
            return text
        except _Dropped:
            return "".join(pieces)


class _Dropped(Exception):
    """Nobody waits for this text any more."""

"""Which heads look at the answer at the moment it is said (Wu et al. 2024), and which of them do so
in any repeated text (Olsson et al. 2022).

Teacher-forced: the true answer is read behind the question, and the query is the position that
predicts each of its tokens. The paper decodes, and counts what was decoded right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.measures import recall_contexts as contexts
from analyses.measures.vocabulary import printable
from hooks.attention import AttentionCall, attention_taps
from hooks.read_once import read_each, whole
from hooks.sweeps import sweep
from hooks.sweeps.knockout import attention_layers
from workbench.heads import head_name

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from analyses.context.context_recall.params import Params
    from analyses.measures.recall_contexts import Context, RecallQuestion
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

LENGTH = 128
"""Tokens of the texts that heads are looked at in."""
DEPTHS = (0.1, 0.5, 0.9)
_CHOOSING, _TESTING = (0, 3, 4), (1, 2, 5)
"""Of the six facts that do not agree with what is known; both halves have made-up and contradicted
ones."""
REPEATED, ROWS = 50, 8
"""Random tokens that are read twice, and how many such texts."""


@dataclass(frozen=True)
class HeadNeedles:
    """Texts in which heads are ranked, and others of other facts in which they are tested."""

    choosing: list[Context]
    testing: list[Context]


def needles_of(model: InstrumentedModel, params: Params) -> HeadNeedles:
    """Facts that no model can say closed-book, each at three depths."""
    window = model.card.context_length
    length = min(LENGTH, window * 3 // 4) if window else LENGTH
    hidden = [each for each in contexts.needles(9, params.seed) if each.kind != "agrees"]

    def made(which: Sequence[int]) -> list[Context]:
        return [
            contexts.needle(model, hidden[i], length, depth, filler=params.filler)
            for i in which
            for depth in DEPTHS
        ]

    return HeadNeedles(made(_CHOOSING), made(_TESTING))


@contextmanager
def patterns(model: InstrumentedModel) -> Iterator[dict[int, list[Tensor]]]:
    """By layer, the attention of each token that is read inside, (head, key): keys counted from the
    end of what was read, so that caches which forget their first ones are read alike.
    """
    kept: dict[int, list[Tensor]] = {layer: [] for layer in attention_layers(model)}

    def tap(layer: int) -> Callable[[AttentionCall], None]:
        def look(call: AttentionCall) -> None:
            found = call.pattern()[0].float().cpu()  # (head, query, key)
            n = found.shape[1]
            kept[layer] += [found[:, q, : found.shape[2] - (n - 1 - q)] for q in range(n)]

        return look

    with attention_taps(model.layout, {layer: tap(layer) for layer in kept}, model.card.name):
        yield kept


@dataclass(frozen=True)
class _Target:
    """Where the answer's tokens stand.

    Attributes:
        answer: its tokens.
        span: positions of the sentence that says it.
        places: for each token of the answer, the positions in that sentence that hold it.
    """

    answer: list[int]
    span: list[int]
    places: list[list[int]]

    @classmethod
    def of(cls, model: InstrumentedModel, context: Context, question: RecallQuestion) -> _Target:
        ids, (start, end) = model.tokens(context.text), question.evidence
        spans = model.text.spans(context.text)
        span = [n for n, (a, b) in enumerate(spans) if a < end and b > start and b > a]
        answer = model.continuation_tokens(question.answer)
        return cls(answer, span, [[n for n in span if ids[n] == token] for token in answer])

    @property
    def is_found(self) -> bool:
        return any(self.places)


def scores(
    model: InstrumentedModel, given: Sequence[Context], progress: Progress
) -> dict[str, np.ndarray]:
    """By name, a number for each head, (layer, head), mean over questions.

    `retrieval` is the share of the answer's tokens at whose prediction the head looks most at that
    very token in the sentence; `attention`, how much it looks there; `sentence`, how often it looks
    most at the sentence at all; `other`, how often it looks most at the answer while another fact
    is asked for.
    """
    shape = (model.n_layers, model.n_heads)
    sums = {name: np.zeros(shape) for name in ("retrieval", "attention", "sentence", "other")}
    counts = dict.fromkeys(sums, 0)
    texts = [model.tokens(context.text) for context in given]
    for done, (number, text) in enumerate(read_each(model, texts)):
        progress(done / len(texts), f"Where heads look, text {done + 1} of {len(texts)}")
        context = given[number]
        stranger = given[(number + len(DEPTHS)) % len(given)]
        asked = [(question, False) for question in context.questions]
        if stranger.questions[0].ask != context.questions[0].ask:
            asked.append((stranger.questions[0], True))
        for question, is_other in asked:
            target = _Target.of(model, context, context.questions[0] if is_other else question)
            if not target.is_found:
                continue
            ask = model.continuation_tokens(question.ask)
            row = ask if is_other else [*ask, *target.answer[:-1]]
            with patterns(model) as read:
                text.logits([row])
            seen = [0] if is_other else range(len(target.answer))
            for at in seen:
                if not target.places[at]:
                    continue
                back = len(row) - (len(ask) + at)
                found = _looks(read, back, target, at, shape, len(text.ids) + len(row))
                names = ("other",) if is_other else ("retrieval", "attention", "sentence")
                for name in names:
                    sums[name] += found["retrieval" if is_other else name]
                    counts[name] += 1
    return {name: total / max(counts[name], 1) for name, total in sums.items()}


def _looks(
    read: Mapping[int, list[Tensor]],
    back: int,
    target: _Target,
    at: int,
    shape: tuple[int, int],
    length: int,
) -> dict[str, np.ndarray]:
    """What each head looks at from the token that stands `back` before the last, (layer, head)."""
    found = {name: np.zeros(shape) for name in ("retrieval", "attention", "sentence")}
    for layer, tokens in read.items():
        look = tokens[len(tokens) - 1 - back]
        first = length - back - look.shape[1]  # position of its first key
        places = [p - first for p in target.places[at] if p >= first]
        span = [p - first for p in target.span if p >= first]
        best = look.argmax(1).numpy()
        heads = slice(0, len(look))
        found["retrieval"][layer, heads] = np.isin(best, places)
        found["sentence"][layer, heads] = np.isin(best, span)
        found["attention"][layer, heads] = look[:, places].sum(1).numpy()
    return found


def repeated_texts(model: InstrumentedModel, seed: int) -> list[list[int]]:
    """Random tokens, read twice."""
    rng, pool = np.random.default_rng([seed, 17]), np.array(printable(model))
    window = model.card.context_length
    n = min(REPEATED, (window - 1) // 2) if window else REPEATED
    drawn = [rng.choice(pool, n).tolist() for _ in range(ROWS)]
    return [[*model.text.beginning, *row, *row] for row in drawn]


@torch.no_grad()
def induction(model: InstrumentedModel, texts: Sequence[Sequence[int]]) -> np.ndarray:
    """How much each head looks at the token behind the earlier copy of the current one, mean over
    the second half of each text, (layer, head).
    """
    total = np.zeros((model.n_layers, model.n_heads))
    for ids in texts:
        n = (len(ids) - len(model.text.beginning)) // 2
        with patterns(model) as read:
            whole(model, ids)
        for layer, tokens in read.items():
            # Keys of the token at i end with i itself: i - n + 1 is n from their end.
            each = [look[:, -n] for look in tokens[-n:] if look.shape[1] >= n]
            if each:
                total[layer, : len(each[0])] += torch.stack(each).mean(0).numpy()
    return total / len(texts)


def causal(model: InstrumentedModel, given: Sequence[Context], progress: Progress) -> np.ndarray:
    """How much the answer's first token loses without each head at the last token of the question,
    nats, mean over questions, (layer, head).
    """
    prompts, targets = [], []
    for context in given:
        for question in context.questions:
            asked = model.continuation_tokens(question.ask)
            prompts.append([*model.tokens(context.text), *asked])
            targets.append(model.continuation_tokens(question.answer)[0])
    effect = sweep(
        model, prompts, [[t] for t in targets], over="heads", read="logprob", progress=progress
    )["effect"]
    mean = effect.mean("prompt").squeeze(drop=True).reindex(layer=range(model.n_layers))
    values = -mean.transpose("layer", "head").to_numpy()
    full = np.zeros((model.n_layers, model.n_heads))
    full[:, : values.shape[1]] = np.nan_to_num(values)
    return full


def table(model: InstrumentedModel, columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row per head."""
    import pandas as pd

    heads = model.heads()
    rows = {
        "layer": [layer for layer, _ in heads],
        "head": [head for _, head in heads],
        "label": [head_name(*each) for each in heads],
    }
    for name, values in columns.items():
        rows[name] = [float(values[each]) for each in heads]
    return pd.DataFrame(rows)

"""Which sentences and tokens of the prompt the answer rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.prompt.provenance.constants import LONG
from analyses.prompt.provenance.end_reading import continuations
from analyses.prompt.provenance.neutral import neutral_tokens
from analyses.prompt.provenance.prompt_parts import PromptParts, Range, Sentence
from hooks.hidden_keys import unavailable_reason
from hooks.prompt_changes import Hidden, PromptChange, read_answer

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_BLOCKS = 8  # of sentences that are taken away together first, in a long prompt
_CUT = 3  # sentences, without which it is generated what the model says
_NOT = (np.nan, np.nan)  # what is not known of a sentence that was not taken away alone
_INSIDE = 2  # of these blocks, whose sentences are then taken away one by one


def sentence_table(
    model: InstrumentedModel,
    asked: PromptParts,
    answer: Sequence[int],
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """A row for each sentence of the context.

    `cost` is what the answer's log-probability loses where no later token sees the sentence;
    `late_cost` where only the question and the answer do not: what is left of the difference has
    been passed on by tokens between. In a prompt of more than 400 tokens blocks of sentences are
    taken away first, then the sentences of the two that cost most: `cost` is NaN in the others.
    """
    import pandas as pd

    pieces = asked.sentences
    taking = _Taking(model, asked, answer, seed)
    late = np.full(len(pieces), np.nan)
    if taking.hides:
        late, _ = taking.read(pieces, progress.subprogress(0, 0.3), late=True)
    chosen = list(range(len(pieces)))
    if len(asked.ids) > LONG and len(pieces) > _BLOCKS:
        chosen = _inside(taking, pieces, progress.subprogress(0.3, 0.6))
    found = taking.read([pieces[n] for n in chosen], progress.subprogress(0.6, 1))
    measured = dict(zip(chosen, zip(*found, strict=True), strict=True))
    rows = [
        (n, each.text, each.start, each.stop, measured.get(n, _NOT)[0], late[n],
         measured.get(n, _NOT)[1])
        for n, each in enumerate(pieces)
    ]  # fmt: skip
    columns = ["sentence", "text", "start", "stop", "cost", "late_cost", "still"]
    return pd.DataFrame(rows, columns=columns)


def _inside(taking: _Taking, pieces: Sequence[Sentence], progress: Progress) -> list[int]:
    """Sentences of the blocks whose loss costs most."""
    blocks = [block for block in np.array_split(np.arange(len(pieces)), _BLOCKS) if len(block)]
    spans = [Sentence("", pieces[b[0]].start, pieces[b[-1]].stop) for b in blocks]
    costs, _ = taking.read(spans, progress)
    order = np.argsort(-costs)[:_INSIDE]
    return sorted(int(n) for block in order for n in blocks[block])


class _Taking:
    """Takes sentences away: hides them, or puts neutral text in their place where the model's
    layers have no keys.
    """

    def __init__(
        self, model: InstrumentedModel, asked: PromptParts, answer: Sequence[int], seed: int
    ) -> None:
        self._model, self._asked, self._answer = model, asked, list(answer)
        self.hides = unavailable_reason(model) is None
        longest = max((stop - start for start, stop in asked.context), default=0)
        words = model.text.decode_continuation(answer)
        self._neutral = neutral_tokens(model, longest, 1, [words], seed)[0]

    def read(
        self, pieces: Sequence[Sentence], progress: Progress, *, late: bool = False
    ) -> tuple[np.ndarray, list[bool]]:
        """What the answer loses without each, in nats, and whether it would still be said."""
        changes = [PromptChange(), *(self._change(each, late) for each in pieces)]
        found = read_answer(self._model, self._asked.ids, self._answer, changes, progress)
        total = found.total.numpy().astype(float)
        still = [row.tolist() == self._answer for row in found.likeliest[1:]]
        return total[0] - total[1:], still

    def _change(self, piece: Sentence, late: bool) -> PromptChange:
        start, stop = piece.start, piece.stop
        if not self.hides:
            return PromptChange(((start, self._neutral[: stop - start]),))
        return PromptChange(
            hidden=(Hidden(start, stop, self._asked.question[0] if late else stop),)
        )


def says_without(
    model: InstrumentedModel,
    asked: PromptParts,
    table: pd.DataFrame,
    length: int,
    progress: Progress,
) -> list[str]:
    """What the model says when a sentence is cut out of the prompt, greedily; for the sentences
    that cost most, "" for the others.
    """
    progress(0.0, "What is said without a sentence")
    chosen = table.loc[table["cost"].nlargest(_CUT).index]
    cut = [
        [*asked.ids[:start], *asked.ids[stop:]]
        for start, stop in zip(chosen["start"], chosen["stop"], strict=True)
    ]
    said = dict(zip(chosen.index, continuations(model, cut, length), strict=True))
    return [said.get(row, "") for row in table.index]


def token_table(
    model: InstrumentedModel,
    asked: PromptParts,
    answer: Sequence[int],
    gradient: np.ndarray | None,
    sentences: pd.DataFrame | None,
    progress: Progress,
) -> pd.DataFrame:
    """A row for each token of the prompt: what the answer loses where the prompt's last token and
    the answer do not see it (NaN of the last itself), and the gradient's guess of the same.

    Args:
        gradient: gradient times embedding of each token, in nats, (token,).
        sentences: see `sentence_table`; in a prompt of more than 400 tokens only those of the
            question and of the sentences that cost most are hidden.
    """
    import pandas as pd

    n = len(asked.ids)
    costs = np.full(n, np.nan)
    if unavailable_reason(model) is None and n > 1:
        tried = _tried(asked, sentences)
        changes = [PromptChange(hidden=(Hidden(pos, pos + 1, n - 1),)) for pos in tried]
        total = read_answer(
            model, asked.ids, answer, [PromptChange(), *changes], progress
        ).total.numpy()
        costs[tried] = total[0] - total[1:]
    parts = [_part_of(asked, pos) for pos in range(n)]
    guess = np.full(n, np.nan) if gradient is None else gradient
    return pd.DataFrame({
        "pos": range(n), "token": model.prompt_strings(asked.ids), "part": parts,
        "cost": costs, "gradient": guess,
    })  # fmt: skip


def _tried(asked: PromptParts, sentences: pd.DataFrame | None) -> list[int]:
    """The tokens that are hidden: all but the last of a short prompt."""
    n = len(asked.ids)
    if n <= LONG or sentences is None:
        return list(range(n - 1))
    best = sentences.loc[sentences["cost"].nlargest(_CUT).index]
    inside = {
        pos
        for start, stop in zip(best["start"], best["stop"], strict=True)
        for pos in range(int(start), int(stop))
    }
    return sorted(inside | set(range(asked.question[0], n - 1)))


def gradient_of(model: InstrumentedModel, asked: PromptParts, answer: Sequence[int]) -> np.ndarray:
    """Gradient of the answer's log-probability times each token's embedding, in nats, (token,)."""
    from hooks.gradients.activations import activation_gradients
    from hooks.metrics import continuation_loss

    loss = continuation_loss(len(answer))
    whole = [*asked.ids, *answer]
    trace = activation_gradients(
        model, [whole], loss, sites="resid_pre", layers=[0], times_activation=True
    )
    values = trace["resid_pre"].isel(prompt=0, layer=0).sum("d_model").values
    # The loss is the mean of the answer's tokens, and falls where the log-probability rises.
    found: np.ndarray = -len(answer) * values[: len(asked.ids)]
    return found


def _part_of(asked: PromptParts, pos: int) -> str:
    if pos >= asked.question[0]:
        return "question"
    inside: list[Range] = [each for each in asked.context if each[0] <= pos < each[1]]
    return "context" if inside else "format"

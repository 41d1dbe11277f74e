"""Which passages are looked at: memorized, partly memorized, and not memorized but as like them
as can be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.measures.scoring import batch_size
from analyses.weights.paragraph_memorization.constants import GROUPS, MEMORIZED, NOT, PARTLY
from hooks import out_of_memory
from workbench.errors import BadInput
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.measures.window_scores import Scores
    from analyses.measures.windows import Window
    from hooks.model import InstrumentedModel
    from workbench.texts import Document

_LITTLE = 0.2
"""Share of the suffix up to which a match counts as none: 10 of 50 tokens in Stoehr et al. 2024."""


@dataclass(frozen=True)
class Passage:
    """A passage that is looked at.

    Attributes:
        number: its place in the run, by which tables and views name it.
        name, kind, repeats: of the document it is from; repeats None where unknown.
        group: one of `GROUPS`.
        prompt: what the model is given, with what stands before every text, token ids.
        suffix: what follows in the text, token ids.
        match: leading tokens of the suffix that greedy decoding says.
        loss: of the suffix, nats per token.
        window: which of the windows that were read.
        beginning: tokens that stand before every text.
        document: which of the documents it is from; passages of one go together.
    """

    number: int
    window: int
    name: str
    kind: str
    repeats: int | None
    group: str
    prompt: list[int]
    suffix: list[int]
    match: int
    loss: float
    beginning: int
    document: int

    @property
    def prefix_positions(self) -> list[int]:
        """Where in the prompt its own tokens stand, without what stands before every text."""
        return list(range(self.beginning, len(self.prompt)))


def group_of(match: np.ndarray, length: int) -> np.ndarray:
    """The group of each match."""
    return np.select([match == length, match > _LITTLE * length], [MEMORIZED, PARTLY], NOT)


def choose(
    documents: Sequence[Document], windows: Sequence[Window], scores: Scores, most: int
) -> tuple[list[Passage], dict[str, int]]:
    """Up to `most` passages of each group, and how many each group has in all.

    Memorized ones are spread evenly over their kinds, the surest of each kind first. For each of
    them one of the others is taken, of the same kind where there is one, and of those the one whose
    loss is nearest: lengths are the same anyhow.

    Raises:
        BadInput: nothing is memorized, or everything is.
    """
    length = len(windows[0].suffix)
    groups = group_of(scores.match, length)
    loss = -scores.logprob.mean(-1)
    kinds = np.array([documents[w.document].kind for w in windows])
    varied = np.array(
        [len(set(w.suffix)) >= 0.3 * length for w in windows]
    )  # what repeats itself says nothing
    counts = {group: int((groups == group).sum()) for group in GROUPS}
    memorized = np.flatnonzero((groups == MEMORIZED) & varied)
    if not len(memorized):
        raise BadInput(
            f"Greedy decoding reproduces none of the {counted(len(windows), 'suffix')}: the longest"
            f" match is {int(scores.match.max())} of {length} tokens.",
            f"at least one passage whose {length} suffix tokens greedy decoding reproduces",
            "Choose a shorter suffix, give texts it has memorized, or plant some: workbench plant.",
        )
    first = _spread(memorized, kinds, scores.margin, most)
    chosen = {MEMORIZED: first}
    for group in (PARTLY, NOT):
        chosen[group] = _alike(first, np.flatnonzero((groups == group) & varied), kinds, loss)
    if not chosen[NOT]:
        raise BadInput(
            "Greedy decoding reproduces the suffix of all of these passages.",
            "some passages that are not memorized, to compare with",
            "Add texts of the same kind that were not in the training data.",
        )
    passages: list[Passage] = []
    for group in GROUPS:
        for index in chosen[group]:
            window = windows[index]
            document = documents[window.document]
            name = document.name if window.start == 0 else f"{document.name} @{window.start}"
            passages.append(
                Passage(
                    len(passages),
                    index,
                    name,
                    document.kind,
                    document.repeats,
                    group,
                    window.prompt,
                    list(window.suffix),
                    int(scores.match[index]),
                    float(loss[index]),
                    len(window.beginning),
                    window.document,
                )
            )
    return passages, counts


def _spread(indices: np.ndarray, kinds: np.ndarray, margin: np.ndarray, most: int) -> list[int]:
    """From each kind in turn, the largest margin first."""
    by_kind = {
        kind: sorted((i for i in indices if kinds[i] == kind), key=lambda i: -margin[i])
        for kind in dict.fromkeys(kinds[indices])
    }
    chosen: list[int] = []
    while len(chosen) < most and any(by_kind.values()):
        for left in by_kind.values():
            if left and len(chosen) < most:
                chosen.append(int(left.pop(0)))
    return chosen


def _alike(like: Sequence[int], pool: np.ndarray, kinds: np.ndarray, loss: np.ndarray) -> list[int]:
    """One of the pool for each of `like`, none twice: of the same kind if there is one, then the
    nearest loss.
    """
    left, chosen = list(map(int, pool)), []
    for index in like:
        if not left:
            break
        best = min(left, key=lambda i: (kinds[i] != kinds[index], abs(loss[i] - loss[index])))
        left.remove(best)
        chosen.append(best)
    return chosen


@torch.no_grad()
def greedy_match(
    model: InstrumentedModel, passages: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> tuple[np.ndarray, np.ndarray]:
    """(leading tokens said, loss in nats per token) of each (prompt, suffix), from one pass.

    Honours interventions.
    """
    match, loss = np.zeros(len(passages), np.int64), np.zeros(len(passages))
    by_length: dict[tuple[int, int], list[int]] = {}
    for n, (prompt, suffix) in enumerate(passages):
        by_length.setdefault((len(prompt), len(suffix)), []).append(n)

    def read(part: list[int]) -> None:
        ids = torch.tensor([[*passages[n][0], *passages[n][1]] for n in part], device=model.device)
        targets = ids[:, -len(passages[part[0]][1]) :]
        logits = model.forward(
            input_ids=ids[:, :-1], logits_to_keep=targets.shape[1], use_cache=False
        ).logits.float()
        match[part] = (logits.argmax(-1) == targets).long().cumprod(-1).sum(-1).cpu().numpy()
        loss[part] = (
            (logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0])
            .mean(-1)
            .cpu()
            .numpy()
        )

    for (prompt_length, suffix_length), rows in by_length.items():
        size = batch_size(model, prompt_length, suffix_length)
        for start in range(0, len(rows), size):
            out_of_memory.in_parts(model, rows[start : start + size], read)
    return match, loss


def neutral(
    model: InstrumentedModel, length: int, beginning: Sequence[int], count: int
) -> list[tuple[list[int], list[int]]]:
    """Passages of public-domain prose that no organism reads in training, as (prompt, suffix),
    halves of equal length.
    """
    from workbench.organisms import corpus

    rows = []
    for document in corpus.documents("neutral"):
        ids = model.text.encode(document.text[: 12 * length])[:length]
        if len(ids) == length:
            rows.append(([*beginning, *ids[: length // 2]], ids[length // 2 :]))
        if len(rows) == count:
            break
    return rows

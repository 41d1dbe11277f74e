"""What an edit does to everything else: neutral text, other facts, the way the model writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.weights.edit_ledger.asking import ask
from analyses.weights.edit_ledger.cases import EditCase, EditQuestion
from analyses.weights.edit_ledger.consistency import write
from workbench import facts

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_NEUTRAL = 768  # tokens of neutral text
_WINDOW = 256
_OTHER = 24  # facts of other relations that are asked
_SHARES = (2 / 3, 4 / 3)  # weights of bigrams and trigrams in the entropy


@dataclass(frozen=True)
class Elsewhere:
    """The model apart from what was edited.

    Attributes:
        loss: on neutral text, nats per token.
        known: share of facts of other relations that are still answered rightly.
        entropy: of the word pairs and triples that it writes on about the subject, bits; low where
            it repeats itself (Meng et al. 2022).
        texts: what it writes on about each of the subjects that were given.
        next_logp: of every next token in the neutral text, (token, d_vocab) float32, to compare
            two models.
    """

    loss: float
    known: float
    entropy: float
    texts: tuple[str, ...]
    next_logp: torch.Tensor

    def kl_from(self, other: Elsewhere) -> float:
        """Mean KL(other || this) of the next token, nats."""
        p, q = other.next_logp, self.next_logp
        return float((p.exp() * (p - q)).sum(-1).mean())


class Yardstick:
    """Neutral text and other facts, the same for every edit of a run.

    Args:
        edited: subjects that edits are about.
    """

    def __init__(self, model: InstrumentedModel, edited: AbstractSet[str], seed: int) -> None:
        self.model = model
        ids = model.text.encode(facts.neutral_text())[:_NEUTRAL]
        first = list(model.text.beginning)
        self._windows = [[*first, *ids[at : at + _WINDOW]] for at in range(0, len(ids), _WINDOW)]
        self._windows = [w for w in self._windows if len(w) > len(first) + 1]
        self._skip = max(len(first), 1)
        self._questions = self._known_elsewhere(edited, seed)

    def _known_elsewhere(self, edited: AbstractSet[str], seed: int) -> list[EditQuestion]:
        """Facts of relations whose subjects the edits do not touch, that the model knows."""
        rng = np.random.default_rng(seed)
        found: list[EditQuestion] = []
        for name, other in facts.relations().items():
            if edited & {f.subject for f in other.facts}:
                continue
            for n in rng.permutation(len(other.facts))[: 2 * _OTHER]:
                fact = other.facts[n]
                text = other.closed_book_prompt(fact.subject).text
                found.append(EditQuestion(name, text, fact.answer, fact.answer))
        replies = ask(self.model, found)
        known = [q for q, right in zip(found, replies.gives_old, strict=True) if right]
        return [known[n] for n in rng.permutation(len(known))[:_OTHER]]

    @property
    def n_known(self) -> int:
        """How many facts of other relations are asked."""
        return len(self._questions)

    @torch.no_grad()
    def read(
        self, cases: Sequence[EditCase] = (), before: Callable[[str], str] = lambda text: text
    ) -> Elsewhere:
        """The model as it is now.

        Args:
            cases: of whose subjects something is written; none leaves the entropy out (nan).
            before: what the model is given in place of the prompt for that.
        """
        model, loss, kept = self.model, [], []
        for window in self._windows:
            batch = model.batch([window])
            logits = model.forward(**batch.kwargs(), use_cache=False).logits[0].float().cpu()
            logp = logits[:-1].log_softmax(-1)[self._skip - 1 :]
            targets = torch.tensor(window[self._skip :])
            loss.append(-logp.gather(1, targets[:, None])[:, 0])
            kept.append(logp[:: max(1, len(logp) // 16)])
        known = ask(model, self._questions).gives_old.mean() if self._questions else np.nan
        texts = self.written(cases, before)
        return Elsewhere(
            float(torch.cat(loss).mean()), float(known), mean_entropy(texts), texts,
            torch.cat(kept),
        )  # fmt: skip

    def written(
        self, cases: Sequence[EditCase], before: Callable[[str], str] = lambda text: text
    ) -> tuple[str, ...]:
        """What the model as it is now writes on about each subject."""
        return tuple(write(self.model, [before(case.writing) for case in cases]))


def mean_entropy(texts: Sequence[str]) -> float:
    """Mean `word_entropy`; nan without texts."""
    return float(np.mean([word_entropy(text) for text in texts])) if texts else np.nan


def word_entropy(text: str) -> float:
    """2/3 of the entropy of word pairs + 4/3 of that of triples, in bits."""
    words = text.split()
    total = 0.0
    for n, share in zip((2, 3), _SHARES, strict=True):
        counts = Counter(zip(*(words[i:] for i in range(n)), strict=False))
        p = np.array(list(counts.values()), float) / max(1, sum(counts.values()))
        total += share * float(-(p * np.log2(p)).sum())
    return total

"""Proof: heads chosen on one half of the subjects are pruned on the other half, beside random
sets and what it costs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.context.knowledge_conflict.answer_rates import CaseRunner, Rates
from analyses.context.knowledge_conflict.cases import Case
from analyses.context.knowledge_conflict.constants import OUTCOMES, Head
from analyses.context.knowledge_conflict.headroom import WINS
from analyses.measures.closed_book import closed_prompts, matches_answer
from analyses.measures.fact_prompts import ids_of
from analyses.measures.statistics import two_way
from hooks.decode import Factors, InterventionDecoder, scaled
from workbench.facts import Format, Relation, neutral_text
from workbench.selection import head_name
from workbench.wording import counted

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

NEUTRAL_TOKENS, NEUTRAL_CHUNK = 768, 256


def prune(heads: Sequence[Head]) -> Factors:
    """Zero at every position and every generated token."""
    return dict.fromkeys(heads, 0.0)


def k_curve(
    measured: CaseRunner,
    ranked: Sequence[Head],
    group: str,
    grid: Sequence[int],
    progress: Progress,
) -> dict[int, Rates]:
    """Rates on the choosing half when the k strongest heads of a group are pruned, for each k of
    the grid.
    """
    curve = {}
    for n, k in enumerate(k for k in grid if k <= len(ranked)):
        progress(
            n / len(grid),
            f"Switching off the {counted(k, f'{group} head')} with the largest effect",
        )
        curve[k] = measured.rates(prune(ranked[:k]))
    return curve


def best_k(curve: Mapping[int, Rates], group: str) -> int:
    """The k that hands over most answers on the choosing half; of equals the smallest.

    0 if there is none to prune.
    """
    return max(curve, key=lambda k: (curve[k][WINS[group]], -k), default=0)


@dataclass(frozen=True)
class RandomSets:
    """Random sets of k heads, and what the model answers without each.

    `outcomes` is (set, case).
    """

    k: int
    heads: list[list[Head]]
    outcomes: np.ndarray

    def rate(self, outcome: str) -> tuple[float, tuple[float, float]]:
        """Mean over sets and cases, and its 95 % interval if both were drawn again."""
        return two_way(self.outcomes == outcome)

    def rows(self, group: str) -> list[dict[str, Any]]:
        """One row of a table for each set."""
        return [
            {
                "group": group,
                "k": self.k,
                "set": n,
                "heads": " ".join(head_name(*h) for h in heads),
                **{o: float((outcomes == o).mean()) for o in OUTCOMES},
                "n": len(outcomes),
            }
            for n, (heads, outcomes) in enumerate(zip(self.heads, self.outcomes, strict=True))
        ]

    def row(self, **more: Any) -> dict[str, Any]:
        """One row for all of them: rates, their bounds, how many cases and how many sets."""
        row = {**more, "n": self.outcomes.shape[1], "sets": len(self.heads)}
        for o in OUTCOMES:
            row[o], (row[f"{o}_low"], row[f"{o}_high"]) = self.rate(o)
        return row

    def and_those(self, other: RandomSets) -> RandomSets:
        """Both together, of one size."""
        assert self.k == other.k, "sets of different sizes are no sample of anything"
        return RandomSets(
            self.k, [*self.heads, *other.heads], np.concatenate([self.outcomes, other.outcomes])
        )


def random_sets(
    measured: CaseRunner,
    pool: Sequence[Head],
    group: str,
    k: int,
    how_many: int,
    seed: int,
    progress: Progress,
) -> RandomSets:
    """What is answered when k heads drawn at random from `pool` are pruned, `how_many` times."""
    rng = random.Random(f"{seed} {group}")
    drawn, outcomes = [], []
    for n in range(how_many):
        progress(
            n / how_many, f"Switching off {counted(k, 'random head')}: set {n + 1} of {how_many}"
        )
        drawn.append(sorted(rng.sample(list(pool), k)))
        outcomes.append(measured.rates(prune(drawn[-1])).outcomes)
    return RandomSets(k, drawn, np.array(outcomes))


class SideEffects:
    """What an intervention costs where nothing conflicts: closed-book accuracy, and loss on
    neutral text.
    """

    def __init__(
        self,
        model: InstrumentedModel,
        relation: Relation,
        cases: Sequence[Case],
        format: Format | None = None,
    ) -> None:
        self._model, self._cases = model, list(cases)
        prompts = closed_prompts(model, relation, [c.fact.subject for c in cases], format)
        self._completer = InterventionDecoder(model, [ids_of(model, p) for p in prompts])
        self._longest = max(len(model.continuation_tokens(" " + c.fact.answer)) for c in cases) + 2
        ids, self._first = (
            model.text.encode(neutral_text())[:NEUTRAL_TOKENS],
            list(model.text.beginning),
        )
        size = min(NEUTRAL_CHUNK, (model.card.context_length or NEUTRAL_CHUNK) - len(self._first))
        self._chunks = [ids[i : i + size] for i in range(0, len(ids) - 1, size)]

    def closed_book(self, factors: Factors | None = None) -> float:
        """Fraction of the held-out facts still answered without context (1.0 unchanged: they
        were chosen so).
        """

        def is_decided(row: int, text: str) -> bool:
            return matches_answer(text, self._cases[row].fact.answer, ended=False) is not None

        with self._completer.with_head_scales(factors) as reading:
            completions = reading.complete(is_decided, max_new_tokens=self._longest)
        right = [
            bool(matches_answer(s.text, c.fact.answer, ended=True))
            for s, c in zip(completions, self._cases, strict=True)
        ]
        return sum(right) / len(right)

    @torch.no_grad()
    def loss(self, factors: Factors | None = None) -> float:
        """Mean loss on the neutral text, nats per token."""
        total, count = 0.0, 0
        with scaled(self._model, factors or {}):
            for chunk in self._chunks:
                ids = torch.tensor([self._first + chunk], device=self._model.device)
                logits = self._model.forward(input_ids=ids, use_cache=False).logits[0, :-1].float()
                logits, ids = (
                    logits[len(self._first) :],
                    ids[:, len(self._first) :],
                )  # the same tokens for every model
                total += float(
                    torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
                )
                count += len(chunk) - 1
        return total / count

    def row(self, condition: str, factors: Factors | None = None) -> dict[str, Any]:
        return {
            "condition": condition,
            "closed_book": self.closed_book(factors),
            "loss": self.loss(factors),
        }

"""Proof: heads chosen on one half of the subjects are pruned on the other half, beside random sets and what it costs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from analyses.knowledge_conflict.cases import Case, closed_prompts, says
from analyses.knowledge_conflict.chat import ids_of
from analyses.knowledge_conflict.measure import Measured
from hooks.decode import Completer, Factors, scaled
from workbench.facts import Format, Relation, neutral_text
from workbench.selection import head_name

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

Head = tuple[int, int]
# Pruning one group is meant to hand the answer to the other side.
WINS = {"context": "memory", "memory": "context"}
NEUTRAL_TOKENS, NEUTRAL_CHUNK = 768, 256


def prune(heads: Sequence[Head]) -> Factors:
    """Zero at every position and every generated token."""
    return dict.fromkeys(heads, 0.0)


def k_curve(
    measured: Measured, ranked: Sequence[Head], group: str, grid: Sequence[int], progress: Progress
) -> list[dict[str, Any]]:
    """Rates on the choosing half when the k strongest heads of a group are pruned, for each k of the grid."""
    rows = []
    for n, k in enumerate(k for k in grid if k <= len(ranked)):
        progress(n / len(grid), f"Pruning the top {k} {group} heads")
        rates = measured.rates(prune(ranked[:k]))
        rows.append(rates.row(group=group, k=k, heads=" ".join(head_name(*h) for h in ranked[:k])))
    return rows


def best_k(curve: Sequence[dict[str, Any]], group: str) -> int:
    """The k that hands over most answers on the choosing half; of equals the smallest. 0 if there is none to prune."""
    return max(curve, key=lambda row: (row[WINS[group]], -row["k"]), default={"k": 0})["k"]


def random_sets(
    measured: Measured, pool: Sequence[Head], group: str, k: int, how_many: int, seed: int, progress: Progress
) -> list[dict[str, Any]]:
    """Rates when k heads drawn at random from `pool` are pruned, `how_many` times."""
    rng = random.Random(f"{seed} {group}")
    rows = []
    for n in range(how_many):
        progress(n / how_many, f"Pruning random heads, {k} at a time: set {n + 1} of {how_many}")
        heads = sorted(rng.sample(list(pool), k))
        rates = measured.rates(prune(heads))
        names = " ".join(head_name(*h) for h in heads)
        rows.append({"group": group, "k": k, "set": n, "heads": names, **{o: rates[o] for o in rates.counts}, "n": rates.n})
    return rows


class Cost:
    """What an intervention costs where nothing conflicts: closed-book accuracy, and loss on neutral text."""

    def __init__(self, model: InstrumentedModel, relation: Relation, cases: Sequence[Case], format: Format | None = None) -> None:
        self._model, self._cases = model, list(cases)
        prompts = closed_prompts(model, relation, [c.fact.subject for c in cases], format)
        self._completer = Completer(model, [ids_of(model, p) for p in prompts])
        self._longest = max(len(model.continuation_tokens(" " + c.fact.answer)) for c in cases) + 2
        ids, self._first = model.text.encode(neutral_text())[:NEUTRAL_TOKENS], list(model.text.beginning)
        size = min(NEUTRAL_CHUNK, (model.card.context_length or NEUTRAL_CHUNK) - len(self._first))
        self._chunks = [ids[i : i + size] for i in range(0, len(ids) - 1, size)]

    def closed_book(self, factors: Factors | None = None) -> float:
        """Fraction of the held-out facts still answered without context (1.0 unchanged: they were chosen so)."""

        def decided(row: int, text: str) -> bool:
            return says(text, self._cases[row].fact.answer, ended=False) is not None

        with self._completer.under(factors) as reading:
            said = reading.complete(decided, max_new_tokens=self._longest)
        right = [bool(says(s.text, c.fact.answer, ended=True)) for s, c in zip(said, self._cases, strict=True)]
        return sum(right) / len(right)

    @torch.no_grad()
    def loss(self, factors: Factors | None = None) -> float:
        """Mean loss on the neutral text, nats per token."""
        total, count = 0.0, 0
        with scaled(self._model, factors or {}):
            for chunk in self._chunks:
                ids = torch.tensor([self._first + chunk], device=self._model.device)
                logits = self._model.forward(input_ids=ids, use_cache=False).logits[0, :-1].float()
                logits, ids = logits[len(self._first) :], ids[:, len(self._first) :]  # the same tokens for every model
                total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
                count += len(chunk) - 1
        return total / count

    def row(self, condition: str, factors: Factors | None = None) -> dict[str, Any]:
        return {"condition": condition, "closed_book": self.closed_book(factors), "loss": self.loss(factors)}

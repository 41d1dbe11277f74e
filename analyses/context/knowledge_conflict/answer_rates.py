"""Rates: how often the model answers from memory, from the context, or with something else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analyses.context.knowledge_conflict.cases import Case, outcome
from analyses.context.knowledge_conflict.constants import OUTCOMES
from analyses.measures.closed_book import EXTRA_TOKENS
from analyses.measures.statistics import wilson
from hooks.decode import Completion, Factors, InterventionDecoder
from workbench.result import Finding

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class Rates:
    """Counts of outcomes over cases.

    `first` counts by the first token alone, as much of the literature does.

    `outcomes` has that of every case in turn, so that two conditions can be compared case by case.
    """

    counts: Mapping[str, int]
    first: Mapping[str, int] = field(default_factory=dict)
    outcomes: tuple[str, ...] = ()

    @classmethod
    def of(cls, outcomes: Sequence[str], first: Sequence[str] = ()) -> Rates:
        counts = {name: outcomes.count(name) for name in OUTCOMES}
        return cls(counts, {name: first.count(name) for name in OUTCOMES if first}, tuple(outcomes))

    @property
    def by_first_token(self) -> dict[str, float]:
        """Rates by the first token alone: `memory_first_token` and so on; empty if not counted."""
        return {f"{name}_first_token": count / self.n for name, count in self.first.items()}

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    def __getitem__(self, name: str) -> float:
        return self.counts[name] / self.n if self.n else math.nan

    def interval(self, name: str) -> tuple[float, float]:
        return wilson(self.counts[name], self.n)

    def row(self, **more: Any) -> dict[str, Any]:
        """A row of a table: rates, their bounds and n."""
        row: dict[str, Any] = {
            **more,
            **{name: self[name] for name in OUTCOMES},
            **self.by_first_token,
            "n": self.n,
        }
        for name in OUTCOMES:
            row[f"{name}_low"], row[f"{name}_high"] = self.interval(name)
        return row

    def finding(self, name: str, says: str) -> Finding:
        return Finding(
            name,
            {**{o: self[o] for o in OUTCOMES}, **self.by_first_token, "n": self.n},
            says,
            unit="fraction of held-out facts",
            interval={o: self.interval(o) for o in OUTCOMES},
        )


@dataclass(frozen=True)
class Responses:
    """What the model generated for each case, and how likely either answer was to it: (first token,
    whole answer), in nats.
    """

    generated: list[Completion]
    logp: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)


class CaseRunner:
    """Cases read once; asked again and again under different head factors."""

    def __init__(self, model: InstrumentedModel, cases: Sequence[Case]) -> None:
        self.model, self.cases = model, list(cases)
        self._completer = InterventionDecoder(model, [case.ids for case in self.cases])
        self._longest = max(max(len(c.memory), len(c.context)) for c in self.cases) + EXTRA_TOKENS

    def ask(self, factors: Factors | None = None, *, logp: bool = False) -> Responses:
        """Ask every case, up to where its outcome is clear; with `logp`, score both whole
        answers too.
        """

        def is_decided(row: int, text: str) -> bool:
            case = self.cases[row]
            return outcome(text, case.fact.answer, case.counterfactual, ended=False) is not None

        with self._completer.with_head_scales(factors) as reading:
            generated = reading.complete(is_decided, max_new_tokens=self._longest)
            if not logp:
                return Responses(generated)
            scores = {
                which: reading.logp([getattr(case, which) for case in self.cases])
                for which in ("memory", "context")
            }
        return Responses(
            generated,
            {which: (first.tolist(), whole.tolist()) for which, (first, whole) in scores.items()},
        )

    def rates(self, factors: Factors | None = None) -> Rates:
        return rates_of(self.ask(factors).generated, self.cases)


def rates_of(generated: Sequence[Completion], cases: Sequence[Case]) -> Rates:
    """Rates of what was generated, by whole answer and by first token."""
    whole = [
        outcome(s.text, c.fact.answer, c.counterfactual, ended=True) or "other"
        for s, c in zip(generated, cases, strict=True)
    ]
    first = [
        "memory" if s.first == c.memory[0] else "context" if s.first == c.context[0] else "other"
        for s, c in zip(generated, cases, strict=True)
    ]
    return Rates.of(whole, first)

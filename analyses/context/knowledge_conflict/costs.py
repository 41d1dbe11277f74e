"""What the parts of a knowledge-conflict run cost.

How many facts the model knows, and which heads are found, shows only in the run: as many facts are
counted as are asked for (at most all of the relation), and heads that lie where such heads lay.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from analyses.context.knowledge_conflict.dial import STEPS
from analyses.context.knowledge_conflict.held_out_eval import NEUTRAL_TOKENS
from analyses.context.knowledge_conflict.mixed_evidence import MIXES
from analyses.context.knowledge_conflict.params import Params, relation_and_format
from analyses.context.knowledge_conflict.rank_heads import locating
from analyses.context.knowledge_conflict.transfer import CHOOSING, FACTS
from analyses.measures import closed_book
from analyses.measures.fact_prompts import ids_of, rendered
from workbench import facts
from workbench.cost import Cost, total
from workbench.facts import render

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_SAMPLE, _FEW = 40, 6  # facts whose prompts are tokenized to know how long prompts are
_KNOWN = 0.45  # of another relation's facts are known closed-book
_GROUPS = 2  # memory heads and context heads
_DECIDED = 0.6  # of the longest answer's tokens: steps until a batch of answers is decided
# A change of some heads reads a prompt again from the lowest of their layers on: this share of all
# layers, for heads that decide (from the middle on) and for random ones.
_FOUND, _RANDOM = 0.45, 0.7
_LONGER = 1.4  # tokens of several sentences and a question, for each with one
_BATCH = 64  # prompts that share a pass
_FLOAT = 4  # bytes
# Prompts are held as they are read and once more under a change; beside logits there are their
# logarithms and a copy; a pass with gradients keeps so many vectors of each layer (measured).
_HELD, _COPIES, _KEPT = 2, 3, 18


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    relation, format = relation_and_format(params)
    size = Prompts.of(model, relation, format)
    n = min(params.max_facts, len(relation.facts))
    half = -(-n // 2)
    curve = size.asking(half, _FOUND) * len(params.k_grid)
    return {
        "rates": {
            "closed book": size.closed_book(),
            "rates": size.asking(n, 1.0) + size.scoring(n),
        },
        "heads": {
            "locate": total(locating(model, half, size.length, params.all_positions).values())
            + Cost(forward=(n + half) * size.length, passes=_passes(n) + _passes(half))
            + Cost(bytes=size.held(n) + size.graph(half)),
        },
        "pruning": {
            # Both halves are read; two rankings are tried.
            "choose": size.reading(n) + curve * (2 * _GROUPS),
            "held out": size.asking(half, _RANDOM) * (params.random_sets * _GROUPS),
        },
        "side_effects": {
            "side effects": (
                size.closed_asking(half) + Cost(forward=NEUTRAL_TOKENS, passes=3)
            )
            * (1 + _GROUPS),
        },
        "dial": {"dial": (size.asking(half, _FOUND) + size.scoring(half)) * len(STEPS)},
        "transfer": _transfer(model, relation, format),
        "evidence": {"evidence": size.asking(params.evidence_facts, _LONGER) * (2 * len(MIXES))},
    }  # fmt: skip


def _transfer(
    model: InstrumentedModel, relation: facts.Relation, format: facts.Format
) -> dict[str, Cost]:
    relations = {**facts.relations(), relation.name: relation}
    formats = {**facts.formats(), format.name: format}
    kinds = {
        "relation": [Prompts.of(model, one, format, _FEW) for one in relations.values()],
        "format": [Prompts.of(model, relation, one, _FEW) for one in formats.values()],
    }
    costs = {"other closed books": total(size.closed_book() for size in kinds["relation"])}
    for kind, sizes in kinds.items():
        heads, on = Cost(), Cost()
        for size in sizes:
            known = min(FACTS, round(_KNOWN * len(size.relation.facts)) or 1)
            chosen_on = min(CHOOSING, -(-known // 2))
            heads += total(locating(model, chosen_on, size.length, "candidates").values())
            heads += size.reading(known // 2)
            on += size.asking(known // 2, _FOUND) * (_GROUPS * len(sizes))
        costs |= {f"heads of {kind}s": heads, f"heads on {kind}s": on}
    return costs


@dataclass(frozen=True)
class Prompts:
    """How long the prompts of a relation in a format are, in tokens, each mean over a few facts."""

    model: InstrumentedModel
    relation: facts.Relation
    format: facts.Format
    closed: float
    length: float
    answer: float

    @classmethod
    def of(
        cls,
        model: InstrumentedModel,
        relation: facts.Relation,
        format: facts.Format,
        sample: int = _SAMPLE,
    ) -> Prompts:
        some = relation.facts[:: max(1, len(relation.facts) // sample)]
        bare = closed_book.closed_prompts(model, relation, [f.subject for f in some], format)
        whole = [rendered(model, render(format, relation, f.subject, f.answer)) for f in some]
        return cls(
            model,
            relation,
            format,
            max(len(ids_of(model, prompt)) for prompt in bare),
            fmean(len(ids_of(model, prompt)) for prompt in whole),
            max(
                len(model.continuation_tokens(prompt.continuation(fact.answer)))
                for prompt, fact in zip(bare, some, strict=True)
            ),
        )  # fmt: skip

    def closed_book(self) -> Cost:
        """Every fact of the relation, asked without context."""
        return self.closed_asking(len(self.relation.facts))

    def closed_asking(self, n: int) -> Cost:
        steps = self.answer + closed_book.EXTRA_TOKENS
        return Cost(n * (self.closed + steps), _passes(n, 48) * (1 + steps))

    def reading(self, n: int) -> Cost:
        return Cost(n * self.length, _passes(n), bytes=self.held(n))

    def asking(self, n: int, share: float) -> Cost:
        """Prompts read from some layer on, and completed until they are decided."""
        return Cost(
            n * (self.length * share + 1),
            _passes(n) * (share + _DECIDED * self.answer),
            bytes=self.held(n),
        )

    def scoring(self, n: int) -> Cost:
        """Both whole answers after every prompt."""
        logits = 2 * n * self.answer * self.model.card.d_vocab * _FLOAT
        return Cost(2 * n * self.answer, 2 * _passes(n), bytes=self.held(n) + _COPIES * logits)

    def held(self, n: int) -> float:
        """Bytes of so many prompts as they are kept for being continued: keys, values and the
        residual stream of every layer.
        """
        card = self.model.card
        numbers = card.d_model + 2 * card.n_kv_heads * card.d_head
        return _HELD * n * self.length * card.n_layers * numbers * _FLOAT

    def graph(self, n: int) -> float:
        """Bytes of a pass over so many prompts that gradients go back through."""
        card = self.model.card
        return _KEPT * n * self.length * card.n_layers * card.d_model * _FLOAT


def _passes(n: int, batch: int = _BATCH) -> int:
    return -(-n // batch)

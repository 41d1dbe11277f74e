"""What the parts of a recall-capacity run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures.pair_questions import of_task, too_few_words, vocabulary_of
from analyses.state.recall_capacity import exact_pairs as kept
from analyses.state.recall_capacity import small_fits as small
from analyses.state.recall_capacity.chain_order import LAYERS, STEPS
from analyses.state.recall_capacity.exact_pairs import unavailable_reason as no_errors
from analyses.state.recall_capacity.measure import BATCH
from analyses.state.recall_capacity.memories import CONDITIONS, lacks_a_memory
from analyses.state.recall_capacity.params import Params
from analyses.state.recall_capacity.recall import middle, rebound, repeated
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from analyses.measures.pair_questions import Vocabulary
    from hooks.model import InstrumentedModel

_NUMBER = 4  # bytes
_ORGANISM = 3e-5  # seconds that a small organism takes for a token
_OPENING = 0.3  # … and to be opened
_ITEM = 1.3e-8  # seconds for an item and a dimension of an outer-product memory
_SET = 9e-5  # seconds for a head, a token of context and a step of the layers of heads
_CHAIN = 0.02  # … for a layer and a step on chains
_LETTER = 1.4e-3  # … for a token of a text and a step of the transformers that recite
_LABELS = 0.025  # … for a step on random labels
_SENTENCES = 0.012  # … for a step on sentences
_EXPECTED = 0.4  # … for what the theory says of one dimension


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    from analyses.state.recall_capacity.stored import organisms

    task = of_task()
    tokens = sum(_rows(params) * task.length(pairs) for pairs in params.pairs)
    numbers = params.memories * params.items * sum(params.dimensions)
    return {
        "recall": {} if too_few_words(model) else _recall(model, params),
        "state_size": {
            "organisms": Cost(seconds=len(organisms()) * (_OPENING + _ORGANISM * tokens))
        },
        "memories": {} if lacks_a_memory(model) else _memories(model, params),
        "heads": {"sets": Cost(seconds=params.trainings * _heads())},
        "eidetic": {} if no_errors(model) else {"kept": _kept()},
        "tasks": {},
        "recitation": {
            "recitation": Cost(
                seconds=params.trainings
                * _LETTER
                * small.RECITE_STEPS
                * len(small.ITEMS)
                * sum(length + 4 for length in small.LENGTHS)
            )
        },
        "vocabulary": {
            "vocabulary": Cost(
                seconds=params.trainings * _LABELS * small.LABEL_STEPS * 2 * len(small.MERGES)
            )
        },
        "sentences": {
            "sentences": Cost(seconds=params.trainings * 2 * _SENTENCES * small.SENTENCE_STEPS)
        },
        "chains": {"chains": Cost(seconds=params.trainings * _CHAIN * STEPS * sum(LAYERS))},
        "outer_product": {
            "memories": Cost(
                bytes=2.0 * _NUMBER * params.items * max(params.dimensions),
                seconds=_ITEM * numbers + _EXPECTED * len(params.dimensions),
            )
        },
    }


def _kept() -> Cost:
    """Rows that choose and rows that measure, each read once whole and once up to the questions."""
    tokens = 1.5 * kept.ROWS * (of_task().length(kept.PAIRS) + 2 * kept.PAIRS)
    return Cost(forward=tokens, passes=6, seconds=1.0)


def _memories(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    vocabulary = vocabulary_of(model)
    each = [
        _reading(model, vocabulary, params, pairs, vocabulary.length(pairs))
        for pairs in repeated(params, vocabulary)
    ]
    return {"taken away": total(each) * len(CONDITIONS)}


def _heads() -> float:
    """Seconds of one training of every layer of heads."""
    from analyses.state.recall_capacity.head_sets import STEPS as steps
    from analyses.state.recall_capacity.head_sets import grid

    return steps * _SET * sum(heads * context for heads, context in grid())


def _rows(params: Params) -> int:
    return params.rows * params.draws


def _recall(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    vocabulary = vocabulary_of(model)

    def reading(pairs: int, reads: int | None = None, gap: int = 0) -> Cost:
        return _reading(
            model, vocabulary, params, pairs, vocabulary.length(pairs, reads=reads, gap=gap)
        )

    few = middle(params)
    return {
        **{f"{pairs} pairs": reading(pairs) for pairs in params.pairs},
        "gaps": total(reading(few, gap=gap) for gap in params.gaps),
        "reading twice": total(
            reading(pairs) + reading(pairs, 2 * pairs) * 2 for pairs in repeated(params, vocabulary)
        ),
        "binding again": reading(few, few + rebound(params)),
    }


def _reading(
    model: InstrumentedModel, vocabulary: Vocabulary, params: Params, pairs: int, length: int
) -> Cost:
    batch = max(1, BATCH // length)
    shown = 2 * pairs if vocabulary.asks_all else 1
    return Cost(
        _rows(params) * length,
        params.draws * -(-params.rows // batch),
        bytes=2.0 * _NUMBER * model.card.d_vocab * batch * shown,
    )

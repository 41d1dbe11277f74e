"""What the parts of a run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures.pair_questions import too_few_words, vocabulary_of
from analyses.state.recurrent_state import delayed, pair_rows, patching, probes, spans
from analyses.state.recurrent_state.constants import CHANGES
from analyses.state.recurrent_state.followed_answer import tokens_of
from analyses.state.recurrent_state.layers import recurrent_layers
from analyses.state.recurrent_state.pair_changes import ASKED
from analyses.state.recurrent_state.shown import choose
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from analyses.state.recurrent_state.params import Params
    from hooks.model import InstrumentedModel

_FLOAT = 4
_WALK = 3  # walking along the states of a pass takes so many passes more
_FITS = 1.0  # seconds for the probes of one layer and lag, with their controls, at 1,200 rows
_STEP = 5e-4  # seconds of a step along the states of one layer, whatever the model
_MEMORIES = 8  # of a router, each silenced in turn
_DELAYED = 64 * (sum(delayed.DELAYS) + 4 * delayed.TRAINED_UP_TO)  # tokens of its own rows
_CHANGED = 2  # a pass in which a state is changed, of one in which none is


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    layers, _ = recurrent_layers(model, params.layers)
    shown = choose(model, params)
    n, asked = len(shown.ids), len(tokens_of(shown))
    tried = min(asked, spans.MOST_STARTS) * len(spans.SPAN_CHANGES) * (len(layers) + 1)
    sources = 1 + patching.RANDOM
    found = {
        "reading": {
            "reading": Cost(
                forward=n * (1 + _WALK), passes=1 + _WALK, seconds=4 * _STEP * n * len(layers)
            )
        },
        "wiping": {
            "wiping": Cost(forward=len(layers) * asked**2 / 2 + 2 * asked, passes=asked**2 / 2)
        },
        "kernels": {
            "kernels": Cost(
                forward=4 * n + _DELAYED * delayed.is_delayed(model),
                passes=4 + 20 * delayed.is_delayed(model),
            )
        },
        "spans": {"spans": Cost(forward=tried * _CHANGED * asked, passes=tried * _CHANGED)},
        "patching": {
            "patching": Cost(
                forward=sources * (len(layers) * asked**2 / 2 + (_CHANGED + 1) * asked**2),
                passes=sources * (asked**2 / 2 + (_CHANGED + 1) * asked),
            )
        },
    }
    if too_few_words(model):
        return found
    pairs = _rows(model, params, params.n_pairs, ASKED, params.rows)
    crowd = _rows(model, params, params.crowd, 8, params.rows)
    sequences = params.rows * (1 if vocabulary_of(model).asks_all else ASKED)
    row = 0.0 if shown.row is None else float(shown.row.ids.numel())
    changes = len(layers) * len(CHANGES) * _CHANGED
    alone = 0 if shown.row is None else shown.row.n_pairs
    vocabulary = vocabulary_of(model)
    one = probes.draw(vocabulary, 1, 0, params.lags).rows.ids.shape[1]
    return found | {
        "pairs": {
            "pairs": Cost(
                forward=pairs * (2 + changes) + row * alone * 2 * (1 + _CHANGED),
                passes=(2 + changes) * pairs / (pair_rows.TOGETHER * 32) + 6 * alone,
                bytes=_FLOAT * pair_rows.TOGETHER * 64 * model.card.d_vocab,
            )
        },
        "interference": {
            "interference": Cost(
                forward=crowd * (1 + _WALK),
                passes=crowd * (1 + _WALK) / (pair_rows.TOGETHER * 64),
                seconds=2 * _STEP * len(layers) * crowd / pair_rows.TOGETHER,
                bytes=_FLOAT * pair_rows.TOGETHER * 64 * model.card.d_vocab,
            )
        },
        "fading": {
            "fading": Cost(
                forward=sum(pairs + sequences * gap for gap in params.gaps) * (3 + 2 * _WALK),
                passes=(3 + 2 * _WALK) * len(params.gaps) * sequences / pair_rows.TOGETHER,
                seconds=3 * _STEP * len(layers) * sum(params.gaps) * sequences / pair_rows.TOGETHER,
            )
        },
        "router": {
            "router": Cost(
                forward=pairs * (2 + len(layers) * _MEMORIES) + n,
                passes=(2 + len(layers) * _MEMORIES) * sequences / pair_rows.TOGETHER,
            )
        },
        "probes": {
            "probes": Cost(
                forward=2 * params.sequences * one * 2,
                passes=2 * params.sequences / 64,
                bytes=8 * params.sequences * probes.WIDTH * len(layers) * 2,
                seconds=_FITS * len(layers) * len(params.lags) * params.sequences / 1200,
            )
        },
    }


def _rows(model: InstrumentedModel, params: Params, pairs: int, ask: int, rows: int) -> float:
    """Tokens of so many rows."""
    vocabulary = vocabulary_of(model)
    pairs = min(pairs, len(vocabulary.keys), len(vocabulary.values) - 1)
    return float(pair_rows.draw(vocabulary, pairs, 1, 0, ask).ids.numel() * rows)

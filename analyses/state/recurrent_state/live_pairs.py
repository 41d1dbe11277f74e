"""Pairs that somebody types while looking on: what a model with states holds of them, and what it
answers once one of them was erased or rewritten there.

The same changes as in `pair_edits`, in all recurrent layers at once or in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.measures.pair_questions import vocabulary_of
from analyses.state.recurrent_state import pair_edits, pair_rows
from analyses.state.recurrent_state.layers import recurrent_layers
from workbench.errors import BadInput
from workbench.playground import ChangedPair, PairAnswer

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel

MOST_PAIRS = 32
"""Of a list: each is asked for, where a model answers one question a sequence in one of its own."""
_EXAMPLE = 5


def example(model: InstrumentedModel) -> str:
    """Pairs in the words of a model."""
    vocabulary = vocabulary_of(model)
    drawn = pair_rows.draw(vocabulary, _EXAMPLE, 1, 0)
    join = " " if vocabulary.asks_all else ": "
    words = zip(_words(model, drawn.keys[0]), _words(model, drawn.values[0]), strict=True)
    return ", ".join(f"{key}{join}{value}" for key, value in words)


def _words(model: InstrumentedModel, ids: Tensor) -> list[str]:
    return [word.strip() for word in model.token_strings(ids.tolist())]


class LivePairs:
    """One list of pairs as one model reads it (`workbench.playground.AskedPairs`).

    Args:
        text: pairs of a key and a value, as `pair_rows.typed` reads them.

    Raises:
        BadInput: pairs that are none, or too many.
    """

    def __init__(self, model: InstrumentedModel, text: str) -> None:
        self._model, self._vocabulary = model, vocabulary_of(model)
        self._rows = pair_rows.typed(model, self._vocabulary, text, 0)
        if self._rows.n_pairs > MOST_PAIRS:
            raise BadInput(
                f"{self._rows.n_pairs} pairs were typed.",
                f"at most {MOST_PAIRS}",
                "Leave some out, or ask the question recurrent-state, which takes more.",
            )
        self._layers, _ = recurrent_layers(model, None)
        self.pairs: Sequence[tuple[str, str]] = list(
            zip(
                _words(model, self._rows.keys[0]),
                _words(model, self._rows.values[0]),
                strict=True,
            )
        )
        self.before: Sequence[PairAnswer] = self._answers(
            pair_rows.logits_at_questions(model, self._rows)
        )

    def rewrite(self, pair: int, new: str, layer: int | None) -> ChangedPair:
        """One pair gets another value, in one layer or in all; an empty one is chosen.

        Raises:
            BadInput: no such value or layer.
        """
        if new.strip():
            value = pair_rows.token_of(self._model, self._vocabulary, new.strip(), "value")
        else:
            rng = np.random.default_rng(pair)
            value = int(pair_rows.other_values(self._vocabulary, self._rows, rng)[0])
        return self._changed("rewrite", pair, value, layer)

    def erase(self, pair: int, layer: int | None) -> ChangedPair:
        """One pair is taken out.

        Raises:
            BadInput: no such layer.
        """
        return self._changed("erase", pair, int(self._rows.values[0, pair]), layer)

    @torch.no_grad()
    def _changed(self, change: str, pair: int, value: int, layer: int | None) -> ChangedPair:
        layers, _ = recurrent_layers(self._model, None if layer is None else [layer])
        edits = pair_edits.prepare(
            self._model,
            self._rows,
            torch.tensor([pair]),
            torch.tensor([value]),
            layers,
            len(self._vocabulary.between),
        )
        after, random = (
            self._answers(edits.apply_to(self._model, layers, name, 0).logits)
            for name in (change, pair_edits.RANDOM[change])
        )
        new = self._model.token_strings([value])[0].strip() if change == "rewrite" else ""
        return ChangedPair(new, after, random)

    def _answers(self, logits: Tensor) -> list[PairAnswer]:
        probability, own = logits[0].softmax(-1), self._rows.values[0]
        best = logits[0].argmax(-1)
        return [
            PairAnswer(
                word,
                float(probability[n, best[n]]),
                float(probability[n, own[n]]),
                bool(best[n] == own[n]),
            )
            for n, word in enumerate(_words(self._model, best))
        ]

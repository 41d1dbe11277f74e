"""What changes in free text: repetition, ends, variety of words, beside what is still said of facts
(continual pre-training of aligned models, 2401.03129: repetition stands out).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from analyses.training.forgetting import constants as c
from hooks.generation import continued, decoded, end_tokens
from hooks.mixed_weights import WeightPair, replaced

if TYPE_CHECKING:
    import pandas as pd

    from analyses.measures.forgetting_divergence import RowSet
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_GIVEN = 16  # tokens of neutral text that are continued
_SAMPLING = {"greedy": 0.0, "temperature 1": 1.0}
_N = 4  # tokens in a row that count as repeated


def free_text(
    model: InstrumentedModel, pair: WeightPair, neutral: RowSet, length: int, seed: int,
    progress: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """(a row per model and way of sampling: `model`, `sampling`, `repeated`, `ended`, `distinct`,
    `n`; a row per text with its beginning: `model`, `sampling`, `prompt`, `text`).

    Args:
        length: tokens of a beginning and what is written, together.
    """
    import pandas as pd

    given = min(neutral.first + _GIVEN, length - 1)
    ids = torch.tensor([row[:given] for row in neutral.ids], device=model.device)
    rows, texts = [], []
    for n, name in enumerate((c.BASE, c.TUNED)):
        with replaced(model, pair.tuned if n else {}):
            for k, (how, temperature) in enumerate(_SAMPLING.items()):
                progress((2 * n + k) / 4, f"The {name} model writes ({how})")
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed)
                    new = continued(model, ids, length - given, temperature=temperature)
                said = [_until_end(model, row) for row in new.tolist()]
                kept = [row for row, _ in said]
                rows.append(
                    (name, how, mean([repeated(row) for row in kept]),
                     mean([float(ended) for _, ended in said]),
                     mean([len(set(row)) / max(1, len(row)) for row in kept]), len(kept))
                )  # fmt: skip
                for prompt, row in zip(ids.tolist(), kept, strict=True):
                    texts.append((name, how, decoded(model, prompt), decoded(model, row)))
    columns = ["model", "sampling", "repeated", "ended", "distinct", "n"]
    return (
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(texts, columns=["model", "sampling", "prompt", "text"]),
    )


def _until_end(model: InstrumentedModel, row: Sequence[int]) -> tuple[list[int], bool]:
    ends = set(end_tokens(model))
    at = next((n for n, token in enumerate(row) if token in ends), None)
    return (list(row), False) if at is None else (list(row[:at]), True)


def repeated(row: Sequence[int]) -> float:
    """Share of runs of four tokens that stood in the text before; 0 for shorter ones."""
    runs = [tuple(row[n : n + _N]) for n in range(len(row) - _N + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))

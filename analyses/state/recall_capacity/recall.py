"""How much one model recalls: by number of pairs, by their order, by gap, read twice, and bound
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.pair_questions import Vocabulary, vocabulary_of
from analyses.measures.statistics import rate_interval
from analyses.state.recall_capacity import findings
from analyses.state.recall_capacity.constants import READINGS
from analyses.state.recall_capacity.measure import Answers, ask
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.state.recall_capacity.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

QUARTERS = 4
"""Groups of pairs that stand side by side in a row."""


def measure(
    result: Result, model: InstrumentedModel, params: Params, progress: dict[str, Progress]
) -> None:
    """All tables and findings of this part.

    Args:
        progress: by stage, see `costs.stages`.

    Raises:
        BadInput: the rows are longer than the model can read, or it has too few words.
    """
    vocabulary = vocabulary_of(model)
    check_length(model, vocabulary, params)
    result.provenance.notes["pairs"] = vocabulary.says
    by_pairs = {
        pairs: _ask(model, vocabulary, params, pairs, progress[f"{pairs} pairs"])
        for pairs in params.pairs
    }
    _add_pairs(result, vocabulary, by_pairs, model.card.name)
    _add_order(result, by_pairs)
    _add_gaps(result, model, vocabulary, params, progress["gaps"])
    _add_repeats(result, model, vocabulary, params, progress["reading twice"])
    _add_rebinding(result, model, vocabulary, params, progress["binding again"])


def middle(params: Params) -> int:
    """The number of pairs that gaps and binding again are asked with: not the hardest one."""
    return max((pairs for pairs in params.pairs if pairs <= 8), default=min(params.pairs))


def repeated(params: Params, vocabulary: Vocabulary) -> list[int]:
    """The numbers of pairs that are also read twice. Rows of one question are long for what they
    tell, so only one number of pairs is read twice in them.
    """
    if vocabulary.asks_all:
        return sorted({middle(params), max(params.pairs)})
    return [max((pairs for pairs in params.pairs if pairs <= 16), default=min(params.pairs))]


def rebound(params: Params) -> int:
    """How many of the pairs are bound again."""
    return max(1, middle(params) // 2)


def check_length(model: InstrumentedModel, vocabulary: Vocabulary, params: Params) -> None:
    """Refuse rows that the model cannot read, before anything is read.

    Raises:
        BadInput: says the longest row.
    """
    most = max(params.pairs)
    twice = max(repeated(params, vocabulary))
    lengths = {
        f"{most} pairs": vocabulary.length(most),
        f"{twice} pairs read twice": vocabulary.length(twice, reads=2 * twice),
        f"{middle(params)} pairs and a gap of {max(params.gaps)} tokens": vocabulary.length(
            middle(params), gap=max(params.gaps)
        ),
    }
    for what, tokens in lengths.items():
        if model.positions is not None and tokens > model.positions:
            raise BadInput(
                f"{what} make a row of {tokens:,} tokens, which {model.card.name} cannot read.",
                f"rows of at most {model.positions:,} tokens",
                "Ask for fewer pairs, or for a shorter gap.",
            )


def _ask(
    model: InstrumentedModel,
    vocabulary: Vocabulary,
    params: Params,
    pairs: int,
    progress: Progress,
    **how: Any,
) -> Answers:
    return ask(
        model,
        vocabulary,
        pairs,
        params.rows,
        range(params.seed, params.seed + params.draws),
        lambda share: progress(share, f"Asking for {pairs} pairs"),
        **how,
    )


def _add_pairs(
    result: Result, vocabulary: Vocabulary, by_pairs: dict[int, Answers], model: str
) -> None:
    import pandas as pd

    rows = []
    for pairs, answers in by_pairs.items():
        of_seed = [
            float(answers.right[answers.seed == seed].mean()) for seed in np.unique(answers.seed)
        ]
        rows.append(
            {
                "pairs": pairs,
                **answers.rates(),
                "lowest": min(of_seed),
                "highest": max(of_seed),
                "shuffled": float(answers.shuffled.mean()),
                "guess": 1 / pairs,
                "chance": 1 / len(vocabulary.values),
            }
        )
    result.tables["by_pairs"] = pd.DataFrame(rows)
    findings.add_recall(result, model)


def _add_order(result: Result, by_pairs: dict[int, Answers]) -> None:
    import pandas as pd

    rows = []
    for pairs, answers in by_pairs.items():
        quarter = answers.place * QUARTERS // pairs
        for number in np.unique(quarter):
            some = answers.where(quarter == number)
            rows.append(
                {
                    "pairs": pairs,
                    "quarter": int(number) + 1,
                    "place": float(some.place.mean()) + 1,
                    **some.rates(),
                    "guess": 1 / pairs,
                }
            )
    result.tables["by_order"] = pd.DataFrame(rows)
    most = max(by_pairs)
    answers = by_pairs[most]
    early = answers.place < max(1, most / 4)
    late = answers.place >= min(most - 1, 3 * most / 4)
    findings.add_order(result, most, answers.where(early), answers.where(late))


def _add_gaps(
    result: Result,
    model: InstrumentedModel,
    vocabulary: Vocabulary,
    params: Params,
    progress: Progress,
) -> None:
    import pandas as pd

    pairs, asked = middle(params), {}
    for number, gap in enumerate(params.gaps):
        part = progress.subprogress(number / len(params.gaps), (number + 1) / len(params.gaps))
        asked[gap] = _ask(model, vocabulary, params, pairs, part, gap=gap)
    rows = [
        {"gap": gap, "pairs": pairs, **answers.rates(), "guess": 1 / pairs}
        for gap, answers in asked.items()
    ]
    result.tables["by_gap"] = pd.DataFrame(rows)
    findings.add_gap(result, pairs, asked)


def _add_repeats(
    result: Result,
    model: InstrumentedModel,
    vocabulary: Vocabulary,
    params: Params,
    progress: Progress,
) -> None:
    import pandas as pd

    rows, sizes = [], repeated(params, vocabulary)
    gains: dict[int, dict[str, tuple[float, tuple[float, float]]]] = {}
    for number, pairs in enumerate(sizes):
        part = progress.subprogress(number / len(sizes), (number + 1) / len(sizes))
        once = None
        for reading, words in READINGS.items():
            answers = _ask(model, vocabulary, params, pairs, part, reading=reading)
            once = once or answers
            # The same rows are read once and twice, so their difference is taken row by row.
            gain, (low, high) = _row_by_row(answers, once)
            gains.setdefault(pairs, {})[reading] = gain, (low, high)
            rows.append(
                {
                    "pairs": pairs,
                    "reading": words,
                    **answers.rates(),
                    "gain": gain,
                    "gain_low": low,
                    "gain_high": high,
                    "guess": 1 / pairs,
                }
            )
    result.tables["by_reading"] = pd.DataFrame(rows)
    findings.add_repeats(result, gains)


def _row_by_row(answers: Answers, once: Answers) -> tuple[float, tuple[float, float]]:
    """How much better the same questions are answered, with its 95 % interval over rows."""
    from analyses.measures.statistics import mean_interval

    gain = answers.right.astype(float) - once.right.astype(float)
    mean, (low, high) = mean_interval(gain, answers.row)
    return mean, ((low, high) if low < high else (mean, mean))


def _add_rebinding(
    result: Result,
    model: InstrumentedModel,
    vocabulary: Vocabulary,
    params: Params,
    progress: Progress,
) -> None:
    import pandas as pd

    pairs, changed = middle(params), rebound(params)
    answers = _ask(model, vocabulary, params, pairs, progress, rebound=changed)
    rows = []
    for words, mask in {"bound again": answers.old, "bound once": ~answers.old}.items():
        some = answers.where(mask)
        if not len(some.right):
            continue
        low, high = rate_interval(some.kept_old, some.row)
        rows.append(
            {
                "key": words,
                "pairs": pairs,
                "rebound": changed,
                **some.rates(),
                "old": float(some.kept_old.mean()),
                "old_low": low,
                "old_high": high,
                "other": 1 - float(some.right.mean()) - float(some.kept_old.mean()),
                "guess": 1 / (pairs + changed),
            }
        )
    result.tables["rebinding"] = pd.DataFrame(rows)
    findings.add_rebinding(result)

"""Part `components`: items split by whether what their answer is made of was read (Sarti et al.
2024): after fine-tuning, gains that sit on components which were read are no reasoning.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.statistics import rates_apart, sign, spearman, wilson
from analyses.measures.understood_items import ORIGINAL
from workbench import texts
from workbench.cost import Cost
from workbench.errors import BadInput
from workbench.organisms.ledger import FILE
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_MOST = 64 << 20  # bytes
_WORD = re.compile(r"\w+")
SEEN, NEW = "all read", "not all read"


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of reading the list."""
    return Cost(seconds=1.0)


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the table `components` to what the part `items` found.

    Raises:
        BadInput: no item, or each, is made of what was read.
    """
    assert params.read is not None  # the part needs it
    progress(0.0, "Reading what was read")
    ledger = params.read.name == FILE or (params.read / FILE).is_file()
    found = (
        texts.from_ledger(e for e in texts.ledger_at(params.read).entries if e.repeats)
        if ledger
        else texts.from_path(params.read, _MOST)
    )
    whole = max(1, texts.size_of(params.read))
    counts: Counter[str] = Counter()
    done = 0
    for one in found:
        counts.update(_WORD.findall(one.text.casefold()))
        done += len(one.text)
        progress(min(1.0, done / min(whole, _MOST)), "Reading what was read")
    items = result.tables["items"]
    own = items[items["version"] == ORIGINAL]
    words = [_WORD.findall(answer.casefold()) for answer in own["answer"]]
    fewest = np.array([min((counts[w] for w in each), default=0) for each in words])
    seen, right = fewest > 0, own["right"].to_numpy(bool)
    if seen.all() or not seen.any():
        raise BadInput(
            f"{'Every' if seen.all() else 'No'} answer is made of words that stand in"
            f" {params.read.name}, so there is nothing to compare.",
            "a text in which the words of some answers stand and those of others do not",
            "Name what the model was fine-tuned on.",
        )
    rows = []
    for of, chosen in {SEEN: seen, NEW: ~seen}.items():
        low, high = wilson(int(right[chosen].sum()), int(chosen.sum()))
        length = float(
            np.mean([len(a) for a, yes in zip(own["answer"], chosen, strict=True) if yes])
        )
        rows.append({"components": of, "rate": float(right[chosen].mean()), "low": low,
                     "high": high, "length": length, "n": int(chosen.sum())})  # fmt: skip
    result.tables["components"] = pd.DataFrame(rows)
    _say(result, spearman(fewest, right), spearman(own["answer"].str.len().to_numpy(), right),
         1.0 if ledger else min(1.0, _MOST / whole))  # fmt: skip


def _say(result: Result, by_frequency: float, by_length: float, share: float) -> None:
    one, other = result.tables["components"].to_dict("records")
    low, high = rates_apart(one["rate"], one["n"], other["rate"], other["n"])
    verdict = {True: "more often", False: "less often", None: "not told apart"}[sign(low, high)]
    correlations = {"frequency": by_frequency, "length": by_length}
    told = {key: value for key, value in correlations.items() if value == value}
    ranks = ", ".join(f"its {key} {value:+.2f}" for key, value in told.items())
    says = (
        f"Items whose answer is made of words it has read are answered in {percent(one['rate'])},"
        f" the others in {percent(other['rate'])}: {verdict} ({100 * low:+.0f} to"
        f" {100 * high:+.0f} points, {one['n']} and {other['n']} items)."
    )
    if share < 1:
        says += (
            f" Of the text {percent(share)} was read, in pieces that lie evenly, so a word that is"
            " not in these counts as not read."
        )
    if ranks:
        says += f" Rank correlation of a right answer with {ranks}."
    values = {"read": one["rate"], "not_read": other["rate"], "apart": one["rate"] - other["rate"]}
    result.add(Finding("components", {**values, **told}, says.replace("-", "−"),
                       unit="share of items", interval={"apart": (low, high)}))  # fmt: skip

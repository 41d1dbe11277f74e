"""Part `items`: whether questions of a test were read.

Two signs, neither of which needs the right answer. *Order*: a model that never saw an item has no
reason to prefer the order in which its options are printed, so of five orders the printed one is
the likeliest in one item of five. *Completion*: given all but the last option, a model that read
the item says the last one word for word; after options in another order, and after another
question, it should not.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.sampler import Sampler
from analyses.measures.scoring import reading, score
from analyses.measures.windows import Window
from analyses.weights.audit.constants import ORDERS, TOO_LONG
from analyses.weights.audit.recall_pairs import recall_cost, recalled
from analyses.weights.audit.table_rows import LETTERS, BenchmarkItem

if TYPE_CHECKING:
    from analyses.weights.audit.material import AuditMaterial
    from analyses.weights.audit.params import Params
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

_QUESTION, _OPTIONS = 30, 40  # tokens, about


def cost(model: InstrumentedModel, params: Params, items: int) -> Cost:
    """Of so many items: every order read once, and two completions with their controls."""
    n = min(items, params.items)
    orders = reading(model, n * (1 + ORDERS), _QUESTION, _OPTIONS, whole=True)
    return orders + recall_cost(model, 2 * n, _QUESTION + _OPTIONS, _OPTIONS // 4)


def run(
    model: InstrumentedModel,
    params: Params,
    material: AuditMaterial,
    progress: Progress,
    result: Result,
) -> None:
    """Adds the table `items`."""
    draw = random.Random(f"{params.seed} items")
    items = material.drawn(material.items, params.items, draw, "test item")
    items, long = _that_fit(model, items)
    for item in long:
        material.leave_out(item.name, TOO_LONG)
    if not items:
        return
    orders = [_orders(item, draw) for item in items]
    first, chance = _first(model, items, orders, progress.subprogress(0.0, 0.6))
    own, shuffled, guessed, has_control = _completed(
        model, items, draw, params.seed, progress.subprogress(0.6, 1.0)
    )
    result.tables["items"] = pd.DataFrame({
        "name": [item.name for item in items],
        "question": [item.question for item in items],
        "n_options": [len(item.options) for item in items],
        "sorted": [_is_sorted(item.options) for item in items],
        "first": first,
        "chance": chance,
        "comes_out": own,
        "shuffled": shuffled,
        "guessed": guessed,
        "has_control": has_control,
    })  # fmt: skip


def _that_fit(
    model: InstrumentedModel, items: list[BenchmarkItem]
) -> tuple[list[BenchmarkItem], list[BenchmarkItem]]:
    """(items that the model can read whole, the others)."""
    limit = model.positions
    if not limit:
        return items, []
    room = limit - len(model.text.beginning) - 2
    sizes = [len(model.text.encode("".join(item.text(item.options)))) for item in items]
    fits = [item for item, size in zip(items, sizes, strict=True) if size <= room]
    return fits, [item for item, size in zip(items, sizes, strict=True) if size > room]


def _orders(item: BenchmarkItem, draw: random.Random) -> list[tuple[str, ...]]:
    """Other orders of the options, all different; of two options there is one."""
    orders: dict[tuple[str, ...], None] = {}
    for _ in range(20 * ORDERS):
        order = tuple(draw.sample(item.options, len(item.options)))
        if order != item.options:
            orders[order] = None
        if len(orders) == ORDERS:
            break
    return list(orders)


def _first(
    model: InstrumentedModel,
    items: list[BenchmarkItem],
    orders: list[list[tuple[str, ...]]],
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """(item): whether the printed order is the likeliest of those tried, and how often it is so by
    chance.
    """
    windows, of = [], []
    for number, (item, others) in enumerate(zip(items, orders, strict=True)):
        for order in (item.options, *others):
            question, listed = item.text(order)
            windows.append(Window(number, 0, tuple(model.text.beginning),
                                  tuple(model.text.encode(question)),
                                  tuple(model.continuation_tokens(listed))))  # fmt: skip
            of.append(number)
    scores = score(model, windows, Sampler(temperature=0), progress=progress)
    total = np.nansum(scores.logprob, axis=1)
    rows = np.array(of)
    each = [total[rows == number] for number in range(len(items))]
    first = np.array([bool((lp[0] > lp[1:]).all()) for lp in each], bool)
    return first, np.array([1 / len(lp) for lp in each])


def _completed(
    model: InstrumentedModel,
    items: list[BenchmarkItem],
    draw: random.Random,
    seed: int,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(item): whether the last option comes out after the others as printed; after them in another
    order (of two options there is none); after another question; whether there was another.
    """
    prompts, answers = [], []
    for item in items:
        *before, last = item.options
        for order in (before, _reordered(before, draw)):
            question, listed = item.text(order)
            text = f"{question}{listed}\n{LETTERS[len(before)]}."
            prompts.append(list(model.text.encode(text)))
            answers.append(model.continuation_tokens(f" {last}"))
    found = recalled(model, prompts, answers, ["items"] * len(prompts), seed, progress)
    return found.own[::2], found.own[1::2], found.other[::2], found.has_other[::2]


def _reordered(options: list[str], draw: random.Random) -> list[str]:
    """Different options in another order; a single one has none."""
    order = options
    while order == options and len(options) > 1:
        order = draw.sample(options, len(options))
    return order


def _is_sorted(options: tuple[str, ...]) -> bool:
    """Options in the order of their numbers or of the alphabet: an order that anybody expects."""
    try:
        keys: list[float] | list[str] = [float(option.replace(",", "")) for option in options]
    except ValueError:
        keys = [option.casefold() for option in options]
    return keys == sorted(keys) or keys == sorted(keys, reverse=True)

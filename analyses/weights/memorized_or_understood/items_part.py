"""Part `items`: items as they stand, in other words, changed and fresh, and what the options alone
give away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.measures import understood_choices as asking
from analyses.measures.statistics import auc, wilson
from analyses.measures.understood_choices import Choice, choices
from analyses.measures.understood_consistency import consistency, paired_drop
from analyses.measures.understood_families import built_in
from analyses.measures.understood_items import (
    CHANGED,
    ORIGINAL,
    PARAPHRASE,
    SHOWN,
    VERSIONS,
    ItemVersion,
    VariedItem,
    from_file,
)
from analyses.measures.untrained_twin import untrained
from analyses.weights.memorized_or_understood import items_findings
from analyses.weights.memorized_or_understood.constants import (
    ALL,
    BETWEEN,
    CLEAN,
    MODEL,
    UNTRAINED,
)
from analyses.weights.memorized_or_understood.puzzles_part import limem_row
from hooks.model import load
from workbench.cost import Cost
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_OF_TWIN = (ORIGINAL, CHANGED)
_PASSES = 2.0  # for a question: once its text, once the answers behind it
_LOADED = 10.0  # seconds for a clean model
Answers = dict[tuple[int, int], Choice]
"""By item and version."""


def items_of(params: Params) -> list[VariedItem]:
    """The user's items, or the built-in families.

    Raises:
        BadInput: the file cannot be used, or none of its items has a variant.
    """
    if params.questions is None:
        return built_in(params.items, params.seed)
    items = from_file(params.questions, params.seed, params.items)
    if not any(len(item.versions) > 1 for item in items):
        raise BadInput(
            f"None of the {len(items)} items in {params.questions.name} has a variant, so nothing"
            " tells an item that was read from one that is understood.",
            'items with "variants" (other words, or changed so that another answer is right) or'
            ' "rows"',
            "Add variants to some of them.",
        )
    return items


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of every version of every item, of the options alone, and of the twin."""
    items = items_of(params)
    each, originals = _versions(items), [item.original for item in items]
    of_twin = [v for item in items for v in item.versions if v.kind in _OF_TWIN]
    read = {asking.QUESTION: [*each, *of_twin]} | {
        shown: originals for shown in SHOWN if shown != asking.QUESTION
    }
    tokens = sum(asking.tokens_read(model, versions, shown) for shown, versions in read.items())
    passes = _PASSES * sum(map(len, read.values()))
    whole = Cost(forward=tokens, passes=passes)
    if params.clean:
        own = asking.tokens_read(model, each, asking.QUESTION)
        whole += Cost(forward=own, passes=_PASSES * len(each), seconds=_LOADED)
    return whole


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `items`, `item_rates`, `item_limem`, `shortcuts`, `letters` and, with a clean
    model, `items_told_apart`; and their findings.

    Raises:
        BadInput: items that cannot be asked.
    """
    items = items_of(params)
    answers = {MODEL: _ask(model, items, VERSIONS, progress.subprogress(0.0, 0.4))}
    result.tables["items"] = _item_rows(items, answers[MODEL])
    shown = _shown(model, items, progress.subprogress(0.4, 0.75))
    twin = untrained(model, params.seed)
    answers[UNTRAINED] = _ask(twin, items, _OF_TWIN, progress.subprogress(0.75, 0.85))
    del twin
    if params.clean:
        progress(0.85, f"Loading {params.clean}")
        clean = load(params.clean, device=str(model.device))
        answers[CLEAN] = _ask(clean, items, VERSIONS, progress.subprogress(0.85, 1.0))
        result.provenance.notes["clean"] = clean.card.name
        del clean
    result.tables["item_rates"] = _rates(items, answers)
    result.tables["item_limem"] = _limem(items, answers, params.seed)
    result.tables["shortcuts"] = _shortcuts(items, answers[MODEL], shown)
    result.tables["letters"] = _letters(items, shown)
    if CLEAN in answers:
        result.tables["items_told_apart"] = _told_apart(items, answers)
    items_findings.add(result, model.card.name, len(items), params.clean)


def _versions(items: Sequence[VariedItem]) -> list[ItemVersion]:
    return [version for item in items for version in item.versions]


def _ask(
    model: InstrumentedModel, items: Sequence[VariedItem], kinds: Sequence[str], progress: Progress
) -> Answers:
    """Every version of these kinds, its question alone."""
    where = [
        (at, number)
        for at, item in enumerate(items)
        for number, version in enumerate(item.versions)
        if version.kind in kinds
    ]
    versions = [items[at].versions[number] for at, number in where]
    return dict(zip(where, choices(model, versions, asking.QUESTION, progress), strict=True))


def _shown(
    model: InstrumentedModel, items: Sequence[VariedItem], progress: Progress
) -> dict[str, list[Choice]]:
    """The items as they stand, by what of them is shown."""
    ways = [shown for shown in SHOWN if shown != asking.QUESTION]
    originals = [item.original for item in items]
    return {
        shown: choices(
            model, originals, shown, progress.subprogress(at / len(ways), (at + 1) / len(ways))
        )
        for at, shown in enumerate(ways)
    }


def _item_rows(items: Sequence[VariedItem], answers: Answers) -> pd.DataFrame:
    rows = []
    for (at, number), choice in answers.items():
        item, version = items[at], items[at].versions[number]
        rows.append({
            "item": at, "name": item.name, "family": item.family, "version": version.kind,
            "question": version.question, "options": " / ".join(version.options),
            "answer": version.answer, "chosen": version.options[choice.chosen],
            "right": choice.is_right, "p": float(np.exp(choice.log_p_right)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def chance(versions: Sequence[ItemVersion]) -> float:
    """What guessing gives."""
    return float(np.mean([1 / len(version.options) for version in versions]))


def _rates(items: Sequence[VariedItem], answers: Mapping[str, Answers]) -> pd.DataFrame:
    """Share answered rightly, by who is asked, family and version."""
    families = list(dict.fromkeys(item.family for item in items))
    rows = []
    for who, own in answers.items():
        for family in (ALL, *families) if len(families) > 1 else (ALL,):
            for kind in VERSIONS:
                chosen = [
                    (items[at].versions[n], choice)
                    for (at, n), choice in own.items()
                    if items[at].versions[n].kind == kind
                    and (family == ALL or items[at].family == family)
                ]
                if not chosen:
                    continue
                hits, n = sum(choice.is_right for _, choice in chosen), len(chosen)
                low, high = wilson(hits, n)
                rows.append({
                    "model": who, "family": family, "version": kind, "rate": hits / n, "low": low,
                    "high": high, "chance": chance([version for version, _ in chosen]), "n": n,
                })  # fmt: skip
    return pd.DataFrame(rows)


def _right_shares(
    items: Sequence[VariedItem], own: Answers, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """(item as it stands, share of its versions of a kind) that are answered rightly, of the items
    that have such versions.
    """
    original, copies = [], []
    for at, item in enumerate(items):
        of_kind = [
            own[at, n].is_right for n, version in enumerate(item.versions) if version.kind == kind
        ]
        if of_kind:
            original.append(own[at, 0].is_right)
            copies.append(float(np.mean(of_kind)))
    return np.array(original, bool), np.array(copies)


def _limem(items: Sequence[VariedItem], answers: Mapping[str, Answers], seed: int) -> pd.DataFrame:
    """Items as they stand against their versions of a kind, pair by pair."""
    rows = []
    for who, own in answers.items():
        for kind in (CHANGED,) if who == UNTRAINED else (PARAPHRASE, CHANGED):
            original, copies = _right_shares(items, own, kind)
            if not len(original):
                continue
            drop, (low, high) = paired_drop(original, copies)
            pairs = {"model": who, "copies": kind, "drop": drop, "drop_low": low, "drop_high": high}
            rows.append({**pairs, **limem_row(consistency(original, copies, seed))})
    return pd.DataFrame(rows)


def _shortcuts(
    items: Sequence[VariedItem], own: Answers, shown: Mapping[str, Sequence[Choice]]
) -> pd.DataFrame:
    """Share answered rightly by what of an item is shown."""
    originals = [item.original for item in items]
    base, majority = chance(originals), _majority(originals)
    every = {asking.QUESTION: [own[at, 0] for at in range(len(items))], **shown}
    rows = []
    for way in (asking.QUESTION, asking.NOTHING, asking.BOTH, asking.OPTIONS):
        hits, n = sum(choice.is_right for choice in every[way]), len(items)
        low, high = wilson(hits, n)
        by_letter = way in (asking.BOTH, asking.OPTIONS)
        rows.append({"shown": way, "rate": hits / n, "low": low, "high": high, "chance": base,
                     "majority": majority if by_letter else base, "n": n})  # fmt: skip
    return pd.DataFrame(rows)


def _majority(originals: Sequence[ItemVersion]) -> float:
    """What always choosing the commonest place gives."""
    return float(np.bincount([version.right for version in originals]).max() / len(originals))


def _letters(items: Sequence[VariedItem], shown: Mapping[str, Sequence[Choice]]) -> pd.DataFrame:
    """How often each letter is chosen, is right, and is chosen where all options are the same; of
    items with the commonest number of options.
    """
    sizes = np.array([len(item.original.options) for item in items])
    size = int(np.bincount(sizes).argmax())
    own = np.flatnonzero(sizes == size)
    rows = []
    for letter in range(size):
        row: dict[str, Any] = {"letter": asking.LETTERS[letter]}
        for column, way in {"chosen": asking.BOTH, "same": asking.SAME}.items():
            row[column] = float(np.mean([shown[way][int(at)].chosen == letter for at in own]))
        row["right"] = float(np.mean([items[int(at)].original.right == letter for at in own]))
        rows.append({**row, "even": 1 / size, "n": len(own)})
    return pd.DataFrame(rows)


def lead(items: Sequence[VariedItem], own: Answers) -> np.ndarray:
    """Of each item how much likelier its right answer is as it stands than in its versions: those
    in other words, or all where there are none; NaN without any.
    """
    found = np.full(len(items), np.nan)
    for at, item in enumerate(items):
        kinds = [version.kind for version in item.versions]
        wanted = [PARAPHRASE] if PARAPHRASE in kinds else [k for k in kinds if k != ORIGINAL]
        others = [own[at, n].log_p_right for n, kind in enumerate(kinds) if n and kind in wanted]
        if others:
            found[at] = own[at, 0].log_p_right - float(np.mean(others))
    return found


def _told_apart(items: Sequence[VariedItem], answers: Mapping[str, Answers]) -> pd.DataFrame:
    """The model against a clean one, item by item."""
    one, other = (lead(items, answers[who]) for who in (MODEL, CLEAN))
    alone = tuple(
        np.array([answers[who][at, 0].log_p_right for at in range(len(items))])
        for who in (MODEL, CLEAN)
    )
    rows = []
    for score, (own, clean) in {"other words": (one, other), "answer alone": alone}.items():
        there = ~np.isnan(own) & ~np.isnan(clean)
        value, low, high = auc(own[there], clean[there])
        rows.append({"contrast": BETWEEN, "score": score, "auc": value, "low": low, "high": high,
                     "n": int(there.sum())})  # fmt: skip
    return pd.DataFrame(rows)

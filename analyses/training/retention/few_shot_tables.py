"""The tables of the live experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.measures.exposure_dose import recognition
from analyses.measures.statistics import share_interval, wilson
from analyses.training.retention.constants import FOILS, NOVEL, RESET

if TYPE_CHECKING:
    from analyses.training.retention.few_shot import FewShot, StudyMoment
    from analyses.training.retention.params import Params
    from hooks.model import InstrumentedModel
    from workbench.result import Result


def add_tables(result: Result, model: InstrumentedModel, found: FewShot, params: Params) -> None:
    """`studied`, `few_shot`, `few_later` and `few_said`."""
    words = {
        token: str(model.tokenizer.decode([token]))
        for token in {
            *(t for ids in found.texts.studied for t in ids),
            *(int(t) for moment in _moments(found).values() for t in moment.likeliest.ravel()),
        }
    }
    result.tables["studied"] = pd.DataFrame(
        {
            "item": range(len(found.texts.studied)),
            "text": ["".join(words[t] for t in ids) for ids in found.texts.studied],
            "new": [str(model.tokenizer.decode(list(ids))) for ids in found.texts.foils[NOVEL]],
        }
    )
    start = found.study[0]
    rows = []
    for readings, moment in sorted(found.study.items()):
        said = recall(moment, found.first, params)
        for foil in FOILS:
            told = two_alternatives(moment, foil, start if foil != NOVEL else None)
            rate, (low, high) = share_interval(told, np.arange(len(told)))
            rows.append({"readings": readings, "foil": foil, "recognized": rate, "low": low,
                         "high": high, **said})  # fmt: skip
    result.tables["few_shot"] = pd.DataFrame(rows)
    later = []
    for (variant, updates), moment in found.later.items():
        told = two_alternatives(moment, NOVEL, None)
        rate, (low, high) = share_interval(told, np.arange(len(told)))
        later.append({"variant": variant, "updates": updates, "recognized": rate, "low": low,
                      "high": high, **recall(moment, found.first, params),
                      "loss": moment.loss[""].mean(),
                      "loss_new": moment.loss[NOVEL].mean()})  # fmt: skip
    result.tables["few_later"] = pd.DataFrame(later)
    result.tables["few_said"] = _said(found, words)


def two_alternatives(moment: StudyMoment, foil: str, start: StudyMoment | None) -> np.ndarray:
    """How often each studied text has a lower loss than a foil: against every new text, or against
    its own foil by how far both fell since the start; ties count half.
    """
    own, other = moment.loss[""], moment.loss[foil]
    if start is not None:
        fell = (own - start.loss[""]) - (other - start.loss[foil])
        # The same text and its foil move together: what is rounding is a tie.
        told: np.ndarray = np.where(np.abs(fell) < 1e-6, 0.5, fell < 0).astype(float)
        return told
    one = np.zeros(len(own), int)
    return recognition(own[:, None], other[:, None], one, np.zeros(len(other), int))[:, 0]


def recall(moment: StudyMoment, first: int, params: Params) -> dict[str, Any]:
    """Cued recall: greedy decoding behind the first half."""
    half = params.length // 2
    behind = moment.right[:, half - first :]
    match = behind.cumprod(-1).sum(-1)
    enough = match >= min(params.recalled, behind.shape[1])
    low, high = wilson(int(enough.sum()), len(enough))
    return {
        "recalled": float(enough.mean()),
        "recalled_low": low,
        "recalled_high": high,
        "whole": float((match == behind.shape[1]).mean()),
        "match": float(match.mean()),
        "asked": int(behind.shape[1]),
        "n": len(match),
    }


def _moments(found: FewShot) -> dict[tuple[str, int], StudyMoment]:
    """Those along which a text is looked at: (phase, readings or updates) -> the moment."""
    studying = {("readings", n): moment for n, moment in sorted(found.study.items())}
    return studying | {
        ("updates later", updates): moment
        for (variant, updates), moment in found.later.items()
        if variant == RESET and updates
    }


def _said(found: FewShot, words: dict[int, str]) -> pd.DataFrame:
    """What greedy decoding says at every token of the studied texts, at every moment."""
    rows = []
    for (phase, number), moment in _moments(found).items():
        for item, ids in enumerate(found.texts.studied):
            for at in range(moment.right.shape[1]):
                rows.append(
                    (
                        phase,
                        number,
                        item,
                        at + found.first,
                        words[ids[at + found.first]],
                        words[int(moment.likeliest[item, at])],
                        round(float(np.exp(moment.logprob[item, at])), 3),
                        bool(moment.right[item, at]),
                    )
                )
    columns = ["phase", "number", "item", "pos", "token", "said", "probability", "right"]
    return pd.DataFrame(rows, columns=columns)

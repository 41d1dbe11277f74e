"""Reading new texts a few times, and then other text: recognition, recall and what is left (Orhan
2023, 2303.17557), with its confounds controlled.

Foils are dealt from the same source by the same lot, so a model that read none of them sits at one
half. Other foils (a word exchanged, the words in another order) have another loss to begin with,
so they are compared by how far the loss fell. All is measured in line: nothing is kept on disk, and
the model is put back afterwards.

What comes after the studying begins with the optimizer's moments reset, as in a new process that
loads weights alone; with a warm-up; and with the moments kept. A drop that only the first shows is
the optimizer's and no interference.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.exposure_panel import GREEDY
from analyses.measures.scoring import is_greedy, score
from analyses.measures.windows import Window
from analyses.training.retention.constants import (
    FOILS,
    KEPT,
    NOVEL,
    RESET,
    SHUFFLED,
    WARMED,
    WORD,
)
from analyses.training.retention.parts import fixed_weights
from hooks.mixed_weights import put_back
from workbench.errors import BadInput, Unfit
from workbench.lab import Stage, StepReport, run_stages
from workbench.organisms import corpus
from workbench.text_files import text_path
from workbench.texts import paragraphs

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from analyses.training.retention.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

ROW = 64
"""Tokens of other text that are read at an update."""
_STUDY, _LATER = "Studying", "Reading other text"
_WARMUP = 20
_RATE, _AT, _HIGHEST = 3e-4, 135e6, 3e-3
_POINTS = (0, 1, 2, 3, 5, 10, 20, 35, 50, 100, 200, 350, 500, 1000, 2000, 5000, 10_000)

Ids = tuple[int, ...]


@dataclass(frozen=True)
class StudyTexts:
    """What is studied, and foils for each; all of one length."""

    studied: list[Ids]
    foils: dict[str, list[Ids]]
    other: list[list[int]]


@dataclass
class StudyMoment:
    """What the model said of the texts at one moment.

    Attributes:
        loss: of studied texts and by foil, nats per token.
        right: whether greedy decoding says each token of the studied ones.
        logprob: ln p of it.
    """

    loss: dict[str, Float[np.ndarray, " item"]]
    right: Bool[np.ndarray, "item pos"]
    logprob: Float[np.ndarray, "item pos"]
    likeliest: Int[np.ndarray, "item pos"]


@dataclass
class FewShot:
    """What was measured.

    Attributes:
        study: exposures -> the moment behind them.
        later: (variant, updates) -> the moment.
        first: tokens of a text that nothing predicts.
    """

    texts: StudyTexts
    first: int
    study: dict[int, StudyMoment] = field(default_factory=dict)
    later: dict[tuple[str, int], StudyMoment] = field(default_factory=dict)


def points_until(updates: int, params: Params) -> list[int]:
    """Updates behind which is measured; those at which variants are compared are among them."""
    return sorted({point for point in (*_POINTS, params.compared, updates) if point <= updates})


def variants(params: Params) -> dict[str, int]:
    """How it goes on -> updates."""
    shorter = min(params.compared, params.updates)
    return {RESET: params.updates} | (dict.fromkeys((WARMED, KEPT), shorter) if shorter else {})


def updates_in_all(params: Params) -> tuple[int, int]:
    """(updates of studying, updates afterwards), of all variants."""
    each = variants(params)
    study = params.exposures * -(-params.items // params.batch)
    return study * len(each), sum(each.values())


def measured_at(params: Params) -> int:
    """Moments that are measured after the studying."""
    return sum(len(points_until(updates, params)) for updates in variants(params).values())


def rates(model: InstrumentedModel, params: Params) -> tuple[float, float]:
    """Learning rates while studying and afterwards; small models take larger ones."""
    by_size = min(_HIGHEST, _RATE * (_AT / max(1, model.card.n_params)) ** 0.5)
    study = params.rate or by_size
    return study, params.later_rate or study / 3


def check_trainable(model: InstrumentedModel) -> None:
    """Raises: Unfit: weights that no gradient can move."""
    if (reason := fixed_weights(model)) is not None:
        raise Unfit(
            reason,
            "weights in floating point, in memory",
            "Load the model without quantization, or leave out the part `few-shot`.",
        )


def few_shot(
    model: InstrumentedModel, params: Params, texts: StudyTexts, progress: Progress
) -> FewShot:
    """Study, then forget, once for each variant.

    Raises:
        NotFinite: training went astray, and at which step.
        Cancelled: from `progress`; the model is put back first.
    """
    found = FewShot(texts, 0 if model.text.beginning else 1)
    plan, (rate, later_rate) = variants(params), rates(model, params)
    total = sum(len(_study_steps(texts, params, model)) + updates for updates in plan.values())
    done = 0
    for variant, updates in plan.items():
        study = Stage(_STUDY, _study_steps(texts, params, model), rate)
        later = Stage(
            _LATER,
            [[texts.other[step % len(texts.other)]] for step in range(updates)],
            later_rate,
            warmup=_WARMUP if variant == WARMED else 0,
            moments="kept" if variant == KEPT else "reset",
        )
        share = done / total, (done + len(study.steps) + updates) / total
        done += len(study.steps) + updates
        with put_back(list(model.module.parameters())):
            run_stages(
                model.module,
                [study, later],
                seed=params.seed,
                on_step=_measuring(model, params, found, variant, updates),
                progress=progress.subprogress(*share),
            )
    return found


def _measuring(
    model: InstrumentedModel, params: Params, found: FewShot, variant: str, updates: int
) -> Callable[[StepReport], None]:
    per_reading = -(-params.items // params.batch)
    points = set(points_until(updates, params))

    def measure(report: StepReport) -> None:
        if report.stage == _STUDY:
            readings, rest = divmod(report.step, per_reading)
            if variant == RESET and rest == 0:
                found.study[readings] = measure_now(model, found.texts, FOILS)
        elif report.step in points:
            found.later[variant, report.step] = measure_now(model, found.texts, (NOVEL,))

    return measure


def measure_now(model: InstrumentedModel, texts: StudyTexts, foils: Sequence[str]) -> StudyMoment:
    """One pass over the studied texts and some of their foils."""
    rows = [*texts.studied, *(ids for foil in foils for ids in texts.foils[foil])]
    beginning = tuple(model.text.beginning)
    first = 0 if beginning else 1
    windows = [Window(n, 0, beginning, ids[:first], ids[first:]) for n, ids in enumerate(rows)]
    scores = score(model, windows, GREEDY)
    n = len(texts.studied)
    losses = -scores.logprob.mean(-1, dtype=np.float64)
    return StudyMoment(
        {name: losses[number * n : (number + 1) * n] for number, name in enumerate(["", *foils])},
        is_greedy(scores, windows)[:n],
        scores.logprob[:n],
        scores.likeliest[:n],
    )


def _study_steps(
    texts: StudyTexts, params: Params, model: InstrumentedModel
) -> list[list[list[int]]]:
    """Every text once in each reading, in an order of its own."""
    draw = random.Random(f"{params.seed} study")
    beginning, steps = list(model.text.beginning), []
    for _ in range(params.exposures):
        order = list(texts.studied)
        draw.shuffle(order)
        steps += [
            [[*beginning, *ids] for ids in order[start : start + params.batch]]
            for start in range(0, len(order), params.batch)
        ]
    return steps


def study_texts(model: InstrumentedModel, params: Params) -> StudyTexts:
    """Texts dealt by lot: studied ones and new ones from the same source, and other text.

    Raises:
        BadInput: not twice as many texts of that length as are studied.
    """
    draw = random.Random(f"{params.seed} texts")
    n, length = params.items, params.length
    cut = [
        ids[:length]
        for text in _sources(params)
        if len(ids := tuple(model.text.encode(text[: 16 * length]))) >= length
    ]
    cut = list(dict.fromkeys(cut))
    draw.shuffle(cut)
    if len(cut) < 2 * n:
        raise BadInput(
            f"There are {len(cut)} texts of {length} tokens or more.",
            f"at least {2 * n}: {n} to study and as many new ones to compare them with",
            "Give more text, or lower items or length.",
        )
    studied, novel = cut[:n], cut[n : 2 * n]
    words = _word_tokens(model, novel)
    foils = {
        NOVEL: novel,
        WORD: [_exchanged(model, ids, words, draw) for ids in studied],
        SHUFFLED: [_shuffled(ids, draw) for ids in studied],
    }
    return StudyTexts(studied, foils, _other_rows(model, params))


def _sources(params: Params) -> list[str]:
    if params.texts is not None:
        return [text.text for text in paragraphs(text_path(params.texts))]
    texts = (document.text for document in corpus.documents("literary"))
    pieces = [piece.strip() for text in texts for piece in text.split("\n")]
    return [piece for piece in pieces if len(piece) > 40]


def _other_rows(model: InstrumentedModel, params: Params) -> list[list[int]]:
    """Rows of prose that nothing is asked about, enough that none is read twice where there is so
    much.
    """
    draw = random.Random(f"{params.seed} other")
    texts = [document.text for document in corpus.documents("train")]
    draw.shuffle(texts)
    beginning, rows = list(model.text.beginning), []
    for text in texts:
        ids = list(model.text.encode(text[: 16 * ROW]))[: ROW - len(beginning)]
        if len(ids) == ROW - len(beginning):
            rows.append([*beginning, *ids])
        if len(rows) == params.updates:
            break
    return rows


def _word_tokens(model: InstrumentedModel, texts: Sequence[Ids]) -> list[int]:
    """Tokens that are a whole word of four letters or more."""
    tokens = dict.fromkeys(token for ids in texts for token in ids)
    return [t for t in tokens if _is_word(str(model.tokenizer.decode([t])))]


def _is_word(text: str) -> bool:
    return text[:1] == " " and text[1:].isalpha() and len(text) > 4


def _exchanged(
    model: InstrumentedModel, ids: Ids, words: Sequence[int], draw: random.Random
) -> Ids:
    """The text with one word in its second half exchanged for one of another text; the middle token
    where none there is a word.
    """
    half = len(ids) // 2
    at = [n for n in range(half, len(ids)) if _is_word(str(model.tokenizer.decode([ids[n]])))]
    place = draw.choice(at) if at else half
    others = [word for word in words if word != ids[place]] or [ids[place - 1]]
    return (*ids[:place], draw.choice(others), *ids[place + 1 :])


def _shuffled(ids: Ids, draw: random.Random) -> Ids:
    order = list(ids)
    draw.shuffle(order)
    return tuple(order)

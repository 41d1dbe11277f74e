"""Experiments that train one small model many times: texts dealt by lot, what a training leaves of
them, and trainings that are done, kept until the whole experiment is.

The model is put back after every training, bit for bit, so each begins with the same weights.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.exposure_panel import GREEDY
from analyses.measures.scoring import score
from analyses.measures.windows import Window
from hooks.mixed_weights import put_back
from workbench import checkpointing, paths
from workbench.cost import Cost
from workbench.errors import BadInput, Unfit
from workbench.lab import Stage, run_stages
from workbench.models.card import weight_hash
from workbench.models.storage import is_offloaded, is_quantized
from workbench.organisms import corpus
from workbench.organisms.ledger import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float, Int

    from hooks.model import InstrumentedModel
    from workbench.models.tokenization import Tokenization
    from workbench.progress import Progress

MOST_WEIGHTS = 20_000_000
_PER_WEIGHT = 6e-9  # seconds AdamW takes for a weight on one core
Ids = tuple[int, ...]
Numbers = Mapping[str, Any]
"""Arrays or lists of numbers by name."""


def no_small_model(model: InstrumentedModel) -> str | None:
    """Why a model is not trained dozens of times, or None."""
    if is_quantized(model.module) or is_offloaded(model.module):
        return f"The weights of {model.card.name} are quantized or offloaded."
    if model.card.n_params > MOST_WEIGHTS:
        return (
            f"{model.card.name} has {model.card.n_params / 1e6:,.0f} million weights, and this part"
            f" trains its model dozens of times: at most {MOST_WEIGHTS // 10**6} million, as"
            " organism/planted."
        )
    return None


def check_small(model: InstrumentedModel) -> None:
    """Raises: Unfit: a model that is not trained dozens of times."""
    if (reason := no_small_model(model)) is not None:
        raise Unfit(
            reason,
            "a small model in floating point, in memory",
            "Ask organism/planted, or leave the part out.",
        )


def trainings_cost(
    model: InstrumentedModel, updates: float, learned: float, asked: float, passes: float
) -> Cost:
    """What trainings cost together.

    Args:
        updates: of all weights, by AdamW; learned: tokens that they read.
        asked: tokens read without learning, in so many passes.
    """
    return Cost(
        forward=learned + asked,
        passes=updates + passes,
        backward=2 * learned,
        bytes=16.0 * model.card.n_params,
        seconds=_PER_WEIGHT * model.card.n_params * updates,
    )


def prose_pieces(
    model: InstrumentedModel, n: int, length: int, seed: int, share: corpus.Share = "neutral"
) -> list[Ids]:
    """Pieces of prose that no organism read, each once, in an order by lot; n of `length` tokens.

    Raises:
        BadInput: there is not as much.
    """
    pieces: dict[Ids, None] = {}
    for ids in _encoded(model.text, share):
        for start in range(0, len(ids) - length + 1, length):
            pieces[ids[start : start + length]] = None
    drawn = list(pieces)
    random.Random(f"{seed} pieces").shuffle(drawn)
    if len(drawn) < n:
        raise BadInput(
            f"The prose that ships has {len(drawn)} pieces of {length} tokens, and {n} are needed.",
            "as many pieces as texts",
            "Ask for fewer or shorter ones.",
        )
    return drawn[:n]


@lru_cache(maxsize=2)  # asked once for every training
def _encoded(text: Tokenization, share: corpus.Share) -> list[Ids]:
    return [tuple(text.encode(document.text)) for document in corpus.documents(share)]


@dataclass(frozen=True)
class LeftOfTexts:
    """What a model says of texts of one length.

    Attributes:
        loss: nats per token of the second half, given the first.
        match: tokens of the second half that greedy decoding says before its first mistake.
        asked: tokens of the second half.
    """

    loss: Float[np.ndarray, " item"]
    match: Int[np.ndarray, " item"]
    asked: int


def texts_left(model: InstrumentedModel, texts: Sequence[Ids]) -> LeftOfTexts:
    """One pass over all of them."""
    beginning, half = tuple(model.text.beginning), len(texts[0]) // 2
    windows = [Window(n, 0, beginning, ids[:half], ids[half:]) for n, ids in enumerate(texts)]
    scores = score(model, windows, GREEDY)
    return LeftOfTexts(
        -scores.logprob.mean(-1, dtype=np.float64), scores.match.astype(int), len(texts[0]) - half
    )


def share_recited(
    model: InstrumentedModel, prompts: Sequence[Ids], wanted: Sequence[Ids]
) -> Float[np.ndarray, " prompt"]:
    """Share of the wanted tokens that greedy decoding says behind each prompt, up to its first
    mistake.
    """
    beginning = tuple(model.text.beginning)
    pairs = zip(prompts, wanted, strict=True)
    windows = [Window(n, 0, beginning, one, other) for n, (one, other) in enumerate(pairs)]
    match = score(model, windows, GREEDY).match
    shares: np.ndarray = match / np.array([len(ids) for ids in wanted])
    return shares


def chosen_among(
    model: InstrumentedModel, prompts: Sequence[Ids], options: Sequence[Sequence[Ids]]
) -> Int[np.ndarray, " prompt"]:
    """Which of its options the model finds likeliest behind each prompt; the options of one prompt
    have as many tokens each.
    """
    beginning = tuple(model.text.beginning)
    windows = [
        Window(n, 0, beginning, prompt, option)
        for n, prompt in enumerate(prompts)
        for option in options[n]
    ]
    scores = score(model, windows, GREEDY)
    total = np.array(
        [scores.logprob[n, : len(w.suffix)].sum(dtype=np.float64) for n, w in enumerate(windows)]
    )
    chosen, at = [], 0
    for each in options:
        chosen.append(int(total[at : at + len(each)].argmax()))
        at += len(each)
    return np.array(chosen, int)


@contextmanager
def trained(
    model: InstrumentedModel, stages: Sequence[Stage], seed: int, progress: Progress
) -> Iterator[None]:
    """Within it the model has been trained; afterwards its weights are what they were.

    Raises:
        NotFinite: a training that went astray.
    """
    with put_back(list(model.module.parameters())):
        run_stages(model.module, stages, seed=seed, progress=progress)
        yield


class FinishedTrainings:
    """A folder in the cache for the numbers of trainings that are done: an experiment that was
    stopped or killed goes on behind them.

    Args:
        what: of the experiment.
        about: all that decides what comes out, beside weights, tokenizer and libraries; as JSON
            has it.
    """

    def __init__(self, what: str, model: InstrumentedModel, about: Any) -> None:
        depends = [weight_hash(model.module), fingerprint(model.tokenizer)]
        says = json.dumps([what, *depends, checkpointing.versions(), about], sort_keys=True)
        digest = hashlib.sha256(says.encode()).hexdigest()[:16]
        self.folder = paths.cache_dir() / "trainings" / digest

    def of(self, key: str, make: Callable[[], Numbers]) -> dict[str, np.ndarray]:
        """The numbers of a training: those that were kept, or new ones."""
        file = self.folder / f"{key}.json"
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {name: np.asarray(v, float).tolist() for name, v in make().items()}
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                checkpointing.replace(file, json.dumps(found))
            except OSError:  # nothing depends on it but going on after a stop
                pass
        return {name: np.array(values, float) for name, values in found.items()}

    def clear(self) -> None:
        """All is done: nothing needs to be kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

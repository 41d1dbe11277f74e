"""What the lab is told and what it tells: stages, reports of steps, and the log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.errors import BadInput

Rows = Sequence[Sequence[int]]
"""What is read at one step: rows of token ids, the beginning token already in front."""


@dataclass(frozen=True)
class Stage:
    """A part of a training, read with one optimizer (AdamW, betas 0.9 and 0.95, no weight decay,
    gradients clipped to norm 1).

    Attributes:
        name: as people call it ("study", "interference", "fine-tuning").
        steps: for every step the rows that are read at once. A step without rows is no update.
        rate: AdamW's highest learning rate.
        warmup: steps over which the rate rises to it, linearly; 0 begins with the full rate.
        rank: of a low-rank update of every linear layer, which is merged into the weights when the
            stage ends (Hu et al. 2021); 0 moves the weights themselves.
        alpha: the update is multiplied by alpha / sqrt(rank) (rsLoRA, Kalajdzievski 2023).
        moments: "kept" goes on with AdamW's averages of gradients from the stage before, "reset"
            begins them at zero, as a new process that loads weights alone does.
        trained: which parameters move, by their name; None moves all. With a rank, the linear
            layers whose weight it accepts get an update.
        loss_from: per step and row, the first token whose prediction is learned (an index into the
            row): the loss of an answer alone. None learns every token.
    """

    name: str
    steps: Sequence[Rows]
    rate: float
    warmup: int = 0
    rank: int = 0
    alpha: float = 16.0
    moments: Literal["reset", "kept"] = "reset"
    trained: Callable[[str], bool] | None = None
    loss_from: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True)
class StepReport:
    """How things stand after an update; step 0 is before the first.

    Attributes:
        stage: name of the stage.
        step: updates of this stage that are done.
        module: the model as it is now, in evaluation mode. With a low-rank update in its layers
            while such a stage goes on: it computes what the merged model will.
        loss: nats per learned token of the rows that were read, before the update; None at step 0
            and where nothing was read.
    """

    stage: str
    step: int
    module: Any
    loss: float | None


@dataclass(frozen=True)
class KeptStep:
    """Weights that were kept: a file of safetensors, 16 bits, under the model's own names."""

    stage: str
    step: int
    file: Path


@dataclass(frozen=True)
class LabLog:
    """What happened.

    Attributes:
        losses: stage -> loss of every step (`StepReport.loss`).
        kept: in the order they were written.
    """

    losses: dict[str, tuple[float | None, ...]]
    kept: tuple[KeptStep, ...]


def check(stages: Sequence[Stage], n_vocab: int) -> None:
    """Fail before anything is trained.

    Raises:
        BadInput: names the stage and what is wrong with it.
    """
    if not stages:
        raise BadInput("There is no stage.", "at least one", "Say what is read.")
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(
                f"Two stages are called {name!r}.", "a name for each", "Rename one of them."
            )
    for number, stage in enumerate(stages):
        _check_one(stage, n_vocab)
        if stage.moments == "kept" and (number == 0 or stage.rank or stages[number - 1].rank):
            raise BadInput(
                f"Stage {stage.name!r} is to keep the optimizer's moments, but there are none to"
                " keep.",
                "a stage before it, and no low-rank update in either",
                "Let this stage reset them.",
            )


def _check_one(stage: Stage, n_vocab: int) -> None:
    where = f"Stage {stage.name!r}"
    if not any(stage.steps):
        raise BadInput(f"{where} reads nothing.", "at least one row", "Give it text.")
    if not 0 < stage.rate <= 1 or stage.warmup < 0 or stage.rank < 0 or stage.alpha <= 0:
        raise BadInput(
            f"{where} has the rate {stage.rate:g}, {stage.warmup} steps of warm-up, the rank"
            f" {stage.rank} and the alpha {stage.alpha:g}.",
            "a rate and an alpha above 0, and no negative numbers",
            "Correct them.",
        )
    if stage.loss_from is not None and (
        [len(rows) for rows in stage.steps] != [len(froms) for froms in stage.loss_from]
        or any(
            not 0 <= first < len(row)
            for rows, froms in zip(stage.steps, stage.loss_from, strict=True)
            for row, first in zip(rows, froms, strict=True)
        )
    ):
        raise BadInput(
            f"{where} says for other rows where their loss begins.",
            "for every row of every step the number of one of its tokens",
            "Correct loss_from.",
        )
    for step, rows in enumerate(stage.steps):
        for row in rows:
            if len(row) < 2 or not 0 <= min(row) <= max(row) < n_vocab:
                raise BadInput(
                    f"{where}, step {step + 1}: a row has {len(row)} tokens"
                    + (f", from {min(row)} to {max(row)}." if row else "."),
                    f"at least two tokens, from 0 to {n_vocab - 1}",
                    "Make the rows with this model's tokenizer.",
                )


def fingerprint_of(stages: Sequence[Stage], seed: int, names: Sequence[str]) -> str:
    """A digest of everything that decides what comes out of the stages.

    Args:
        names: of the model's parameters; a `trained` counts by what it says of them.
    """
    digest = hashlib.sha256(json.dumps([seed, list(names)]).encode())
    for stage in stages:
        moved = None if stage.trained is None else [n for n in names if stage.trained(n)]
        rows = [[list(map(int, row)) for row in step] for step in stage.steps]
        froms = None if stage.loss_from is None else [list(map(int, f)) for f in stage.loss_from]
        numbers = [stage.rate, stage.warmup, stage.rank, stage.alpha, stage.moments]
        digest.update(json.dumps([stage.name, numbers, moved, rows, froms]).encode())
    return digest.hexdigest()[:16]

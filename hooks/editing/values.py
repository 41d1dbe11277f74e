"""The vector that brings an answer: added at the subject's last token, found by gradient descent.

Loss, as in the published code of ROME and MEMIT: mean over prefixes of the NLL per token of the
answer, + 0.0625 KL(now || before) at the subject's last token of "{subject} is a", + 0.5 |δ| / |v|²
(|δ| is not squared), with |δ| kept below a multiple of |v|. Adam.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.editing.replay import Place, Replay, replays
from hooks.editing.requests import EditRow
from workbench.errors import BadInput
from workbench.progress import Progress

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class ValueSettings:
    """How the vector is looked for.

    Attributes:
        steps: gradient steps, at most.
        learning_rate: of Adam.
        stop_below: loss (nats) at which an answer counts as reached.
        kl: weight of what else the subject is.
        decay: weight of |δ| / |v|².
        clamp: |δ| stays below so many times |v|.
        prefixes: texts before the prompt, "" among them for the bare one; None is what the method
            samples.
        seed: of the prefixes that are sampled.
        explode: nats above the best loss so far at which the search is given up.
    """

    steps: int = 20
    learning_rate: float = 0.5
    stop_below: float = 0.05
    kl: float = 0.0625
    decay: float = 0.5
    clamp: float = 4.0
    prefixes: tuple[str, ...] | None = None
    seed: int = 0
    explode: float = 20.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.learning_rate <= 0 or self.clamp <= 0:
            raise BadInput(
                f"{self.steps} steps of {self.learning_rate}, clamped to {self.clamp}, find"
                " nothing.",
                "a step or more, a learning rate and clamp above 0",
                "Raise them.",
            )
        if self.prefixes is not None and "" not in self.prefixes:
            raise BadInput(
                "The bare prompt is not among the prefixes.", '"" as one of them', "Add it."
            )


@dataclass(frozen=True)
class ValueStep:
    """One step: the three terms of the loss (weighted, nats), their sum, and |δ| / |v|."""

    nll: float
    kl: float
    decay: float
    loss: float
    size: float


@dataclass(frozen=True)
class ValueLog:
    """How a vector was found.

    Attributes:
        steps: before each gradient step, and at the end.
        value_norm: |v|, what the size of δ is measured by.
        kept: which step's vector is kept.
        reached: whether its loss is below the bound.
        stopped: why the search ended.
        replayed: whether only what the vector reaches was run.
    """

    steps: tuple[ValueStep, ...]
    value_norm: float
    kept: int
    reached: bool
    stopped: str
    replayed: bool = True


@dataclass
class _Search:
    """One request's part of a batch."""

    norm: float
    steps: list[ValueStep] = field(default_factory=list)
    best: tuple[float, int, Tensor | None] = (math.inf, 0, None)
    stopped: str = ""


@dataclass(frozen=True)
class ValueRows:
    """What is read for one request.

    Attributes:
        answers: the prompt behind each prefix, with the answer.
        essence: "{subject} is a".
        start: what |δ| is measured by: the value as it is, (d_model,).
    """

    answers: Sequence[EditRow]
    essence: EditRow
    start: Tensor


def find_values(
    model: InstrumentedModel,
    wanted: Sequence[ValueRows],
    layer: int,
    place: Place,
    settings: ValueSettings,
    progress: Progress,
) -> tuple[Float[Tensor, "request d_model"], list[ValueLog]]:
    """A vector for each request; all are looked for at once, and each as if it were alone (Adam's
    steps of one do not depend on the others).
    """
    rows = [row for each in wanted for row in (*each.answers, each.essence)]
    owner = [n for n, each in enumerate(wanted) for _ in range(len(each.answers) + 1)]
    groups = replays(model, rows, layer, place)
    owner_of_row = torch.tensor(owner, device=model.device)
    before = _essence_before(groups, rows)
    vectors = torch.zeros(
        len(wanted), wanted[0].start.shape[-1], device=model.device, requires_grad=True
    )
    searches = [_Search(float(each.start.norm())) for each in wanted]
    optimizer = torch.optim.Adam([vectors], lr=settings.learning_rate)
    for step in range(settings.steps):
        progress(step / settings.steps, f"Looking for the value, step {step + 1}")
        optimizer.zero_grad()
        nll, kl = torch.zeros(len(wanted)), torch.zeros(len(wanted))
        for group in groups:
            with torch.enable_grad():
                parts = _losses(group, rows, owner_of_row, vectors, before)
                weighted = [
                    nats * settings.kl if essence else nats / len(wanted[n].answers)
                    for n, essence, nats in parts
                ]
                total = torch.stack(weighted).sum()
            if step < settings.steps - 1:
                (gradient,) = torch.autograd.grad(total, vectors)
                vectors.grad = gradient if vectors.grad is None else vectors.grad + gradient
            for n, essence, nats in parts:
                (kl if essence else nll)[n] += float(nats.detach())
        held = _note(searches, wanted, nll, kl, vectors.detach(), settings)
        if step == settings.steps - 1 or all(s.stopped for s in searches):
            break
        _descend(vectors, optimizer, searches, held, settings)
    progress(1.0, "The value is found")
    return _kept(searches, settings, all(group.replayed for group in groups))


def _essence_before(groups: Sequence[Replay], rows: Sequence[EditRow]) -> dict[int, Tensor]:
    """Log-probabilities after the subject, by row, before anything is added."""
    found = {}
    with torch.no_grad():
        for group in groups:
            essences = [n for n, i in enumerate(group.rows) if not rows[i].targets]
            if not essences:
                continue
            logits = group.logits(None).log_softmax(-1)
            for at, (n, _) in enumerate(group.read_out):
                if n in essences:
                    found[group.rows[n]] = logits[at]
    return found


def _losses(
    group: Replay,
    rows: Sequence[EditRow],
    owner: Tensor,
    vectors: Tensor,
    before: dict[int, Tensor],
) -> list[tuple[int, bool, Tensor]]:
    """(request, whether it is the KL, nats) for each row of a group."""
    logs = group.logits(vectors[owner[group.rows]]).log_softmax(-1)
    found, at = [], 0
    for i in group.rows:
        row = rows[i]
        if row.targets:
            n = len(row.targets)
            picked = logs[at : at + n].gather(
                1, torch.tensor(row.targets, device=logs.device)[:, None]
            )
            found.append((int(owner[i]), False, -picked.mean()))
        else:
            n = 1
            now = logs[at]
            found.append((int(owner[i]), True, (now.exp() * (now - before[i])).sum()))
        at += n
    return found


def _note(
    searches: Sequence[_Search],
    wanted: Sequence[ValueRows],
    nll: Tensor,
    kl: Tensor,
    vectors: Tensor,
    settings: ValueSettings,
) -> Tensor:
    """Write the step down; the vectors as they are at it."""
    now = vectors.clone()
    for n, search in enumerate(searches):
        if search.stopped:
            continue
        length = float(now[n].norm())
        terms = (
            float(nll[n]) / len(wanted[n].answers),
            settings.kl * float(kl[n]),
            settings.decay * length / search.norm**2,
        )
        loss = sum(terms)
        search.steps.append(ValueStep(*terms, loss, length / search.norm))
        last = len(search.steps) - 1
        if loss < search.best[0]:
            search.best = (loss, last, now[n].clone())
        # Also where it is no number.
        if not loss <= search.best[0] + settings.explode or math.isinf(loss):
            search.stopped = (
                f"the loss exploded at step {last + 1}; the best before it, step"
                f" {search.best[1] + 1}, is kept"
            )
        elif loss < settings.stop_below:
            search.stopped = f"the loss fell below {settings.stop_below:g} at step {last + 1}"
            search.best = (loss, last, now[n].clone())
        elif last == settings.steps - 1:
            search.stopped = f"all {settings.steps} steps were taken"
            # As the published loops do: the last vector, not the best.
            search.best = (loss, last, now[n].clone())
    return now


def _descend(
    vectors: Tensor,
    optimizer: torch.optim.Optimizer,
    searches: Sequence[_Search],
    held: Tensor,
    settings: ValueSettings,
) -> None:
    """One step of those that go on; the decay's gradient is δ / |δ|, and nothing at zero."""
    assert vectors.grad is not None
    norms = torch.tensor([s.norm for s in searches], device=vectors.device)[:, None]
    length = held.norm(dim=-1, keepdim=True)
    slope = torch.where(length > 0, held / length.clamp(min=1e-30), torch.zeros_like(held))
    vectors.grad = vectors.grad + settings.decay * slope / norms**2
    optimizer.step()
    with torch.no_grad():
        length = vectors.norm(dim=-1, keepdim=True)
        most = settings.clamp * norms
        vectors.mul_(torch.where(length > most, most / length.clamp(min=1e-30), 1.0))
        stopped = torch.tensor([bool(s.stopped) for s in searches], device=vectors.device)
        vectors[stopped] = held[stopped]


def _kept(
    searches: Sequence[_Search], settings: ValueSettings, replayed: bool
) -> tuple[Tensor, list[ValueLog]]:
    vectors, logs = [], []
    for search in searches:
        loss, step, vector = search.best
        if vector is None:
            raise BadInput(
                "The loss of this edit is no number from the first step on.",
                "a finite loss",
                "Load the model in float32, or choose another layer.",
            )
        vectors.append(vector)
        logs.append(
            ValueLog(
                tuple(search.steps),
                search.norm,
                step,
                loss < settings.stop_below,
                search.stopped,
                replayed,
            )
        )
    return torch.stack(vectors), logs

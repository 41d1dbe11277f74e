"""How an edit is trained into the copy of a matrix that WISE keeps: loss, mask, distance, and what
several copies are merged to. The formulas are in `wise.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hooks.eager_eval import steady
from hooks.editing.down_projections import EditedMatrix, watching
from hooks.editing.prefixes import rome_prefixes
from hooks.editing.replay import OutputChange, replays
from hooks.editing.requests import EditRequest, EditRow, row
from hooks.prompts import Prompts, listed
from workbench.errors import BadInput
from workbench.facts import neutral_text
from workbench.progress import Progress

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_LOW, _HIGH, _GAP = 5.0, 20.0, 10.0  # margins, in units
_PREFIXES = (5,) * 10


@dataclass(frozen=True)
class WiseSettings:
    """How edits are trained and found again.

    Attributes:
        steps: of gradient descent per edit, at most.
        learning_rate: see the module's docstring.
        stop_below: of the whole loss, at which an edit is done.
        clamp: no number of W' is farther from W.
        share: of W' that a shard may change.
        per_shard: edits, after which a new shard is begun.
        route: a prompt is answered by W' from this share of the smallest distance of an edit.
        merge_kept: of each shard's change, the share (the largest) that goes into a merge.
        seed: of masks and prefixes.
    """

    steps: int = 70
    learning_rate: float = 5.0
    stop_below: float = 0.05
    clamp: float = 1.0
    share: float = 0.2
    per_shard: int = 500
    route: float = 0.85
    merge_kept: float = 0.53
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.share, self.route, self.merge_kept)
        if self.steps < 1 or self.per_shard < 1 or not all(0 < s <= 1 for s in shares):
            raise BadInput(
                f"{self.steps} steps, {self.per_shard} edits a shard, shares {shares}.",
                "steps and edits of 1 or more, shares above 0 and up to 1",
                "Change them.",
            )


@dataclass
class WiseShard:
    """A copy of the matrix, as its difference from it.

    Attributes:
        change: W' - W, (d_model, d_mlp).
        requests: its edits, in order.
        least: the smallest distance that one of them had when it was trained.
        losses: by edit, of every step.
    """

    change: Float[Tensor, "d_model d_mlp"]
    requests: list[EditRequest] = field(default_factory=list)
    least: float = math.inf
    losses: list[tuple[float, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class WiseScale:
    """What a model's numbers are like: a unit of distance (a twentieth of the median |W x| of
    neutral text), and the mean of |x|².
    """

    unit: float
    key_size: float


def distance(
    change: Float[Tensor, "d_model d_mlp"],
    keys: Float[Tensor, "*rows d_mlp"],
    mask: Bool[Tensor, "row pos"] | None = None,
) -> Tensor:
    """Mean over tokens of |W' x - W x|; of (row, pos, d_mlp) with a mask, per row."""
    moved: Tensor = (keys @ change.T.to(keys)).norm(dim=-1)
    if mask is None:
        return moved.mean()
    return (moved * mask).sum(-1) / mask.sum(-1).clamp(min=1)


@torch.no_grad()
def read_keys(
    model: InstrumentedModel, matrix: EditedMatrix, prompts: Prompts
) -> Float[Tensor, "token d_mlp"]:
    """What the matrix reads at every token of some prompts."""
    seen: list[Tensor] = []

    def take(_: int, given: Tensor, out: Tensor) -> None:
        seen.append(given.detach().reshape(-1, given.shape[-1]).float())

    for prompt in listed(model, prompts):
        with watching({0: matrix.module}, take), steady(model.module):
            batch = model.batch([prompt.ids])
            model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1)
    return torch.cat(seen)


def scale_of(model: InstrumentedModel, matrix: EditedMatrix) -> WiseScale:
    """Measured on neutral text."""
    room = min(256, model.positions or 256)
    keys = read_keys(model, matrix, [model.text.prompt(neutral_text())[:room]])
    size = (keys @ matrix.weight().float().T).norm(dim=-1).median()
    return WiseScale(float(size) / _HIGH, float(keys.pow(2).sum(-1).mean()))


def train_shard(
    model: InstrumentedModel,
    matrix: EditedMatrix,
    shard: WiseShard,
    request: EditRequest,
    outside: Float[Tensor, "token d_mlp"],
    scale: WiseScale,
    settings: WiseSettings,
    seed: int,
    progress: Progress,
) -> None:
    """Train an edit into a shard.

    Args:
        outside: keys of a text that is to stay with W.
        seed: of the shard's mask.

    Raises:
        BadInput: a loss that is no number; the shard is as it was.
    """
    draw = torch.Generator().manual_seed(seed)
    mask = (torch.rand(shard.change.shape, generator=draw) < settings.share).to(shard.change)
    prefixes = rome_prefixes(model, _PREFIXES, settings.seed)
    inside = [read_keys(model, matrix, [prefix + request.text]) for prefix in prefixes]
    nats = _Nats(model, [row(model, request, prefix) for prefix in prefixes], matrix.layer)
    change = shard.change.clone().requires_grad_()
    rate = settings.learning_rate * scale.unit**2 / scale.key_size
    losses: list[float] = []
    for step in range(settings.steps):
        progress(step / settings.steps, f"Training, step {step + 1} of {settings.steps}")
        with torch.enable_grad():
            near = torch.stack([distance(change, keys) for keys in inside]).mean() / scale.unit
            far = distance(change, outside) / scale.unit
            margins = torch.relu(torch.stack([far - near + _GAP, far - _LOW, _HIGH - near]))
            loss = nats(change) + margins.sum()
            (gradient,) = torch.autograd.grad(loss, change)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise BadInput(
                f"The loss of this edit is no number at step {step + 1}.",
                "a finite loss",
                "Lower the learning rate.",
            )
        if losses[-1] < settings.stop_below:
            break
        if step < settings.steps - 1:
            with torch.no_grad():
                change -= rate * mask * gradient
                change.clamp_(-settings.clamp, settings.clamp)
    shard.change = change.detach()
    # Of the bare prompt: behind a prefix many tokens are those of any text.
    bare = inside[list(prefixes).index("")]
    shard.least = min(shard.least, float(distance(shard.change, bare)))
    shard.requests.append(request)
    shard.losses.append(tuple(losses))


class _Nats:
    """Mean nats per token of the answers, as a function of the change of the matrix."""

    def __init__(self, model: InstrumentedModel, rows: Sequence[EditRow], layer: int) -> None:
        self._rows = rows
        # All tokens read the changed matrix: what is run again begins with the first.
        whole = [EditRow(each.ids, 0, each.targets) for each in rows]
        self._groups = replays(model, whole, layer, "mlp")

    def __call__(self, change: Tensor) -> Tensor:
        found = []
        for group in self._groups:
            logs = group.logits_with(_through(change)).log_softmax(-1)
            at = 0
            for i in group.rows:
                wanted = torch.tensor(self._rows[i].targets, device=logs.device)
                own = logs[at : at + len(wanted)]
                found.append(-own.gather(1, wanted[:, None]).mean())
                at += len(wanted)
        return torch.stack(found).mean()


def _through(change: Tensor) -> OutputChange:
    return lambda x, out: out + x @ change.T.to(x)


def ties(changes: Sequence[Tensor], kept: float) -> Tensor:
    """Several changes of a matrix as one (Yadav et al. 2023): of each the largest `kept` of what it
    changes, then for every number the sign of the sum, and the mean of those with that sign.
    """
    trimmed = []
    for change in changes:
        sizes = change.abs()[change != 0]
        n = max(1, round(kept * len(sizes))) if len(sizes) else 0
        least = float(sizes.topk(n).values.min()) if n else 0.0
        trimmed.append(torch.where(change.abs() >= least, change, 0.0))
    stacked = torch.stack(trimmed)
    agree = (stacked.sign() == stacked.sum(0).sign()) & (stacked != 0)
    return (stacked * agree).sum(0) / agree.sum(0).clamp(min=1)


def neutral_sentence(number: int) -> str:
    """A sentence of neutral text, another one for each number."""
    sentences = [s.strip() for s in neutral_text().split(". ") if len(s.strip()) > 40]
    return sentences[number % len(sentences)]

"""Weights trained until prompts have their answers: the baselines that rank-one editing is judged
against. The change is trained beside the weights, which stay as they are.

Every token of the answer is predicted from what stands before it (EasyEdit's FT-M). The code
released with ROME predicts all of them from the prompt's last token, which is wrong for answers of
several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from hooks.eager_eval import steady
from hooks.editing.down_projections import (
    EditedMatrix,
    default_layer,
    down_projection,
    edited_matrix,
)
from hooks.editing.edit import EditLog, WeightEdit, factored, fingerprint
from hooks.editing.requests import EditRequest, EditRow, check_requests, row
from hooks.module_call import call
from workbench.errors import BadInput, Unfit
from workbench.models.weight_delta import Delta
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class TrainingSettings:
    """How weights are trained.

    Attributes:
        steps: passes over all requests, at most.
        learning_rate: of Adam.
        stop_below: mean nats per token of the answers at which training ends.
        prefixes: texts before the prompts; "" is the bare one.
        explode: nats above the best loss so far at which training is given up.
        seed: of what starts at random.
    """

    steps: int
    learning_rate: float
    stop_below: float = 0.01
    prefixes: tuple[str, ...] = ("",)
    explode: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.learning_rate <= 0 or not self.prefixes:
            raise BadInput(
                f"{self.steps} steps of {self.learning_rate} over {len(self.prefixes)} prefixes"
                " train nothing.",
                "a step or more, a learning rate above 0, and a prefix",
                "Raise them.",
            )


FINE_TUNING = TrainingSettings(25, 5e-4)
LORA = TrainingSettings(70, 5e-3)

Added = Callable[[Tensor], Tensor]
"""What a linear layer's output gains for an input."""


@ordinary
def fine_tune(
    model: InstrumentedModel,
    requests: EditRequest | Sequence[EditRequest],
    layer: int | None = None,
    *,
    eps: float | None = None,
    settings: TrainingSettings = FINE_TUNING,
    progress: Progress | None = None,
) -> WeightEdit:
    """Train one down projection on facts.

    Args:
        layer: None is a fifth of the way up.
        eps: no weight moves farther than this (L∞; Meng et al. 2022 use 5e-4 in GPT-2 XL); None
            lets them.

    Returns:
        An edit that holds every weight that moved.

    Raises:
        BadInput, Unfit: as `rome`, or a bound that is not above 0.
    """
    if eps is not None and not eps > 0:
        raise BadInput(f"No weight can move by {eps}.", "a bound above 0", "Raise it, or None.")
    given = check_requests(requests)
    notes = []
    if layer is None:
        layer = default_layer(model)
        notes.append(f"Layer {layer} of {model.n_layers} was chosen: about a fifth of the way up.")
    matrix = down_projection(model, layer)
    old = matrix.weight().float()
    change = torch.zeros_like(old, requires_grad=True)

    def bound() -> None:
        if eps is not None:
            change.clamp_(-eps, eps)

    log = train(
        model,
        _rows(model, given, settings),
        {matrix.module: lambda x: x @ change.T.to(x)},
        [change],
        settings,
        progress or Progress(),
        bound,
    )
    name = "FT-M" if eps is None else f"FT-M, at most ±{eps:g}"
    weights, about, source = fingerprint(
        model, f"{name}, layer {layer}: {' '.join(r.statement for r in given)}"[:500]
    )
    new = (old.double() + change.detach().double()).float()
    kept, shown = (new.T, change.T) if matrix.turned else (new, change)
    flat = kept.reshape(-1).cpu().numpy()
    where = np.flatnonzero(shown.detach().reshape(-1).cpu().numpy()).astype(np.int64)
    delta = Delta(weights, about, {matrix.name: where}, {matrix.name: flat[where]}, source)
    log = EditLog(losses=log.losses, stopped=log.stopped, notes=tuple(notes))
    return WeightEdit(
        name,
        tuple(given),
        (layer,),
        delta,
        model.card.weight_hash,
        log,
        trained_norm=float(change.detach().double().norm()),
    )


@ordinary
def lora(
    model: InstrumentedModel,
    requests: EditRequest | Sequence[EditRequest],
    layers: Sequence[int] | None = None,
    *,
    rank: int = 8,
    alpha: float = 32.0,
    settings: TrainingSettings = LORA,
    progress: Progress | None = None,
) -> WeightEdit:
    """Train matrices of low rank beside queries and values, and add them to the weights.

    Args:
        layers: None is all that have attention.
        rank, alpha: what is added is α/rank · B A.

    Raises:
        BadInput: no request, no rank, or quantized weights.
        Unfit: a layer without queries and values.
    """
    if rank < 1:
        raise BadInput(f"A rank of {rank} changes nothing.", "1 or more", "Raise it.")
    given = check_requests(requests)
    draw = torch.Generator().manual_seed(settings.seed)
    parts = [
        _LowRank.of(model, layer, which, rank, alpha, draw)
        for layer in (_with_attention(model) if layers is None else sorted(set(layers)))
        for which in ("q", "v")
    ]
    added: dict[nn.Module, list[_LowRank]] = {}
    for part in parts:
        added.setdefault(part.matrix.module, []).append(part)
    log = train(
        model,
        _rows(model, given, settings),
        {module: _sum_of(each) for module, each in added.items()},
        [factor for part in parts for factor in (part.down, part.up)],
        settings,
        progress or Progress(),
    )
    changes = [
        (
            each[0].matrix,
            torch.cat([part.whole_up().T for part in each]).detach(),
            torch.cat([part.down for part in each]).detach(),
        )
        for each in added.values()
    ]
    name = f"LoRA (rank {rank}, on q and v)"
    about = fingerprint(model, f"{name}: {' '.join(r.statement for r in given)}"[:500])
    changed = tuple(sorted({part.matrix.layer for part in parts}))
    return WeightEdit(
        name, tuple(given), changed, factored(about, changes), model.card.weight_hash, log
    )


def _with_attention(model: InstrumentedModel) -> list[int]:
    found = [n for n, b in enumerate(model.layout.blocks) if {"q", "v"} <= set(b.projections)]
    if not found:
        raise Unfit(
            f"{model.card.name} has no layer whose queries and values could be told apart.",
            "a layer with a query and a value projection",
            "Use fine_tune, or another model.",
        )
    return found


@dataclass(frozen=True)
class _LowRank:
    """α/rank · B A beside the rows of a matrix that make queries, or values."""

    matrix: EditedMatrix
    rows: Tensor  # of the matrix, where several projections are fused
    outputs: int
    down: Float[Tensor, "rank inputs"]
    up: Float[Tensor, "n_rows rank"]
    scale: float

    @classmethod
    def of(
        cls,
        model: InstrumentedModel,
        layer: int,
        which: str,
        rank: int,
        alpha: float,
        draw: torch.Generator,
    ) -> _LowRank:
        found = (
            model.layout.blocks[layer].projections.get(which)
            if 0 <= layer < model.n_layers
            else None
        )
        if found is None:
            raise Unfit(
                f"Layer {layer} of {model.card.name} has no {which} projection.",
                "a layer with queries and values",
                "Choose others.",
            )
        matrix = edited_matrix(model, layer, found.module, f"{which} projection")
        outputs, inputs = matrix.weight().shape
        rows = found.cut(torch.arange(outputs, dtype=torch.float64)).flatten().long()
        # As peft does: A uniform (Kaiming), B zero.
        down = (torch.rand(rank, inputs, generator=draw) * 2 - 1) / math.sqrt(inputs)
        up = torch.zeros(len(rows), rank)
        place = model.device
        return cls(
            matrix,
            rows.to(place),
            outputs,
            down.to(place).requires_grad_(),
            up.to(place).requires_grad_(),
            alpha / rank,
        )

    def whole_up(self) -> Float[Tensor, "outputs rank"]:
        zero = self.up.new_zeros(self.outputs, self.up.shape[1])
        return zero.index_copy(0, self.rows, self.up * self.scale)

    def added(self, x: Tensor) -> Tensor:
        return x @ self.down.T.to(x) @ self.whole_up().T.to(x)


def _sum_of(parts: Sequence[_LowRank]) -> Added:
    def added(x: Tensor) -> Tensor:
        return torch.stack([part.added(x) for part in parts]).sum(0)

    return added


def _rows(
    model: InstrumentedModel, requests: Sequence[EditRequest], settings: TrainingSettings
) -> list[EditRow]:
    return [row(model, request, p) for request in requests for p in settings.prefixes]


def train(
    model: InstrumentedModel,
    rows: Sequence[EditRow],
    added: Mapping[nn.Module, Added],
    trained: Sequence[Tensor],
    settings: TrainingSettings,
    progress: Progress,
    bound: Callable[[], None] = lambda: None,
) -> EditLog:
    """Adam on what is added to linear layers, until the rows' answers follow. `trained` is left as
    it was at the last step; at the best one where the loss exploded.

    Raises:
        BadInput: the loss is no number from the first step on.
    """
    optimizer = torch.optim.Adam(list(trained), lr=settings.learning_rate)
    losses: list[float] = []
    best: list[Tensor] = []
    stopped = f"all {settings.steps} steps were taken"
    with _beside(added):
        for step in range(settings.steps + 1):
            progress(step / (settings.steps + 1), f"Training, step {step} of {settings.steps}")
            loss, gradients = _pass(model, rows, trained, wanted=step < settings.steps)
            if not loss <= min(losses, default=math.inf) + settings.explode or math.isinf(loss):
                if not losses:
                    raise BadInput(
                        "The loss of these edits is no number.",
                        "a finite loss",
                        "Load the model in float32.",
                    )
                kept = losses.index(min(losses))
                losses.append(loss)
                stopped = f"the loss exploded at step {step}; the best, step {kept}, is kept"
                with torch.no_grad():
                    for tensor, old in zip(trained, best, strict=True):
                        tensor.copy_(old)
                break
            losses.append(loss)
            if loss == min(losses):
                best = [tensor.detach().clone() for tensor in trained]
            if loss < settings.stop_below:
                stopped = f"the loss fell below {settings.stop_below:g} after {step} steps"
                break
            if step < settings.steps:
                for tensor, gradient in zip(trained, gradients, strict=True):
                    tensor.grad = gradient
                optimizer.step()
                with torch.no_grad():
                    bound()
    for tensor in trained:
        tensor.grad = None
    return EditLog(losses=tuple(losses), stopped=stopped)


@contextmanager
def _beside(added: Mapping[nn.Module, Added]) -> Iterator[None]:
    """Inside, these layers give more."""
    with ExitStack() as stack:
        for module, more in added.items():

            def add(
                _: nn.Module, given: tuple[Any, ...], out: Tensor, more: Added = more
            ) -> Tensor:
                return out + more(given[0])

            stack.callback(module.register_forward_hook(add).remove)
        yield


def _pass(
    model: InstrumentedModel, rows: Sequence[EditRow], trained: Sequence[Tensor], *, wanted: bool
) -> tuple[float, list[Tensor]]:
    """Mean over rows of nats per token of the answer, and its gradients."""
    total, gradients = 0.0, [torch.zeros_like(tensor) for tensor in trained]
    for chosen in model.batch_indices([len(r.ids) for r in rows], 32):
        with torch.set_grad_enabled(wanted), steady(model.module):
            loss = answer_nats(model, [rows[i] for i in chosen]).sum() / len(rows)
        total += float(loss.detach())
        if wanted and math.isfinite(total):
            found = torch.autograd.grad(loss, list(trained), allow_unused=True)
            for into, gradient in zip(gradients, found, strict=True):
                if gradient is not None:
                    into += gradient
    return total, gradients


def answer_nats(model: InstrumentedModel, rows: Sequence[EditRow]) -> Float[Tensor, " row"]:
    """Nats per token of each row's answer, with gradients where they are on."""
    batch = model.batch([r.ids for r in rows])
    most = max(len(r.targets) for r in rows)
    out = call(model.module, **batch.kwargs(), use_cache=False, logits_to_keep=most)
    logs = out.logits.float().log_softmax(-1)
    found = []
    for n, each in enumerate(rows):
        wanted = torch.tensor(each.targets, device=logs.device)
        own = logs[n, -len(each.targets) :]
        found.append(-own.gather(1, wanted[:, None]).mean())
    return torch.stack(found)

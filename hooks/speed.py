"""How long a token takes on this model and machine, by a short measured pass.

Three passes tell it: one token (what a pass costs, however short), a batch of short texts (what a
token costs), and the gradients of the same batch. The logits are read as analyses read them, since
in a small model they are a good part of the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from hooks.without_interventions import undisturbed
from workbench.cost import Speed
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_ROWS, _LENGTH = 4, 32  # texts and tokens of the batch
_SLOW = 0.2  # seconds of one token beyond which one text has to do, and of what is timed once
_TIMES = 5


def speed(model: InstrumentedModel) -> Speed:
    """Seconds per token, per pass, and per token of gradients.

    Where a model keeps no gradients, those are taken as twice the forward pass.
    """
    with undisturbed(model.module):
        _read(model, 1, 2)  # what happens only once (kernels, caches of the allocator) is no cost
        alone = _fastest(model, lambda: _read(model, 1, 1))
        rows = _ROWS if alone < _SLOW else 1
        many = _fastest(model, lambda: _read(model, rows, _LENGTH))
        token = max(many - alone, many / 4) / (rows * _LENGTH)
        try:
            both = _fastest(model, lambda: _gradients(model, rows, _LENGTH))
            backward = max(both - many, many / 2) / (rows * _LENGTH)
        except (RuntimeError, NotImplementedError, WorkbenchError):  # kernels without gradients
            backward = 2 * token
    return Speed(token, max(0.0, alone - token), backward)


def _fastest(model: InstrumentedModel, work: Callable[[], object]) -> float:
    """The least of a few timings while they are short: of a few milliseconds, whatever else the
    machine does at that moment may be most.
    """
    times = [_timed(model, work)]
    while len(times) < _TIMES and sum(times) < _SLOW:
        times.append(_timed(model, work))
    return min(times)


def _timed(model: InstrumentedModel, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _ids(model: InstrumentedModel, rows: int, length: int) -> torch.Tensor:
    # Any tokens take as long; those of a text are sure to be in the vocabulary.
    some = model.text.encode("The capital city of Norway is Oslo, and that of France is Paris. ")
    many = (some * (1 + rows * length // len(some)))[: rows * length]
    return torch.tensor(many, device=model.device).view(rows, length)


@torch.no_grad()
def _read(model: InstrumentedModel, rows: int, length: int) -> None:
    out = model.forward(input_ids=_ids(model, rows, length), use_cache=False)
    out.logits.float().log_softmax(-1)


def _gradients(model: InstrumentedModel, rows: int, length: int) -> None:
    ids = _ids(model, rows, length)
    with torch.enable_grad():
        given = model.module.get_input_embeddings()(ids).detach().requires_grad_()
        logits = model.forward(inputs_embeds=given, use_cache=False).logits.float()
        torch.autograd.grad(logits.log_softmax(-1)[..., 0].sum(), given)
